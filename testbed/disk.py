"""Files and folders that a kill, a power loss or a full disk leaves whole, or not there.

What is written lies beside its place, with `.partial-` before its name, until it is on the disk;
then one rename puts it there. A new folder is on the disk before anything in it counts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed.errors import TestbedError

PARTIAL = ".partial-"

_ROOM = "make room"

SHORTAGES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "end programs that hold many files open",
    errno.ENOMEM: "end programs that hold much memory",
}
"""What a machine may be short of, and the remedy."""

_ELSEWHERE = "name another folder with --results DIR"


class ResultsError(TestbedError):
    """Results cannot be written; the message names the file and the remedy."""

    def __init__(self, text: str, elsewhere: str = "") -> None:
        """`elsewhere` is the end of the message, for as long as another folder would do."""
        super().__init__(text, elsewhere)

    def __str__(self) -> str:
        return "".join(self.args)

    def keeping(self, what: str) -> ResultsError:
        """The same where something is kept, which another folder would lack."""
        return ResultsError(f"{self.args[0]}; {what}")


def shortage(error: Exception) -> str:
    """What the machine is short of when it raises this, with the remedy; "" for other errors."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    if number not in SHORTAGES:
        return ""
    place = getattr(error, "filename", None)
    return f"{f'{place}: ' if place else ''}{os.strerror(number)}; {SHORTAGES[number]}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `ResultsError` for what the system refuses in the body, which writes there."""
    try:
        yield
    except OSError as error:
        text, remedy = f"{path}: {error.strerror or error}", SHORTAGES.get(error.errno or 0)
        elsewhere = f"; {_ELSEWHERE}"
        if remedy is not None:
            text = f"{text}; {remedy}"
            elsewhere = f", or {_ELSEWHERE}" if remedy == _ROOM else ""
        raise ResultsError(text, elsewhere) from error


def make(folder: Path) -> None:
    """Makes a folder and those above it, where they are missing, and has the disk know of them."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        with suppress(PermissionError):  # a folder may be one to write in and not to read
            fsync(each.parent)


def put(partial: Path, path: Path) -> None:
    """Puts what is on the disk under another name in its place there."""
    partial.rename(path)
    fsync(path.parent)


def write_whole(path: Path, text: str) -> None:
    """Writes a text that is there as a whole, or what was there before."""
    write_by(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_by(path: Path, write: Callable[[Path], object]) -> None:
    """The same for a file that `write` writes. Raises `ResultsError`."""
    partial = path.with_name(f"{PARTIAL}{path.name}")
    with writing(path):
        try:
            write(partial)
            fsync(partial)
            put(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


def fsync(path: Path) -> None:
    """Waits until the disk has a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
