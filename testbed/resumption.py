"""What a validation that was interrupted leaves behind, and going on from there.

`results/validation/unfinished-<seed>-<digest of what was asked>.jsonl` has one line for what was
asked of whom, and one for each experiment whose run directory is whole. Only the same request,
code, format and kernel may go on: verdicts from two versions of the code would be verdicts on
neither. The file is locked while its validation runs, and deleted when that is finished.

What is written is never written anew: the first line comes by one rename, the others are added. So
a kill or a power loss costs the experiment that was under way, at most.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from testbed import disk, metadata, results
from testbed.disk import PARTIAL
from testbed.errors import UsageError
from testbed.intact import RunError

NAME = "validation"
PATTERN = "unfinished-*.jsonl"


@dataclass
class Ledger:
    """The experiments of one validation that are whole, by name; a context manager."""

    seed: int
    _path: Path
    _file: FileIO
    """Locked: whoever holds it is at work."""
    whole: dict[str, Path] = field(default_factory=dict)
    spoilt: dict[str, Path] = field(default_factory=dict)

    def add(self, name: str, run_dir: Path, spoilt: Path | None = None) -> None:
        """An experiment is whole; said on the disk before the next one starts.

        `spoilt` is its first run directory, when that one could not be judged. Raises
        `ResultsError` when the disk takes no more.
        """
        self.whole[name] = run_dir
        line = {"experiment": name, "run_dir": str(run_dir.resolve())}
        if spoilt is not None:
            self.spoilt[name] = spoilt
            line["spoilt"] = str(spoilt.resolve())
        _append(self._path, self._file, line)

    def finish(self) -> None:
        """Nothing is left to go on with."""
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.whole:
            self.finish()
        self._file.close()


def begin(folder: Path, request: Mapping[str, Any], seed: int) -> Ledger:
    """The ledger of a validation that starts; what an earlier one of the same kind left is gone.

    Raises `UsageError` when the same validation, its seed included, is at work in that folder.
    """
    place = folder / NAME
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:8]
    path = place / f"unfinished-{seed}-{digest}.jsonl"
    with _alone(place):
        for other in place.glob(PATTERN):
            file = _taken(other)
            if file is not None:
                with file:
                    if _is_left_by(request, other, file):
                        other.unlink()
            elif other == path:
                raise UsageError(
                    f"--seed {seed}: the same validation is at work in {folder}; wait for it, or "
                    "name another --seed or --results DIR"
                )
        for rest in place.glob(f"{PARTIAL}*.jsonl"):  # of one that was killed just here
            rest.unlink()
        partial = path.with_name(f"{PARTIAL}{path.name}")
        new = FileIO(partial, "w")
        fcntl.flock(new, fcntl.LOCK_EX)
        _append(path, new, {"seed": seed, **request})
        disk.put(partial, path)
        results.hand_over(place, path)
    return Ledger(seed, path, new)


def resume(folder: Path, request: Mapping[str, Any], seed: int | None) -> Ledger:
    """The newest ledger that the same request left. Raises `UsageError` when there is none."""
    place = folder / NAME
    with _alone(place), ExitStack() as files:
        taken = [(path, file) for path in place.glob(PATTERN) if (file := _taken(path))]
        for _, file in taken:
            files.enter_context(file)
        taken.sort(key=lambda each: os.fstat(each[1].fileno()).st_mtime_ns, reverse=True)
        others, damaged = [], []
        for path, file in taken:
            try:
                header, lines, end = _read(path, file)
            except RunError as error:
                damaged.append(error)
                continue
            if not _differences(header, request) and seed in (None, header["seed"]):
                file.truncate(end)  # a line that was cut short would spoil the next one
                kept = FileIO(os.dup(file.fileno()), "a")  # with the lock
                return _ledger(path, kept, header, lines)
            others.append((path, header))
    if damaged:
        raise damaged[0]
    if not others:
        raise UsageError(f"--resume: nothing is unfinished in {folder}; start without --resume")
    path, header = others[0]
    other = ", ".join(_differences(header, request)) or f"seed {header['seed']}"
    raise UsageError(
        f"--resume: {path} was started with another {other}; use the same, or start without "
        "--resume"
    )


def request_of(
    claims: Sequence[str], variant: str, settings: Sequence[str], stand_ins: Mapping[str, str]
) -> dict[str, Any]:
    """All that must be the same for runs to be judged together."""
    files = [Path(name) for name in stand_ins.values() if Path(name).is_file()]
    return {
        "claims": list(claims),
        "variant": variant,
        "settings": list(settings),
        "stand_ins": dict(stand_ins),
        "code": metadata.code(files),
        "format": results.FORMAT,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


OPTIONS = {"variant": "--quick or --full", "settings": "--set", "stand_ins": "--replace"}
"""Where a part of a request is called otherwise on the command line."""


def _differences(header: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    return [OPTIONS.get(name, name) for name in request if header.get(name) != request[name]]


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One validation at a time looks for ledgers, which takes a moment. Raises `ResultsError`."""
    with disk.writing(place):
        disk.make(place)
        lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _taken(path: Path) -> FileIO | None:
    """A ledger, locked; None while a living validation holds it, or when it is just gone."""
    try:
        file = FileIO(path, "r+")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink:
            return file
    except BlockingIOError:
        pass
    file.close()
    return None


def _is_left_by(request: Mapping[str, Any], path: Path, file: FileIO) -> bool:
    try:
        return not _differences(_read(path, file)[0], request)
    except RunError:
        return False  # it tells of no request; --resume names it


def _read(path: Path, file: FileIO) -> tuple[dict[str, Any], list[dict[str, str]], int]:
    """Header, a line for each experiment that is whole, and where the last whole line ends.

    Raises `RunError` that names the first line which is not of a ledger.
    """
    data = file.readall()
    texts = data.split(b"\n")[:-1]  # a line that was cut short has no end
    lines = []
    for number, text in enumerate(texts or [b""]):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        kinds = {"experiment": str, "run_dir": str, "spoilt": str} if number else {"seed": int}
        known = line if isinstance(line, dict) else {}
        if not all(
            isinstance(known.get(name, "" if name == "spoilt" else None), kind)
            for name, kind in kinds.items()
        ):
            raise RunError(
                f"{path}: line {number + 1} is damaged; restore it, or remove the file and start "
                "without --resume"
            )
        lines.append(known)
    return lines[0], lines[1:], data.rfind(b"\n") + 1


def _ledger(
    path: Path, file: FileIO, header: Mapping[str, Any], lines: Sequence[Mapping[str, str]]
) -> Ledger:
    """A ledger that goes on; an experiment whose run directory is gone is not whole."""
    ledger = Ledger(int(header["seed"]), path, file)
    for line in lines:
        name = line["experiment"]
        ledger.whole.pop(name, None)
        ledger.spoilt.pop(name, None)
        if os.path.isfile(os.path.join(line["run_dir"], "manifest.json")):
            ledger.whole[name] = Path(line["run_dir"])
            if "spoilt" in line:
                ledger.spoilt[name] = Path(line["spoilt"])
    return ledger


def _append(path: Path, file: FileIO, line: Mapping[str, Any]) -> None:
    data = (json.dumps(line) + "\n").encode()
    with disk.writing(path):
        while data:
            data = data[file.write(data) :]
        os.fsync(file.fileno())
