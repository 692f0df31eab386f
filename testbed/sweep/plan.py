"""What a sweep is to do, on disk before the first trial: `sweep.json` of its folder.

The folder's name is a digest of the question (experiment, points, seed, emulated or simulated), so
that the same command finds it again and goes on. The answer must come from one code: another one,
or another format of run directories, is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from testbed import disk, intact, metadata, results
from testbed.errors import UsageError
from testbed.experiment import Experiment
from testbed.replicates import derive
from testbed.sweep.space import Point, canonical

FOLDER = "sweeps"
FILE = "sweep.json"


@dataclass(frozen=True, slots=True)
class Trial:
    """One point; its seed depends on the sweep's and on the point alone."""

    index: int
    seed: int
    point: Point
    experiment: Experiment


@dataclass(frozen=True)
class Plan:
    """All trials of a sweep, in the order in which they are done."""

    name: str
    seed: int
    evidence: str
    code: str
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
            "trials": [
                {name: value for name, value in asdict(trial).items() if name != "experiment"}
                for trial in self.trials
            ],
        }


def make(loaded: Sequence[tuple[Point, Experiment]], *, seed: int, evidence: str) -> Plan:
    """A plan of points with their experiments.

    The order is random: what drifts in a machine does not fall on one end of an axis.
    """
    trials = [
        Trial(index, derive(seed, "trial", canonical(point)), point, experiment)
        for index, (point, experiment) in enumerate(loaded)
    ]
    Random(derive(seed, "order")).shuffle(trials)
    sources = {cell.protocol_source for each in loaded for cell in each[1].cells}
    name = loaded[0][1].name
    return Plan(name, seed, evidence, metadata.code(sources), tuple(trials))


@contextmanager
def opened(plan: Plan, results_folder: Path) -> Iterator[Path]:
    """The folder of a sweep, new or begun before, for this command alone.

    Raises `UsageError` when another command is at it, or when other code has begun it.
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
            check(intact.document(folder / FILE), plan.code, folder)
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
            f"{place}: format {document.get('format')!r}, this version writes {results.FORMAT}; "
            "remove it, or name another --results DIR"
        )
    if document.get("code") != code:
        commit = str(document.get("commit"))[:12]
        raise UsageError(
            f"{place}: begun by other code (commit {commit}, or changed since); "
            "go on with that code, remove it, or name another --results DIR"
        )


def done(plan: Plan, folder: Path) -> dict[int, Path]:
    """The run directories of the trials that are whole, by the trial's index, each once."""
    by_seed = {trial.seed: trial for trial in plan.trials}
    found: dict[int, Path] = {}
    for manifest in results.whole_runs(folder):
        document = intact.document(manifest)
        check(document, plan.code, manifest.parent)
        trial = by_seed.get(document.get("seed", -1))
        if trial is not None:
            found.setdefault(trial.index, manifest.parent)
    return found
