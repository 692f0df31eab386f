"""Runs in batches: what starts together shares one timeline of faults.

Several multicasts of a cell are under way at once; an agent that is killed is dead for all of them.
So a batch starts at one time, its faults are drawn once, and each multicast draws its own source
and its own targets. See `testbed.faults.drawing` for why that leaves the law of each alone. Where
all has gone wrong before the start, or nothing does, runs of a batch may follow one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.experiment import Cell
from testbed.faults.drawing import Drawing
from testbed.faults.timeline import Timeline
from testbed.replicates import Replicate, concurrency, derive_seed, replicates


@dataclass(frozen=True)
class Batch:
    """Runs that start together, and what goes wrong in them."""

    timeline: Timeline
    replicates: list[Replicate]

    @property
    def runs(self) -> list[int]:
        return [replicate.order.run for replicate in self.replicates]

    def source(self, replicate: Replicate) -> int:
        """The node whose side counts: the first source of a run."""
        sources = replicate.order.sources
        return sources[0] if isinstance(sources, list) else self.timeline.sources[0]

    def facts(self) -> dict[str, Any]:
        """What was drawn, for the manifest."""
        return {
            "cell": self.replicates[0].cell.index,
            "runs": self.runs,
            "steps": [
                {
                    "at_s": step.at_s,
                    "do": step.do,
                    "nodes": list(step.nodes),
                    "fault": step.fault,
                    **({} if step.infected is None else {"infected": step.infected}),
                }
                for step in self.timeline.steps
            ],
        }


SETTLED = 2
"""Batches, and so sets of victims, where nothing happens after the start: each costs its slowest
run, and one would do."""


def batches(
    seed: int, numbers: Iterator[int], boot: int, cell: Cell, round_s: float
) -> Iterator[Batch]:
    """All repeats of a cell; `numbers` gives each run its number in the run directory."""
    horizon = cell.run.sending_s() / round_s + cell.run.horizon_rounds
    drawing = Drawing(cell.faults, cell.graph(), round_s, horizon)
    size = concurrency(cell, round_s)
    alike = not any(fault.follows_source for fault in cell.faults)
    if cell.run.kind != "stream" and alike and drawing.draw(0).settled:
        size = max(size, -(-cell.run.repeats // (SETTLED if cell.faults else 1)))
    for place, first in enumerate(range(0, cell.run.repeats, size)):
        own = derive_seed(seed, "faults", cell.index, place)
        timeline = drawing.draw(own)
        count = min(size, cell.run.repeats - first)
        mine = list(
            replicates(
                seed, numbers, boot, cell, count, round_s, first=first, among=timeline.sources
            )
        )
        sources = mine[0].order.sources
        if isinstance(sources, list):  # whom the selector "source" stands for is known by now
            timeline = drawing.draw(own, sources[0])
        yield Batch(timeline, mine)
