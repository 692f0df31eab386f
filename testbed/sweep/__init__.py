"""Sweeps: an experiment at many points of its parameters, each trial a run directory of its own.

A trial is whole or not there (testbed.results), and which are whole is read from the disk, never
from a list of what was done. So a sweep that was killed, or lost its power, goes on with the same
command: what is whole is not done again and counts once. At the end the trials are joined into
one table, `trials.parquet` and `trials.csv`, a row for each cell of each trial.

Several emulated trials at once share the processor. One that came too late to be judged while
others ran beside it is thrown away and done again, with one worker fewer from then on. What else
voids a trial (a death, an error of the protocol) is no matter of how many there were.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from testbed import (
    disk,
    document,
    emulation,
    experiment,
    health,
    intact,
    lab,
    results,
    simulation,
    summary,
)
from testbed.disk import ResultsError
from testbed.errors import TestbedError, UsageError
from testbed.experiment import Cell
from testbed.progress import Progress
from testbed.replicates import derive_seed
from testbed.sweep import plan as plans
from testbed.sweep import space
from testbed.sweep.plan import EMULATED, SIMULATED, Plan, Trial
from testbed.workers import Answer, Workers

TABLE = "trials.parquet"


@dataclass(frozen=True)
class Sweep:
    """What a sweep found: a row for each cell of each trial."""

    folder: Path
    experiment: str
    seed: int
    evidence: str
    trials: int
    resumed: int
    """Trials that were whole before this command."""
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """What --json prints."""
        return {
            "schema": 1,
            "sweep_dir": str(self.folder),
            "table": str(self.folder / TABLE),
            "experiment": self.experiment,
            "seed": self.seed,
            "evidence": self.evidence,
            "trials": self.trials,
            "resumed": self.resumed,
            "notes": self.notes,
            "rows": self.rows,
        }


def prepare(
    name: str,
    over: Sequence[str],
    *,
    number: int | None = None,
    seed: int = 1,
    simulated: bool = False,
    variant: str = "default",
    settings: Sequence[str] = (),
    protocols: Sequence[str] = (),
    repeats: int | None = None,
) -> Plan:
    """Loads every trial, so that what is wrong with any is known before the first; `UsageError`.

    `over` are axes as of `testbed.sweep.space`; `number` makes the search random.
    """
    tables = document.read(name, variant)
    if protocols:
        tables.grid["protocol"] = list(protocols)
    axes = space.axes(over, tables)
    points = space.points(axes, number, derive_seed(seed, "points"))
    loaded = [
        (
            point,
            experiment.load(
                name,
                variant=variant,
                settings=[*settings, *space.settings(point)],
                protocols=protocols,
                repeats=repeats,
            ),
        )
        for point in points
    ]
    evidence = SIMULATED if simulated else EMULATED
    return plans.make(loaded, seed=seed, evidence=evidence)


def run(plan: Plan, *, folder: Path, progress: Progress, workers: int = 1) -> Sweep:
    """Does the trials that are not whole yet, and joins them all.

    Raises `UsageError` when other code has begun the sweep, `ResultsError` when the disk is full.
    """
    if workers < 1:
        raise UsageError(f"--workers {workers}: choose 1 or more")
    with plans.opened(plan, folder) as place:
        results.remove_abandoned(place)
        whole = _kept(plan, place)
        running = _Running(plan, place, progress, workers)
        try:
            running.do([trial for trial in plan.trials if trial.index not in whole])
            rows = join(plan, place)
        except ResultsError as error:
            if not results.whole_runs(place):
                raise
            kept = "trials that were whole are kept; the same command goes on"
            raise error.keeping(kept) from error
        return Sweep(
            folder=place,
            experiment=plan.name,
            seed=plan.seed,
            evidence=plan.evidence,
            trials=len(plan.trials),
            resumed=len(whole),
            rows=rows,
            notes=running.notes,
        )


class _Running:
    """The trials under way: how many at once, and how long the rest will take."""

    def __init__(self, plan: Plan, place: Path, progress: Progress, workers: int) -> None:
        self.plan = plan
        self.place = place
        self.progress = progress
        self.workers = workers
        self.notes: list[str] = []
        self._measured_s = self._expected_s = self._left_s = 0.0

    def do(self, trials: Sequence[Trial]) -> None:
        waiting = deque(trials)
        self._left_s = sum(map(self._expected, trials))
        self.progress.expect(self._left_s)
        with Workers[Trial](self._work) as busy:
            for answer in busy.work_off(waiting, lambda: self.workers):
                if answer.crowd > 1 and answer.value["late"]:
                    self._again(answer)
                    waiting.append(answer.task)
                else:
                    self._count(answer, len(waiting) + len(busy))

    def _work(self, trial: Trial) -> dict[str, Any]:
        """Does one trial in the worker's process; returns where it is, and whether it was late."""
        if self.plan.evidence == SIMULATED:  # in virtual time nothing is late
            return {"path": _simulated(trial, self.place), "late": False}
        path = _emulated(trial, self.place)
        late, runs = _spoilt(path)
        share = float(runs.groupby("cell")["voided"].mean().max())
        return {"path": path, "late": late, "share": share}

    def _again(self, answer: Answer[Trial]) -> None:
        results.discard(answer.value["path"])
        self.workers = max(1, min(self.workers, answer.crowd - 1))
        note = (
            f"{answer.crowd} trials at once are too many for this machine "
            f"({answer.value['share']:.0%} of the runs of a cell late): going on with "
            f"{self.workers}, and that trial is done again"
        )
        self.notes.append(note)
        print(f"sweep: {note}", file=sys.stderr)

    def _count(self, answer: Answer[Trial], left: int) -> None:
        expected_s = self._expected(answer.task)
        self._measured_s += answer.seconds
        self._expected_s += expected_s
        self._left_s -= expected_s
        # What is under way counts as a whole: the last trials are no surprise.
        left_s = (
            self._left_s * self._measured_s / self._expected_s / max(1, min(self.workers, left))
        )
        self.progress.advance(expected_s)
        self.progress.note(f"{left} trials to go, about {left_s:.0f} s")

    def _expected(self, trial: Trial) -> float:
        """Roughly how long a trial takes, in seconds; what was measured corrects the scale."""
        of = emulation if self.plan.evidence == EMULATED else simulation
        expected_s: Callable[[Cell], float] = of.expected_s
        return 0.1 + sum(map(expected_s, trial.experiment.cells))


