"""A lab: the private world of one run, from which nothing is left when the run ends.

`run` forks a function into user, mount, PID and network namespaces of its own, as root or as a
plain user, and returns its exit status. The command that calls it holds the only write end of a
pipe; when the command ends, by SIGKILL too, the pipe ends and the lab with it. The same holds for
the `sudo`, `make` and `sh -c` above it (testbed.lab.ancestors).

testbed.lab.keeper is the command's end of a lab, testbed.lab.world what happens inside.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import TypeVar, cast

from testbed.errors import LabError, LabRefused
from testbed.lab.keeper import Keeper
from testbed.lab.world import inside

__all__ = ["GRACE_S", "call", "inside", "problem", "run"]

GRACE_S = 15.0
"""For the payload to put away its results after a signal, before the lab is ended."""

_Result = TypeVar("_Result")


def run(main: Callable[[], int], *, shell: bool = False, grace_s: float = GRACE_S) -> int:
    """Runs `main` in a new lab and returns its exit status, 128+n when signal n ended it.

    The payload is a fork: it has the caller's memory, files and terminal, but of its threads only
    this one, so a lock that another thread holds now stays locked in it. SIGINT, SIGTERM and SIGHUP
    to the caller raise KeyboardInterrupt in `main`, once each; `grace_s` seconds later the lab is
    ended. With `shell`, for a command line, Ctrl-C may come often and ends nothing, and the other
    two raise SystemExit. Raises LabRefused when no lab can be made. Call it from the main thread;
    elsewhere it leaves signals alone.
    """
    if sys.platform != "linux":
        raise LabRefused(
            f"a lab needs Linux, not {sys.platform}; use a virtual machine: vagrant up"
        )
    return Keeper(shell, grace_s).run(main)


def call(function: Callable[[], _Result]) -> _Result:
    """Runs `function` in a new lab and returns its result, which must be picklable.

    What it raises is raised here, with its traceback in the lab as a note. For tests.
    """
    results = os.memfd_create("lab-result")

    def main() -> int:
        try:
            outcome = pickle.dumps((True, function()))
        except BaseException as error:
            outcome = _pickled(error)
        os.pwrite(results, outcome, 0)
        return 0

    try:
        status = run(main)
        written = os.pread(results, os.fstat(results).st_size, 0)
    finally:
        os.close(results)
    if not written:
        raise LabError(f"the lab ended with status {status} before its function did")
    returned, value = pickle.loads(written)
    if not returned:
        raise value
    return cast(_Result, value)


def _pickled(error: BaseException) -> bytes:
    text = f"In the lab:\n{traceback.format_exc()}"
    try:
        error.add_note(text)
        outcome = pickle.dumps((False, error))
        pickle.loads(outcome)
    except Exception:  # an exception with state of its own may do anything here
        outcome = pickle.dumps((False, LabError(text)))
    return outcome


def problem() -> str | None:
    """Returns on one line why no lab can be made here, with the remedy; None when it can.

    Makes one to find out, which takes 10 ms, and 50 ms beside pandas.
    """
    try:
        status = run(lambda: 0)
    except LabError as error:
        return str(error)
    return None if status == 0 else f"a lab was made, but ended with status {status}; run it again"
