"""Emulated agents and their simulated twins are the same objects with the same seeds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from agents import registry
from testbed import experiment, results, simulation
from testbed.emulation import emulate
from testbed.progress import Progress
from testbed.tables import RunTables

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

SETTINGS = ("nodes=8", "run.round_s=0.2", "concurrent=2", "horizon_rounds=20")
DRAWN = {
    "push": [0x10],
    "topology_aware": [0x11],
    "pull": [0x12],
    "push_pull": [0x14, 0x1B],
    "rumor": [0x16],
}
"""The messages that each protocol sends to the targets that it draws."""


def both(protocol: str, folder: Path) -> tuple[RunTables, RunTables]:
    loaded = experiment.load("latency", settings=SETTINGS, protocols=[protocol], repeats=2)
    emulated = emulate(loaded, seed=7, folder=folder / "emulated", progress=Progress())
    simulated = simulation.simulate(
        loaded, seed=7, folder=folder / "simulated", progress=Progress()
    )
    return results.load(emulated), results.load(simulated)


def due(tables: RunTables) -> pd.Series[int]:
    """When each round was due, by run, host and round."""
    ticks = tables.events[tables.events["event"] == "tick"]
    since = (ticks["time_ns"] - ticks["value"]).astype("int64")
    since.index = pd.MultiIndex.from_frame(ticks[["run", "host", "round"]])
    return since


def targets(tables: RunTables, kinds: list[int]) -> dict[tuple[int, int], list[int]]:
    """Whom each host drew in each run, in order."""
    events = tables.events.sort_values("time_ns", kind="stable")
    sends = events[(events["event"] == "send") & events["type"].isin(kinds)]
    groups = sends.groupby(["run", "host"])["peer"]
    return {key: list(peers) for key, peers in groups}  # type: ignore[misc]


@pytest.mark.parametrize("protocol", registry.names())
def test_twins_have_the_same_rounds_and_draw_the_same_targets(
    protocol: str, tmp_path: Path
) -> None:
    emulated, simulated = both(protocol, tmp_path)
    assert emulated.health["unexplained"] == []
    assert list(emulated.runs["seed"]) == list(simulated.runs["seed"])
    one, other = due(emulated), due(simulated)
    shared = one.index.intersection(other.index)
    assert one[shared].equals(other[shared])
    for tables in (emulated, simulated):
        assert (tables.deliveries.groupby("run")["host"].nunique() >= 4).all()
    if protocol not in DRAWN:  # its rounds decide nothing, and a run may be over before the first
        return
    assert len(shared) >= 2 * 8
    mine, theirs = (targets(tables, DRAWN[protocol]) for tables in (emulated, simulated))
    alike = mine.keys() & theirs.keys()
    assert len(alike) >= 2
    for key in alike:
        length = min(len(mine[key]), len(theirs[key]))
        assert mine[key][:length] == theirs[key][:length]