def _kept(plan: Plan, place: Path) -> dict[int, Path]:
    """The trials that are whole, by index, without those that came too late.

    A kill may have come just before such a trial was thrown away. How many ran beside it nobody
    knows any more, so all go; but none of a sweep that had come to its end.
    """
    whole = plans.done(plan, place)
    if plan.evidence == EMULATED and not (place / TABLE).exists():
        for index in [index for index, path in whole.items() if _spoilt(path)[0]]:
            results.discard(whole.pop(index))
    return whole


def _spoilt(path: Path) -> tuple[bool, pd.DataFrame]:
    """Whether a trial came too late to be judged, and its runs."""
    runs = intact.table(path / "runs.parquet", "runs")
    return health.spoilt(intact.document(path / "health.json"), runs), runs


def _simulated(trial: Trial, place: Path) -> Path:
    return simulation.simulate(trial.experiment, seed=trial.seed, folder=place, progress=Progress())


def _emulated(trial: Trial, place: Path) -> Path:
    """A lab in the worker, so that trials at once do not see each other."""
    reading, writing = os.pipe()

    def main() -> int:
        try:
            path = emulation.emulate(
                trial.experiment, seed=trial.seed, folder=place, progress=Progress()
            )
        except TestbedError as error:
            os.write(writing, pickle.dumps(error))
            return 1
        os.write(writing, pickle.dumps(path))
        return 0

    status = lab.run(main)
    os.close(writing)
    with open(reading, "rb") as said:
        answer = said.read()
    if status in (129, 130, 143):
        raise KeyboardInterrupt
    if not answer:
        raise TestbedError(f"{trial}: its lab ended with status {status}")
    path_or_error = pickle.loads(answer)
    if isinstance(path_or_error, Path):
        return path_or_error
    raise path_or_error


def join(plan: Plan, place: Path) -> list[dict[str, Any]]:
    """Writes the table of all whole trials, in the order of the grid; returns its rows.

    A trial of the plan that is missing raises `TestbedError`.
    """
    whole = plans.done(plan, place)
    rows: list[dict[str, Any]] = []
    for trial in sorted(plan.trials, key=lambda trial: trial.index):
        if trial.index not in whole:
            raise TestbedError(f"{place}: trial {trial.index} is missing; run the sweep again")
        tables = results.load(whole[trial.index])
        for cell in summary.rows(tables):
            rows.append(
                {
                    "trial": trial.index,
                    **trial.point,
                    **cell,
                    "ok": bool(tables.health["ok"]),
                    "seed": trial.seed,
                    "run_dir": str(whole[trial.index].relative_to(place)),
                }
            )
    _write(place, pd.DataFrame([_flat(row) for row in rows]))
    return rows


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A metric becomes four columns; a list or a table of options becomes text."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and set(value) == {"mean", "sd", "low", "high"}:
            flat |= {f"{name}_{part}": number for part, number in value.items()}
        else:
            flat[name] = json.dumps(value) if isinstance(value, dict | list) else value
    return flat


def _write(place: Path, table: pd.DataFrame) -> None:
    writers: dict[str, Callable[[Path], Any]] = {
        TABLE: lambda path: table.to_parquet(path, index=False),
        "trials.csv": lambda path: table.to_csv(path, index=False),
    }
    for name, write in writers.items():
        disk.write_by(place / name, write)
    results.hand_over(place.parent.parent, place.parent, place)
