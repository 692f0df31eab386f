"""What a validation that was interrupted leaves behind, and going on from there.

`results/validation/unfinished-<seed>.jsonl` has one line for what was asked of whom, and one for
each experiment whose run directory is whole. Only the same request, code, format and kernel may go
on: verdicts from two versions of the code would be verdicts on neither. The file is locked while
its validation runs, and deleted when that is finished.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from testbed import metadata, results
from testbed.errors import UsageError

NAME = "validation"
PATTERN = "unfinished-*.jsonl"


class Ledger:
    """The experiments of one validation that are whole, by name; a context manager."""

    def __init__(self, file: TextIO, path: Path, seed: int, whole: Mapping[str, Path]) -> None:
        self._file = file
        self._path = path
        self.seed = seed
        self.whole = dict(whole)
        self.spoilt: dict[str, Path] = {}

    def add(self, name: str, run_dir: Path, spoilt: Path | None = None) -> None:
        """An experiment is whole; said on the disk before the next one starts.

        `spoilt` is its first run directory, when that one could not be judged.
        """
        self.whole[name] = run_dir
        line = {"experiment": name, "run_dir": str(run_dir.resolve())}
        if spoilt is not None:
            self.spoilt[name] = spoilt
            line["spoilt"] = str(spoilt.resolve())
        _append(self._file, line)

    def finish(self) -> None:
        """Nothing is left to go on with."""
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.whole:
            self.finish()


def begin(folder: Path, request: Mapping[str, Any], seed: int) -> Ledger:
    """The ledger of a validation that starts; what an earlier one of the same kind left is gone."""
    for path, header, _ in _unfinished(folder):
        if not _differences(header, request):
            path.unlink()
    path = folder / NAME / f"unfinished-{seed}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w", encoding="utf-8")
    fcntl.flock(file, fcntl.LOCK_EX)
    _append(file, {"seed": seed, **request})
    results.hand_over(path.parent, path)
    return Ledger(file, path, seed, {})


def resume(folder: Path, request: Mapping[str, Any], seed: int | None) -> Ledger:
    """The newest ledger that the same request left. Raises `UsageError` when there is none."""
    found = _unfinished(folder)
    if not found:
        raise UsageError(f"--resume: nothing is unfinished in {folder}; start without --resume")
    for path, header, whole in found:
        if not _differences(header, request) and seed in (None, header["seed"]):
            file = path.open("r+", encoding="utf-8")
            fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(0)  # a line that was cut short would spoil the next one
            ledger = Ledger(file, path, int(header["seed"]), {})
            _append(file, header)
            for line in whole:
                if (Path(line["run_dir"]) / "manifest.json").is_file():
                    spoilt = Path(line["spoilt"]) if "spoilt" in line else None
                    ledger.add(line["experiment"], Path(line["run_dir"]), spoilt)
            return ledger
    path, header, _ = found[0]
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


def _differences(header: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    return [name for name, value in request.items() if header.get(name) != value]


def _unfinished(folder: Path) -> list[tuple[Path, dict[str, Any], list[dict[str, str]]]]:
    """Ledgers that no living validation holds, the newest first: path, header, and a line for
    each experiment that is whole."""
    paths = (folder / NAME).glob(PATTERN)
    found = []
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        lines = _lines(path)
        if lines and "seed" in lines[0]:
            found.append((path, lines[0], lines[1:]))
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a ledger; none while another process holds it."""
    with path.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        texts = file.read().split("\n")[:-1]  # a line that was cut short has no end
    return [json.loads(text) for text in texts]


def _append(file: TextIO, line: Mapping[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()
    os.fsync(file.fileno())
