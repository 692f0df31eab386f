"""The runs that an experiment asks for, whoever carries them out: emulation or simulation.

Seeds and sources depend on the experiment's seed, the cell and the repeat alone, so that both give
a run the same ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any

from agents import registry
from agents.options import make
from testbed import faults
from testbed.errors import UsageError
from testbed.experiment import Cell
from testbed.orders import Order

MEAN_ACTIVITY = 2 / 3
"""Nodes that spread, on the average over a dissemination and with room to spare: it is 0.5 for
push at 256 nodes (half of them are infected in the first half of the time)."""


@dataclass
class Replicate:
    """One run: what was ordered and what became of it."""

    order: Order
    cell: Cell
    boot: int
    start_ns: int = 0
    """When its first multicast is due: after the protocol's warm-up."""
    stop_ns: int = 0
    settled: set[int] = field(default_factory=set)
    """Nodes that have delivered or declared lost all of a stream."""
    faulty: frozenset[int] = frozenset()
    """Nodes that are dead, stopped or cut off from the source when the run ends."""
    reasons: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        cell, order = self.cell, self.order
        return {
            "run": order.run,
            "cell": cell.index,
            **cell_columns(cell),
            "round_s": order.round_s,
            "seed": order.seed,
            "boot": self.boot,
            "start_ns": self.start_ns,
            "stop_ns": self.stop_ns,
            "survivors": cell.nodes - len(self.faulty),
            "faulty": sorted(self.faulty),
            "reasons": "; ".join(self.reasons),
        }


COMMON = ("fan_out", "replacement", "retention")
"""Options that have a column each, since the claims of several protocols ask for them."""


def cell_columns(cell: Cell, subnets: int | None = None) -> dict[str, Any]:
    """What tells a cell from others, as columns; options that a protocol lacks are missing.

    The options of the protocol's own are one column, JSON in the order of their names.
    `subnets` are counted in the cell's network if None.
    """
    own = {name: value for name, value in cell.options.items() if name not in COMMON}
    return {
        "protocol": cell.protocol,
        "topology": cell.topology,
        "nodes": cell.nodes,
        "loss_ratio": cell.loss_ratio,
        "timing": cell.timing,
        **{name: cell.options.get(name) for name in COMMON},
        "options": json.dumps(own, sort_keys=True),
        "subnets": len(cell.graph().subnets) if subnets is None else subnets,
        "kind": cell.run.kind,
        "sources": cell.run.sources,
        "messages": cell.run.messages,
        "interval_s": cell.run.interval_s,
        "faults": faults.describe(cell.faults),
    }


def derive_seed(seed: int, *names: object) -> int:
    """A seed of 63 bits for a named part of an experiment: editing one leaves the others alone."""
    text = ":".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def concurrency(cell: Cell, round_s: float) -> int:
    """Multicasts at once that together ask for no more than `datagrams_per_s`, at least one."""
    if cell.run.concurrent is not None:
        return cell.run.concurrent
    if cell.run.kind == "stream":
        return 1
    a_round = cell.nodes * int(cell.options.get("fan_out", 1))
    busy = 1.0 if cell.run.kind == "saturated" else MEAN_ACTIVITY
    return max(1, int(cell.run.datagrams_per_s * round_s / (a_round * busy)))


def warm_up_s(cell: Cell) -> float:
    """Seconds that the protocol runs before the first multicast, 0 for what is no stream."""
    if cell.run.kind != "stream":
        return 0.0
    protocol = registry.load(cell.protocol_source).protocol
    found = protocol.warm_up_s(make(protocol.Options, cell.options), cell.nodes)
    if not 0 <= found < inf:
        raise UsageError(f"{cell.protocol}: warm_up_s is {found!r}; return seconds, 0 or more")
    return found


def replicates(
    seed: int,
    numbers: Iterator[int],
    boot: int,
    cell: Cell,
    count: int,
    round_s: float,
    *,
    first: int = 0,
    among: Sequence[int] | None = None,
) -> Iterator[Replicate]:
    """`count` runs of a cell, from its repeat `first` on; their sources are drawn from `among`.

    `numbers` gives each its number in the run directory.
    """
    warming_s = warm_up_s(cell)
    for repeat in range(first, first + count):
        own = derive_seed(seed, "run", cell.index, repeat)
        drawn = Random(derive_seed(own, "source"))
        order = Order(
            run=next(numbers),
            seed=own,
            protocol=cell.protocol_source,
            options=dict(cell.options),
            timing=cell.timing,
            round_s=round_s,
            sources=_sources(cell, drawn, among or range(cell.nodes)),
            payload_bytes=cell.run.payload_bytes,
            messages=cell.run.messages,
            interval_s=cell.run.interval_s,
            warm_up_s=warming_s,
            settle=cell.run.kind == "stream",
        )
        yield Replicate(order, cell, boot)


def _sources(cell: Cell, drawn: Random, among: Sequence[int]) -> list[int] | str:
    """The sources of one run; "all" where every node holds a multicast at the start."""
    run = cell.run
    if run.kind == "stream" and run.sources != "one":
        return sorted(drawn.sample(among, min(run.senders(cell.nodes), len(among))))
    return "all" if run.sources == "all" else [drawn.choice(among)]
