"""Deliberately wrong protocols, networks, harnesses and estimators, and what must notice each.

`patch` makes the mutant with pytest's monkeypatch; `check` names one of tests.mutants.checks. A
mutant that goes unnoticed is a hole in the checks: close it there, not here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from agents import registry
from agents.parts import stores, targets
from agents.parts.rumours import Rumours
from agents.timing import Timing
from testbed import replicates
from testbed.metrics import rounds_to_all
from testbed.simulator import paths
from testbed.tables import RunTables
from tests.mutants import checks
from tests.mutants.estimators import ESTIMATORS
from tests.mutants.multicasts import MULTICASTS
from tests.mutants.patching import Patch, put, wrapped

PROTOCOL, NETWORK, HARNESS, ESTIMATOR = "protocol", "network", "harness", "estimator"


@dataclass(frozen=True)
class Mutant:
    """`kind` says what is wrong with it, `says` how."""

    kind: str
    says: str
    check: str
    patch: Patch


def protocol(name: str) -> Any:
    return registry.load(name).protocol


def spoiling(change: Callable[[RunTables], RunTables]) -> Patch:
    """A harness that records wrongly."""
    return put(checks, "spoil", change)


def kept(table: str, share: float, event: str | None = None) -> Patch:
    """Loses lines of a table: keeps a share of the rows, or of those of one event."""

    def change(tables: RunTables) -> RunTables:
        rows: pd.DataFrame = getattr(tables, table)
        lucky = np.random.default_rng(1).random(len(rows)) < share
        chosen = lucky if event is None else lucky | (rows["event"] != event).to_numpy()
        fewer: dict[str, Any] = {table: rows[chosen]}
        return replace(tables, **fewer)

    return spoiling(change)


# Protocols.


def _among_all(rng: Any, group: range, without: range, count: int, _: bool) -> list[int]:
    return [group[rng.randrange(len(group))] for _ in range(count)]


def _lower_half(rng: Any, group: range, without: range, count: int, _: bool) -> list[int]:
    left = targets.size(group, without)
    low = [min(rng.randrange(left), rng.randrange(left)) for _ in range(count)]
    return [targets.member(group, without, index) for index in low]


def _next_door(rng: Any, group: range, without: range, count: int, _: bool) -> list[int]:
    subnet = range(group.start, group.stop // 2)
    near = subnet if without.start in subnet else range(subnet.stop, group.stop)
    inside = rng.random() < 0.7
    return [targets.pick(rng, near if inside else group, without) for _ in range(count)]


def _always_different(true: Any) -> Any:
    return lambda rng, group, without, count, _: true(rng, group, without, count, False)


def _one_more(true: Any) -> Any:
    return lambda *given: true(*given[:3], given[3] + 1, given[4])


def _every_other_round(true: Any) -> Any:
    return lambda self, k: true(self, k) if k % 2 else []


def _crosses_twice_as_often(self: Any) -> int:
    u = self.rng.random() / 2
    for group, inner in self.shells[:-1]:
        if u >= 1 / len(group):
            return targets.pick(self.rng, group, inner)
    return targets.pick(self.rng, *self.shells[-1])


def _stays(self: Any) -> int:
    for group, inner in self.shells[:-1]:
        if len(group) > 1 and self.rng.random() < 0.99:
            return targets.pick(self.rng, group, inner)
    return targets.pick(self.rng, *self.shells[-1])


def _passes_on_at_once(true: Any) -> Any:
    return lambda self, digest, now, *most: true(self, digest, math.inf, *most)


def _own_round_only(true: Any) -> Any:
    def begin_round(self: Any, k: int) -> Any:
        actions = list(true(self, k))
        for id in list(self.hot):
            del self.hot[id]
        return actions

    return begin_round


PROTOCOLS = (
    ("a node may choose itself", "targets", put(targets, "pick_many", _among_all)),
    ("low numbers are chosen more often", "targets", put(targets, "pick_many", _lower_half)),
    (
        "targets never repeat, though they may",
        "targets",
        wrapped(targets, "pick_many", _always_different),
    ),
    ("neighbours are preferred", "C11", put(targets, "pick_many", _next_door)),
    ("a target too many", "C1", wrapped(targets, "pick_many", _one_more)),
    (
        "every other round is lost with its timer",
        "C1",
        wrapped(protocol("push"), "on_round", _every_other_round),
    ),
    (
        "a rumour is dropped after one round",
        "C1",
        wrapped(Rumours, "begin_round", _own_round_only),
    ),
    (
        "topology-aware choice crosses twice as often",
        "C12",
        put(protocol("topology_aware"), "draw_one", _crosses_twice_as_often),
    ),
    (
        "topology-aware choice hardly leaves its subnet",
        "C12",
        put(protocol("topology_aware"), "draw_one", _stays),
    ),
    (
        "pull asks in every other round only",
        "pull chain",
        wrapped(protocol("pull"), "on_round", _every_other_round),
    ),
    (
        "push-pull hands on what it learns in the same instant",
        "push_pull chain",
        wrapped(stores.Store, "missing", _passes_on_at_once),
    ),
)


# Networks.


def _lost_again(true: Any) -> Any:
    def carry(self: Any, sender: int, to: int, kind: int, size: int) -> Any:
        late = true(self, sender, to, kind, size)
        return true(self, sender, to, kind, size) if late else late

    return carry


def _without_loss(true: Any) -> Any:
    def carry(self: Any, *given: Any) -> Any:
        true(self, *given)
        return (0,)

    return carry


def _twice(true: Any) -> Any:
    def carry(self: Any, *given: Any) -> Any:
        return [*true(self, *given), 0]

    return carry


def _busy(tables: RunTables) -> RunTables:
    ticks = tables.events["event"] == "tick"
    late_ns = 0.15e9 * tables.runs["round_s"].iloc[0]
    value = tables.events["value"].where(~ticks, late_ns)
    return replace(tables, events=tables.events.assign(value=value))


def _slow(tables: RunTables) -> RunTables:
    stretched = {"time_ns": (tables.deliveries["time_ns"] * 1.15).astype("int64")}
    later = {"time_ns": (tables.events["time_ns"] * 1.15).astype("int64")}
    return replace(
        tables,
        deliveries=tables.deliveries.assign(**stretched),
        events=tables.events.assign(**later),
    )


NETWORKS = (
    ("loss strikes twice", "push chain, loss", wrapped(paths.Path, "carry", _lost_again)),
    (
        "loss that was asked for is not there",
        "push chain, loss",
        wrapped(paths.Path, "carry", _without_loss),
    ),
    ("each datagram comes twice", "crossed", wrapped(paths.Path, "carry", _twice)),
    ("agents are late by 15% of a round", "gates", spoiling(_busy)),
    ("a clock is 15% slow", "C1 recorded", spoiling(_slow)),
)


# Harnesses.


def _node_zero(true: Any) -> Any:
    def drawn(*given: Any) -> Any:
        for replicate in true(*given):
            yield replace(
                replicate, order=replace(replicate.order, sources=[replicate.order.sources[0] // 2])
            )

    return drawn


def _not_reset(tables: RunTables) -> RunTables:
    batches = tables.batches.copy()
    batches["core_packets"] = batches.groupby("batch")["core_packets"].cumsum()
    return replace(tables, batches=batches)


def _counts_both_ways(tables: RunTables) -> RunTables:
    return replace(
        tables, batches=tables.batches.assign(core_packets=tables.batches["core_packets"] * 2)
    )


def _round_too_many(true: Any) -> Any:
    return lambda *given: true(*given) + 1


def _round_early(true: Any) -> Any:
    def make(self: Any, mode: str, round_s: float, rng: Any) -> None:
        true(self, mode, round_s, rng)
        if mode == "sync":
            self._first = self.due = 0.0

    return make


def _forgets_lateness(tables: RunTables) -> RunTables:
    late = tables.events["event"].isin(["tick", "receive", "duplicate"])
    return replace(tables, events=tables.events[~late])


HARNESSES = (
    (
        "sources are drawn from the lower half",
        "sources",
        wrapped(replicates, "replicates", _node_zero),
    ),
    ("a counter is not reset between periods", "C11 recorded", spoiling(_not_reset)),
    ("packets are counted on their way in and out", "C11 recorded", spoiling(_counts_both_ways)),
    ("one line in four of what was sent is lost", "C1 recorded", kept("events", 0.75, "send")),
    (
        "one line in a hundred of what was delivered is lost",
        "C1 recorded",
        kept("deliveries", 0.99),
    ),
    ("lateness is not written down", "gates", spoiling(_forgets_lateness)),
    (
        "times are a round too long",
        "C1 recorded",
        wrapped(rounds_to_all, "periods_to", _round_too_many),
    ),
    ("rounds begin a round early", "push chain", wrapped(Timing, "__init__", _round_early)),
)


MUTANTS = tuple(
    Mutant(kind, *each)
    for kind, group in (
        (PROTOCOL, (*PROTOCOLS, *MULTICASTS)),
        (NETWORK, NETWORKS),
        (HARNESS, HARNESSES),
        (ESTIMATOR, ESTIMATORS),
    )
    for each in group
)
