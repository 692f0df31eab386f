"""Faults whose victims depend on who multicasts: each run has its own."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from testbed import experiment
from testbed.errors import UsageError
from testbed.experiment import Cell
from testbed.faults.batches import Batch, batches

FILE = """
[grid]
nodes = 8
protocol = "push"
[run]
round_s = 0.5
repeats = 6
concurrent = {concurrent}
[[faults]]
at_round = 0
{fault}
"""


def cell(folder: Path, fault: str, concurrent: int = 1) -> Cell:
    path = folder / "mine.toml"
    path.write_text(FILE.format(fault=fault, concurrent=concurrent))
    return experiment.load(str(path)).cells[0]


def drawn(cell: Cell) -> list[Batch]:
    return list(batches(1, count(1), 0, cell, 0.5))


def source_of(batch: Batch) -> int:
    (replicate,) = batch.replicates
    assert isinstance(replicate.order.sources, list)
    return replicate.order.sources[0]


def test_the_node_after_the_source_is_that_of_each_run(tmp_path: Path) -> None:
    found = drawn(cell(tmp_path, 'kind = "kill"\nnodes = "source+1"'))
    hit = [batch.timeline.steps[0].nodes for batch in found]
    assert hit == [((source_of(batch) + 1) % 8,) for batch in found]
    assert len(found) == 6 and len(set(hit)) > 1


def test_the_source_may_be_parted_from_all_others(tmp_path: Path) -> None:
    found = drawn(cell(tmp_path, 'kind = "partition"\nsets = ["source"]'))
    assert len(found) == 6
    assert all(b.timeline.sides == {0: (frozenset({source_of(b)}),)} for b in found)


@pytest.mark.parametrize(
    "fault", ['kind = "kill"\nnodes = "source"', 'kind = "partition"\nsets = ["source+2"]']
)
def test_what_follows_the_source_needs_one_run_at_a_time(fault: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is of one multicast; set run.concurrent = 1"):
        cell(tmp_path, fault, concurrent=2)


def test_a_set_with_the_source_is_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"sets = \['source', 's1'\]: .*; give it alone"):
        cell(tmp_path, 'kind = "partition"\nsets = ["source", "s1"]')
