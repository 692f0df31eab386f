"""What a sweep is to do, on disk before the first trial: `sweep.json` of its folder.

The folder's name is a digest of the question (experiment, points, seed, emulated or simulated), so
that the same command finds it again and goes on. The answer must come from one code, and on hosts
from one kernel: another one, or another format of run directories, is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from testbed import disk, intact, lab, metadata, results
from testbed.errors import UsageError
from testbed.experiment import Experiment
from testbed.intact import RunError
from testbed.replicates import derive_seed
from testbed.shaping import pick
from testbed.sweep.space import Point, canonical

EMULATED, SIMULATED = "emulated", "simulated"
FOLDER = "sweeps"
FILE = "sweep.json"


@dataclass(frozen=True, slots=True)
class Trial:
    """One point; its seed depends on the sweep's and on the point alone."""

    index: int
    seed: int
    point: Point
    experiment: Experiment
    code: str
    """Of all that decides this trial: with the files of its own protocols, not of others'."""

    def __str__(self) -> str:
        said = ", ".join(f"{key} = {value}" for key, value in self.point.items())
        return f"trial {self.index} ({said})"


@dataclass(frozen=True)
class Plan:
    """All trials of a sweep, in the order in which they are done."""

    name: str
    seed: int
    evidence: str
    code: str
    """Of all trials together."""
    trials: tuple[Trial, ...]

    def digest(self) -> str:
        """Of the question, whatever code answers it."""
        question = [
            [trial.seed, canonical(trial.point), trial.experiment.manifest()]
            for trial in self.trials
        ]
        text = json.dumps([self.seed, self.evidence, question], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def folder(self, results_folder: Path) -> Path:
        return results_folder / FOLDER / f"{self.name}-{self.digest()}"

    def machine(self) -> dict[str, Any]:
        """What trials on hosts depend on beside their code; nothing for simulated ones."""
        if self.evidence == SIMULATED:
            return {}
        python, kernel = platform.python_version(), platform.release()
        # Outside of a lab a plain user may not even ask.
        return {"kernel": kernel, "python": python, "backends": lab.call(pick.able)}

    def document(self) -> dict[str, Any]:
        described = metadata.describe()
        return {
            "format": results.FORMAT,
            "code": self.code,
            "experiment": self.name,
            "seed": self.seed,
            "evidence": self.evidence,
            "commit": described["commit"],
            "modified": described["modified"],
            "command": described["command"],
            **self.machine(),
            "trials": [
                {name: value for name, value in asdict(trial).items() if name != "experiment"}
                for trial in self.trials
            ],
        }


def make(loaded: Sequence[tuple[Point, Experiment]], *, seed: int, evidence: str) -> Plan:
    """A plan of points with their experiments.

    The order is random: what drifts in a machine does not fall on one end of an axis.
    """
    code = cache(metadata.code)  # it reads many files, and few trials have files of their own
    sources = [
        frozenset(cell.protocol_source for cell in experiment.cells) for _, experiment in loaded
    ]
    trials = [
        Trial(index, derive_seed(seed, "trial", canonical(point)), point, experiment, code(own))
        for index, ((point, experiment), own) in enumerate(zip(loaded, sources, strict=True))
    ]
    Random(derive_seed(seed, "order")).shuffle(trials)
    name = loaded[0][1].name
    return Plan(name, seed, evidence, code(frozenset[str]().union(*sources)), tuple(trials))


@contextmanager
def opened(plan: Plan, results_folder: Path) -> Iterator[Path]:
    """The folder of a sweep, new or begun before, for this command alone.

    Raises `UsageError` when another command is at it, or when another code or kernel has begun it.
    """
    folder = plan.folder(results_folder)
    with disk.writing(folder):
        disk.make(folder)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"sweep {folder}: another command is at it; wait for it") from None
        if (folder / FILE).exists():
            document = intact.document(folder / FILE)
            check(document, plan.code, folder)
            _check_machine(document, plan.machine(), folder)
        else:
            text = json.dumps(plan.document(), indent=2, default=str)
            disk.write_whole(folder / FILE, text + "\n")
            results.hand_over(folder.parent.parent, folder.parent, folder)
        yield folder
    finally:
        os.close(lock)


def check(document: Mapping[str, Any], code: str, place: Path) -> None:
    """Raises `UsageError` for what other code, or another format, has written."""
    if document.get("format") != results.FORMAT:
        raise UsageError(
            f"{place}: format {repr(document.get('format'))[:20]}, this version writes "
            f"{results.FORMAT}; remove it, or name another --results DIR"
        )
    if document.get("code") != code:
        commit = str(document.get("commit"))[:12]
        raise UsageError(
            f"{place}: begun by other code (commit {commit}, or changed since); "
            "go on with that code, remove it, or name another --results DIR"
        )


def _check_machine(document: Mapping[str, Any], machine: Mapping[str, Any], place: Path) -> None:
    other = [name for name, value in machine.items() if document.get(name) != value]
    if other:
        raise UsageError(
            f"{place} was started with another {', '.join(other)}; use the same, remove it, or "
            "name another --results DIR"
        )


def done(plan: Plan, folder: Path) -> dict[int, Path]:
    """The run directories of the trials that are whole, by the trial's index, each once."""
    by_seed = {trial.seed: trial for trial in plan.trials}
    found: dict[int, Path] = {}
    for manifest in results.whole_runs(folder):
        document = intact.document(manifest)
        seed = document.get("seed")
        if not isinstance(seed, int):
            raise RunError(f"{manifest}: has no seed; restore it, or remove {manifest.parent}")
        trial = by_seed.get(seed)
        if trial is not None:
            check(document, trial.code, manifest.parent)
            found.setdefault(trial.index, manifest.parent)
    return found
