"""The states of a folder in which a kill may leave it: one after each operation on a file."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from testbed.disk import PARTIAL

OPERATIONS = {
    *("open", "write", "close", "fsync", "flock", "truncate", "link", "symlink"),
    *("rename", "replace", "mkdir", "unlink", "remove", "rmdir"),
}
"""Functions of C whose return ends a step; what a library in C writes is seen at the next one."""


def states(folder: Path, into: Path, work: Callable[[], Any]) -> list[Path]:
    """Copies of a folder, each different from the one before, as `work` changes it.

    How far a partial folder has got makes no difference: all of it is thrown away.
    """
    found: list[Path] = []
    last = ""

    def look(_frame: FrameType, event: str, function: Any) -> None:
        nonlocal last
        if event != "c_return" or function.__name__ not in OPERATIONS:
            return
        now = _content(folder)
        if now != last:
            last = now
            found.append(into / f"{len(found):03}")
            shutil.copytree(folder, found[-1], symlinks=True)

    folder.mkdir(exist_ok=True)
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def _content(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if any(above.name.startswith(PARTIAL) for above in path.parents):
            continue
        digest.update(f"{path} {path.is_symlink() and path.readlink()}\n".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()
