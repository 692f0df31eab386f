"""A sweep that is killed after any operation on a file goes on as if it had not been."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import metadata, results, sweep
from testbed.disk import PARTIAL
from testbed.progress import Progress
from testbed.sweep.plan import Trial
from testbed.workers import Answer
from tests.crashes import states


class Here:
    """Stands in for `Workers`: does the tasks in this process, where each operation is seen."""

    def __init__(self, work: Callable[[Trial], Any]) -> None:
        self._work = work

    def __class_getitem__(cls, _: object) -> type[Here]:
        return cls

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __len__(self) -> int:
        return 0

    def work_off(self, waiting: deque[Trial], _: object) -> Iterator[Answer[Trial]]:
        while waiting:
            trial = waiting.popleft()
            yield Answer(trial, self._work(trial), 1.0, 1)


def test_whole_trials_are_neither_done_again_nor_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        metadata, "_run", lambda _: ""
    )  # asks other programs, which take their time
    monkeypatch.setattr(metadata, "code", lambda *_: "this")
    monkeypatch.setattr(sweep, "Workers", Here)
    simulated: list[int] = []
    simulate = sweep._simulated

    def counted(trial: Trial, place: Path) -> Path:
        simulated.append(trial.index)
        return simulate(trial, place)

    monkeypatch.setattr(sweep, "_simulated", counted)
    settings = ("nodes=4", "protocol=push")
    plan = sweep.prepare("latency", ("fan_out=1,2",), simulated=True, settings=settings, repeats=1)
    folder = tmp_path / "results"

    def swept() -> list[dict[str, Any]]:
        found = sweep.run(plan, folder=folder, progress=Progress())
        return [{key: row[key] for key in row if key != "run_dir"} for row in found.rows]

    killed = states(folder, tmp_path / "killed", swept)
    undisturbed = swept()
    wholes = []
    for state in killed:
        shutil.rmtree(folder)
        state.rename(folder)
        place = plan.folder(folder)
        wholes.append(len(results.whole_runs(place)))
        simulated.clear()
        assert swept() == undisturbed
        assert len(simulated) == 2 - wholes[-1]
        assert len(results.whole_runs(place)) == 2
        assert not list(place.glob(f"*/{PARTIAL}*"))
    assert {*wholes} == {0, 1, 2}, "killed before, between and after"
    assert wholes == sorted(wholes)
