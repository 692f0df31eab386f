"""What `benchmarks/agreement.py` finds alike, what it finds apart, and what it does not compare."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import agreement
from testbed import experiment, results, simulation
from testbed.progress import Progress
from testbed.tables import RunTables

SMALL = ("protocol=push,tree", "nodes=8", "loss_ratio=0.1", "messages=4", "concurrent=3")


def simulated(folder: Path, seed: int, *settings: str) -> RunTables:
    loaded = experiment.load("third_approach", settings=[*SMALL, *settings], repeats=9)
    path = simulation.simulate(loaded, seed=seed, folder=folder, progress=Progress())
    return results.load(path)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunTables, RunTables]:
    folder = tmp_path_factory.mktemp("pair")
    return simulated(folder / "one", 1), simulated(folder / "other", 2)


def test_runs_of_one_experiment_agree_each_variant_with_its_own(
    pair: tuple[RunTables, RunTables],
) -> None:
    rows = agreement.compared(*pair)
    cells = {("push", ""), ("tree", "ack"), ("tree", "nak")}
    assert set(zip(rows["protocol"], rows["variant"], strict=True)) == cells
    assert len(rows) == 3 * (len(agreement.RUN) + len(agreement.BATCH))
    assert (rows["p_holm"] > 0.05).all()


def test_every_third_send_missing_is_seen(pair: tuple[RunTables, RunTables]) -> None:
    one, other = pair
    gone = (other.events["event"] == "send") & (other.events.index % 3 == 0)
    fewer = dataclasses.replace(other, events=other.events[~gone])
    rows = agreement.compared(one, fewer)
    differ = rows[rows["p_holm"] < 0.05]
    assert set(zip(differ["protocol"], differ["metric"], strict=True)) >= {
        ("push", "data_per_message")
    }


def test_cells_under_other_options_are_not_compared(
    pair: tuple[RunTables, RunTables], tmp_path: Path
) -> None:
    lonelier = simulated(tmp_path, 1, "protocol=push", "fan_out=1")
    assert agreement.compared(pair[0], lonelier).empty
