"""Which processes above a command it must not outlive.

A run started through `make`, `sudo` or `sh -c` is theirs: when one of them is killed the run must
end too, though the kernel tells nobody. A run started from an interactive shell, or put into the
background with nohup or `&`, lives on when that shell ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

# Those that wait for the command they start. `env`, `nice` and `nohup` become that command.
_WAITERS = frozenset({"doas", "gmake", "make", "runuser", "su", "sudo", "time", "timeout"})
_SHELLS = frozenset({"ash", "bash", "busybox", "dash", "ksh", "mksh", "sh", "zsh"})

# What nohup, and `&` in a script, have a program ignore.
_DETACHING = (signal.SIGHUP, signal.SIGINT)


def watched(pid: int | None = None) -> list[int]:
    """Returns descriptors, readable once their process ends, of the ancestors to watch.

    From the parent of `pid` (default: the calling process) up, to the first that does not wait for
    a command, or from which a nohup or `&` has detached it. The caller closes them.
    """
    current = os.getpid() if pid is None else pid
    descriptors: list[int] = []
    with contextlib.suppress(OSError):  # of a process that has just ended, or is hidden
        ignored = _ignored(current)
        while True:
            parent = _parent(current)
            if parent <= 1 or not _waits(parent) or not ignored <= _ignored(parent):
                break
            descriptor = os.pidfd_open(parent)
            descriptors.append(descriptor)
            if _parent(current) != parent:  # it ended meanwhile, and its number may be another's
                break
            current = parent
    return descriptors


def _waits(pid: int) -> bool:
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    if name in _WAITERS:
        return True
    if name not in _SHELLS:
        return False
    for argument in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:]:
        if not argument.startswith(b"-"):
            return False
        if not argument.startswith(b"--") and b"c" in argument:
            return True
    return False


def _parent(pid: int) -> int:
    return int(_status(pid, "PPid"))


def _ignored(pid: int) -> set[signal.Signals]:
    mask = int(_status(pid, "SigIgn"), 16)
    return {number for number in _DETACHING if mask >> (number - 1) & 1}


def _status(pid: int, field: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    raise ProcessLookupError(pid)
