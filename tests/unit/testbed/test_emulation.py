"""What an emulation makes of its gates: whose runs are voided, with no network at all."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest

from testbed import experiment
from testbed.emulation import Emulation
from testbed.experiment import Cell
from testbed.faults.batches import Batch
from testbed.faults.hosts import Player
from testbed.faults.timeline import Timeline
from testbed.progress import Progress
from testbed.replicates import Replicate, replicates
from testbed.session import Session

LATENCY = experiment.load("latency", settings=["nodes=8", "protocol=push"])


def emulation() -> Emulation:
    return Emulation(LATENCY, 1, Progress(), 0)


def runs(*, first: int, round_s: float) -> list[Replicate]:
    return list(replicates(1, count(first), 0, LATENCY.cells[0], 2, round_s))


def test_packets_that_left_their_links_late_void_the_runs_that_they_were_of_alone() -> None:
    """Of two batches on one network the second is late, by more than a tenth of its round."""
    lateness = iter([4.0, 25.0])
    shaping = SimpleNamespace(late_ms=lambda: next(lateness))
    session = cast(Session, SimpleNamespace(shaping=shaping))
    early, late = runs(first=1, round_s=0.2), runs(first=3, round_s=0.2)
    for each in (early, late):
        emulation()._judge_links(session, each)
    assert [each.reasons for each in early] == [[], []]
    assert [each.reasons for each in late] == [["packets 25 ms late at p99, limit 20 ms"]] * 2


@pytest.mark.parametrize("late", ["", "step kill of fault 0 45 ms late, limit 40 ms"])
def test_a_step_that_came_late_voids_every_run_of_its_batch(late: str) -> None:
    batch = Batch(Timeline((), (0,), {}, {}, {}), runs(first=1, round_s=0.4))
    player: Any = SimpleNamespace(windows=[], unplugged={3}, late=late, played=[])
    mine = emulation()
    faulty = cast(Cell, SimpleNamespace(faults=["a kill"]))
    mine._note_faults(faulty, batch, cast(Player, player))
    assert [each.reasons for each in batch.replicates] == [[late] if late else []] * 2
    assert mine.unplugged == {1: {3}, 2: {3}}
