"""Run directories: written as `.partial-*`, made whole by one rename, read back as tables.

A reader never sees half a run: everything is written and fsynced in a folder whose name starts
with `.partial-`, which is then renamed. `results/README.md` describes the files.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from testbed import disk, intact
from testbed.disk import PARTIAL, SHORTAGES
from testbed.errors import TestbedError, UsageError, near
from testbed.intact import RunError
from testbed.lab import world
from testbed.tables import RunTables

FORMAT = 2
"""Raised when a file or a column changes its meaning; a reader refuses other numbers."""

TABLES = ("runs", "events", "deliveries", "hosts", "counters", "batches")


@dataclass(frozen=True)
class RunDirectory:
    """One run directory on its way to being whole."""

    final: Path
    partial: Path

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        with disk.writing(self.partial):
            table.to_parquet(self.partial / f"{name}.parquet", index=False)

    def write_json(self, name: str, document: Mapping[str, Any]) -> None:
        text = json.dumps(document, indent=2, sort_keys=True, default=str, allow_nan=True)
        with disk.writing(self.partial):
            (self.partial / name).write_text(text + "\n")

    def finish(self) -> Path:
        """Makes the directory whole: fsync of all, rename, `latest` pointed at it."""
        with disk.writing(self.partial):
            # Inside the run until it is whole: a SIGKILL leaves no loose end beside it.
            link = Path(".latest")
            (self.partial / link).symlink_to(self.final.name)
            for path in self.partial.rglob("*"):
                if not path.is_symlink():
                    disk.fsync(path)
            disk.fsync(self.partial)
            disk.put(self.partial, self.final)
            disk.put(self.final / link, self.final.parent / "latest")
        parent = self.final.parent
        hand_over(parent.parent, parent, parent / "latest", self.final)
        return self.final


@contextmanager
def new_run(results: Path, experiment: str, seed: int) -> Iterator[RunDirectory]:
    """Opens `results/<experiment>/<UTC time>-<seed>/` for writing.

    The partial directory is removed when the body raises, so a Ctrl-C keeps only what was whole.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    parent = results / experiment
    run = RunDirectory(parent / f"{stamp}-{seed}", parent / f"{PARTIAL}{stamp}-{seed}")
    with disk.writing(run.partial):
        lock = _locked(run.partial)
    try:
        yield run
    except OSError as error:
        # Not of the results: their writers word what is refused to them.
        if error.errno not in SHORTAGES:
            raise
        what = f"{error.filename or experiment}: {error.strerror}"
        raise TestbedError(f"{what}; {SHORTAGES[error.errno]}, or ask for fewer nodes") from error
    finally:
        shutil.rmtree(run.partial, ignore_errors=True)  # there is none where it is whole
        os.close(lock)


def check_writable(results: Path) -> None:
    """Raises `UsageError` unless run directories can be made below `results`, and outlive a lab."""
    if world.covers(results):
        raise UsageError(
            f"results folder {results}: a lab has a /run of its own, which ends with it; name "
            "another one with --results DIR"
        )
    try:
        disk.make(results)
        with tempfile.TemporaryFile(dir=results):  # it has no name: a SIGKILL leaves none
            pass
    except OSError as error:
        raise UsageError(
            f"results folder {results}: {error.strerror}; name another one with --results DIR"
        ) from error


def remove_abandoned(results: Path) -> list[Path]:
    """Deletes the partial directories that runs which were killed have left; returns them.

    A partial directory whose writer still lives is locked and stays.
    """
    gone = []
    for path in sorted(results.glob(f"*/{PARTIAL}*")):
        if (lock := _lock_of(path, fcntl.LOCK_NB)) >= 0:
            # Locked: whoever has just made it, and waits for the lock, sees then that it is gone.
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
            gone.append(path)
    return gone


def find(name: str, results: Path) -> Path:
    """The run directory that a user means by a path, an experiment's name (its latest run), or
    `latest` (the newest of all)."""
    candidates = [Path(name), results / name, results / name / "latest"]
    for path in candidates:
        if (path / "manifest.json").is_file():
            return path.resolve()
    runs = whole_runs(results)
    if name == "latest" and runs:
        return runs[-1].parent.resolve()
    known = [str(path.parent.relative_to(results)) for path in runs]
    raise UsageError(f"run {name!r}: no such run directory; {near(name, known)}")


def whole_runs(results: Path) -> list[Path]:
    """The manifests of all whole runs below `results`, oldest first."""
    found = [p for p in results.glob("*/*/manifest.json") if not p.parent.name.startswith(PARTIAL)]
    return sorted((p for p in found if not p.parent.is_symlink()), key=lambda p: p.parent.name)


def load(path: Path) -> RunTables:
    """Reads a whole run directory; raises `RunError` for one that is not."""
    if path.name.startswith(PARTIAL):
        raise RunError(f"{path}: this run was never finished; run the experiment again")
    manifest = intact.document(path / "manifest.json")
    intact.manifest(manifest, path / "manifest.json", FORMAT)
    health = intact.document(path / "health.json")
    intact.health(health, path / "health.json")
    tables = {name: intact.table(path / f"{name}.parquet", name) for name in TABLES}
    return RunTables(manifest=manifest, health=health, **tables)


def discard(run_dir: Path) -> None:
    """Removes a whole run directory; one that is half removed is a partial one."""
    partial = run_dir.with_name(f"{PARTIAL}{run_dir.name}")
    disk.put(run_dir, partial)  # after a power loss, too, it is not whole again
    shutil.rmtree(partial, ignore_errors=True)


def hand_over(*paths: Path) -> None:
    """Gives files made under sudo to the user who called sudo, never to root by accident."""
    if "SUDO_UID" not in os.environ:
        return
    uid, gid = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    for top in paths:
        os.lchown(top, uid, gid)
    for path in paths[-1].rglob("*"):
        os.lchown(path, uid, gid)


def _locked(partial: Path) -> int:
    """Makes a partial directory; returns its lock, which tells it from one of a killed run.

    The lock dies with its holder. Before it is taken another run may find the directory abandoned
    and remove it; then it is made again.
    """
    while True:
        disk.make(partial)
        if (lock := _lock_of(partial)) >= 0:
            return lock


def _lock_of(directory: Path, flags: int = 0) -> int:
    """The lock of a directory, -1 when it is gone, or locked and `flags` say not to wait.

    One that was removed while its lock was waited for is gone, whatever has its name by then.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return -1
