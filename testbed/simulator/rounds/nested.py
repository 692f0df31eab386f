"""Topology-aware push over subnets, sites, ..., every node drawn, with its router crossings.

Model: rounds with a barrier. A node draws each target by itself: outside its group of g members
with probability 1/g, at every level, then uniformly in the ring between two levels [the lecture's
topology-aware gossip; for one level of subnets P(outside) = 1/n_i]. `aware=False` draws uniform
targets over the same groups. Targets may repeat. A crossing is counted at the sender's group,
before loss, as a router that drops nothing sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from testbed.errors import UsageError
from testbed.simulator.memory import check_memory
from testbed.simulator.mixing import LAST_ROUND
from testbed.simulator.outcome import Outcome, join
from testbed.simulator.rounds.population import CHUNK, Population
from testbed.simulator.rounds.uniform import blocks

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """One multicast over nested groups. UsageError for a value outside its domain."""

    levels: tuple[tuple[int, ...], ...]
    """Sizes of the groups, innermost level first: ((8, 8),) is two subnets of 8. Everyone is no
    level of its own. Members have consecutive numbers."""
    fan_out: int = 1
    aware: bool = True
    loss_ratio: float = 0.0
    """Chance that a datagram is lost, 0..1, each by itself."""
    crashed: int = 0
    """Nodes dead from the start, drawn for each run; never the source."""
    saturated: bool = False
    """Start with everyone infected, to measure the load, rather than with node 0."""
    max_rounds: int = LAST_ROUND

    def __post_init__(self) -> None:
        if not self.levels or any(len(level) < 2 for level in self.levels):
            raise UsageError(f"levels = {self.levels}: each level needs two groups or more")
        if len({sum(level) for level in self.levels}) > 1 or min(map(min, self.levels)) < 1:
            raise UsageError(f"levels = {self.levels}: sizes must be positive, with equal sums")
        for inner, outer in pairwise(self.levels):
            if not set(np.cumsum(outer)) <= set(np.cumsum(inner)):
                raise UsageError(f"levels = {self.levels}: a group is cut by one of a higher level")
        for name, low, high in (
            ("fan_out", 1, 2**16),
            ("loss_ratio", 0.0, 1.0),
            ("crashed", 0, self.nodes - 1),
            ("max_rounds", 1, LAST_ROUND),
        ):
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"{name} = {getattr(self, name)} is not within {low}..{high}")
        if (self.saturated or self.loss_ratio == 1.0) and self.max_rounds == LAST_ROUND:
            raise UsageError("a saturated run, or one in which all is lost, needs max_rounds")

    @property
    def nodes(self) -> int:
        return sum(self.levels[0])


def two_subnets(nodes: int) -> tuple[tuple[int, ...], ...]:
    """The levels of two subnets of equal size, the second one larger by 1 if nodes is odd."""
    return ((nodes // 2, nodes - nodes // 2),)


def spread(nested: Nested, runs: int = 1, seed: int = 0) -> tuple[Outcome, Ints]:
    """Simulates independent runs: their outcome, and the crossings [run, round, level].

    A crossing of level l is a datagram to outside the sender's group of that level, in the round
    (not up to it). The same (nested, runs, seed) gives the same result.
    """
    check_memory(nested.nodes, 26 + 16 * len(nested.levels))
    parts, crossings = [], []
    for size, rng in blocks(runs, nested.nodes, seed):
        people, crossed = _block(nested, size, rng)
        parts.append(people.outcome(keep_nodes=False))
        crossings.append(crossed)
    length = max(part.shape[1] for part in crossings)
    padded = [np.pad(part, ((0, 0), (0, length - part.shape[1]), (0, 0))) for part in crossings]
    return join(nested.nodes - nested.crashed, parts), np.concatenate(padded)


def _block(nested: Nested, runs: int, rng: np.random.Generator) -> tuple[Population, Ints]:
    nodes = nested.nodes
    dead = np.zeros((runs, nodes), dtype=np.bool_)
    for run in range(runs if nested.crashed else 0):
        dead[run, 1 + rng.choice(nodes - 1, nested.crashed, replace=False)] = True
    first = np.arange(runs, dtype=np.int64) * nodes
    sources = np.flatnonzero(~dead) if nested.saturated else first
    people = Population(runs, nodes, dead.ravel(), sources, run_on=nested.saturated)
    starts, sizes = _groups(nested)
    crossings = [np.zeros((runs, len(nested.levels)), dtype=np.int64)]
    while len(people.active) and people.round < nested.max_rounds:
        sends = people.per_run(people.active) * nested.fan_out
        crossed = np.zeros_like(crossings[0])
        new = [np.empty(0, np.int64)]
        for start in range(0, len(people.active), CHUNK):
            senders = np.repeat(people.active[start : start + CHUNK], nested.fan_out)
            base = people.base(senders)
            me = senders - base
            targets = _targets(nested, rng, me, starts, sizes)
            for level in range(len(nested.levels)):
                outside = starts[level][targets] != starts[level][me]
                crossed[:, level] += people.per_run(senders[outside])
            targets += base
            if nested.loss_ratio:
                targets = targets[rng.random(len(targets)) >= nested.loss_ratio]
            new.append(people.infect(targets))
        crossings.append(crossed)
        people.end_round(np.concatenate(new), sends)
    return people, np.stack(crossings, axis=1)


def _groups(nested: Nested) -> tuple[list[Ints], list[Ints]]:
    """For each level and node: the first number of the node's group, and the group's size."""
    starts, sizes = [], []
    for level in nested.levels:
        members = np.asarray(level, dtype=np.int64)
        starts.append(np.repeat(np.cumsum(members) - members, members))
        sizes.append(np.repeat(members, members))
    return starts, sizes


def _targets(
    nested: Nested, rng: np.random.Generator, me: Ints, starts: list[Ints], sizes: list[Ints]
) -> Ints:
    """One target for each sender: uniform in a ring between an inner and an outer group."""
    inner_start, inner_size = me, np.ones_like(me)
    outer_start, outer_size = np.zeros_like(me), np.full_like(me, nested.nodes)
    if nested.aware:
        # One number decides the ring: it is outside the group of g members if below 1/g.
        u = rng.random(len(me))
        settled = np.zeros(len(me), dtype=np.bool_)
        inner_start = me.copy()
        for level_start, level_size in zip(starts, sizes, strict=True):
            start, size = level_start[me], level_size[me]
            outside = u * size < 1.0
            here = ~outside & ~settled
            outer_start[here], outer_size[here] = start[here], size[here]
            inner_start[outside], inner_size[outside] = start[outside], size[outside]
            settled |= here
    targets: Ints = outer_start + rng.integers(0, outer_size - inner_size)
    targets += np.where(targets >= inner_start, inner_size, 0)
    return targets
