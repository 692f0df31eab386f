"""Which processes above a command it must not outlive.

A run started through `make`, `sudo` or `sh -c` is theirs: when one of them is killed the run must
end too, though the kernel tells nobody. A run started from an interactive shell, or put into the
background with nohup or `&`, lives on when that shell ends.

The command takes hold of them as the first thing that it does. Who was killed earlier, while Python
was starting, has left it an orphan, which shows: an orphan's parent is of another session.
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

# What make and sudo leave in the environment of what they start.
_MARKS = ("MAKELEVEL=", "SUDO_COMMAND=")

_held: tuple[int, list[int]] | None = None


class OrphanError(Exception):
    """One of those who wait for this process is gone already."""


def hold() -> None:
    """Watches the ancestors from now on; for the start of a command. Raises `OrphanError`."""
    global _held
    _held = os.getpid(), watched()


def held() -> list[int]:
    """Descriptors as of `watched`, from when `hold` was called in this process; else from now.

    A process that has lost who waits for it since then finds that descriptor readable. The caller
    closes them.
    """
    if _held is not None and _held[0] == os.getpid():
        return [os.dup(descriptor) for descriptor in _held[1]]
    with contextlib.suppress(OrphanError):
        return watched()
    return []


def watched(pid: int | None = None) -> list[int]:
    """Returns descriptors, readable once their process ends, of the ancestors to watch.

    From the parent of `pid` (default: the calling process) up, to the first that does not wait for
    a command, or from which a nohup or `&` has detached it. The caller closes them. Raises
    `OrphanError` when one of them is gone already.
    """
    current = os.getpid() if pid is None else pid
    descriptors: list[int] = []
    try:
        ignored = _ignored(current)
        while True:
            parent = _parent(current)
            if not ignored and _orphaned(current, parent):
                raise OrphanError(current)
            if parent < 1 or not _waits(parent) or not ignored <= _ignored(parent):
                break
            descriptor = os.pidfd_open(parent)
            descriptors.append(descriptor)
            if _parent(current) == parent:
                current = parent
            else:  # it ended meanwhile, and its number may be another's
                os.close(descriptors.pop())
    except OSError:  # of a process that has just ended, or is hidden
        return descriptors
    except OrphanError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return descriptors


def _orphaned(pid: int, parent: int) -> bool:
    """Whether a process has lost the one that started it, and did not mean to.

    Only the first process of a session has a parent in another one, but for an orphan, which a
    reaper has adopted. A daemon makes itself an orphan on purpose, in a session of its own whose
    first process is gone; what make or sudo started is none.
    """
    session = os.getsid(pid)
    if session in (0, pid) or parent < 1 or os.getsid(parent) == session:
        return False
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    if any(word.startswith(mark.encode()) for word in environment for mark in _MARKS):
        return True
    group = os.getpgid(pid)
    return group not in (0, pid) and not _lives(group) and _lives(session)


def _lives(pid: int) -> bool:
    try:
        return not _status(pid, "State").startswith(("Z", "X"))
    except FileNotFoundError:
        return False


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
