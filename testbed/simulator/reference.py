"""An independent reference: draws epidemics in `free` timing directly, sharing no agent code.

Model: each node has one free-running timer of period 1 and uniformly random phase, untouched by
infection; at each tick an infected node draws `fan_out` targets; a datagram arrives at once, or is
lost [PROTOCOLS section 0, FREE]. No closed form exists for this timing, so emulated runs are held
against these draws. It is written to be read, and shares nothing with what it checks.
"""

from __future__ import annotations

import heapq
import math
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Epidemic(NamedTuple):
    """One multicast; times are in periods since the source had it, infinite when never."""

    infected_at: list[float]
    parent: list[int]
    sends: list[tuple[float, int, int]]
    """(time, sender, target) of each datagram, in the order sent, up to the end of the epidemic."""
    phase: list[float]


def draw(
    nodes: int,
    fan_out: int = 1,
    *,
    rng: Random,
    topology_aware: bool = False,
    subnets: int = 2,
    replacement: bool = True,
    loss_ratio: float = 0.0,
    rounds: float = math.inf,
    horizon: float = math.inf,
    crashed: int = 0,
    crash_ratio: float = 0.0,
    sources: int = 1,
) -> Epidemic:
    """Draws one epidemic that starts at node 0 and ends when all are infected or silent.

    Subnets are equal blocks of consecutive nodes. A node falls silent after `rounds` own rounds.
    `crashed` others are dead from the start, and nobody knows. `crash_ratio` is the share of the
    nodes still up, the source among them, that crashes in each period: who and when is drawn, the
    times themselves are the quantiles of the exponential law. `sources` start at once.
    """
    cuts = [nodes * i // subnets for i in range(subnets + 1)]
    home = [(low, high - low) for low, high in pairwise(cuts) for _ in range(low, high)]
    phase = [rng.random() for _ in range(nodes)]
    infected_at, parent, left = [math.inf] * nodes, [-1] * nodes, nodes - 1
    dies_at = [math.inf] * nodes
    if crash_ratio:
        quantiles = [(i + 0.5) / nodes for i in range(nodes)]
        dies_at = [math.log(1 - q) / math.log1p(-crash_ratio) for q in quantiles]
        rng.shuffle(dies_at)
    for dead in rng.sample(range(sources, nodes), crashed) if crashed else ():
        dies_at[dead] = 0.0
    infected_at[:sources] = [0.0] * sources
    left -= crashed + sources - 1
    sends: list[tuple[float, int, int]] = []
    ticks = sorted((phase[first], first, 1) for first in range(sources))

    def target(me: int) -> int:
        start, size = home[me]
        if not topology_aware:
            start, size = 0, nodes
        elif rng.random() < 1 / size:
            return (start + size + int(rng.random() * (nodes - size))) % nodes
        return start + (me - start + 1 + int(rng.random() * (size - 1))) % size

    while ticks and left:
        now, me, own_round = heapq.heappop(ticks)
        if own_round > rounds or now > min(horizon, dies_at[me]):
            continue
        heapq.heappush(ticks, (now + 1, me, own_round + 1))
        chosen: list[int] = []
        while len(chosen) < fan_out and left:
            to = target(me)
            if not replacement and to in chosen:
                continue
            chosen.append(to)
            sends.append((now, me, to))
            alive = now < dies_at[to]
            if alive and infected_at[to] == math.inf and rng.random() >= loss_ratio:
                infected_at[to], parent[to], left = now, me, left - 1
                # The next tick of a timer that has been running all along.
                heapq.heappush(ticks, (phase[to] + math.ceil(now - phase[to]), to, 1))
    return Epidemic(infected_at, parent, sends, phase)


class Sample(NamedTuple):
    """Many epidemics under the same conditions, one row or entry a run."""

    infected_at: Floats
    """(runs, nodes), each row in ascending order: entry i is when i+1 nodes were infected."""
    sends: Floats
    """Datagrams sent up to the last infection, or to the end."""
    alive: int
    """Nodes that were not dead from the start."""

    @property
    def rounds_to_all(self) -> Floats:
        """Until every node that was not dead from the start is infected."""
        return np.asarray(self.infected_at[:, self.alive - 1])

    @property
    def reach(self) -> Floats:
        """The share of all nodes that was infected at some time, 0..1."""
        return np.asarray(np.isfinite(self.infected_at).mean(axis=1))


@lru_cache(maxsize=256)
def sample(
    nodes: int,
    fan_out: int = 1,
    *,
    runs: int = 1000,
    seed: int = 1,
    topology_aware: bool = False,
    subnets: int = 2,
    replacement: bool = True,
    loss_ratio: float = 0.0,
    rounds: float = math.inf,
    horizon: float = math.inf,
    crashed: int = 0,
    crash_ratio: float = 0.0,
    sources: int = 1,
) -> Sample:
    """Draws `runs` epidemics; the same arguments give the same ones."""
    rng = Random(f"{nodes} {fan_out} {seed} {topology_aware}")
    drawn = [
        draw(
            nodes,
            fan_out,
            rng=rng,
            topology_aware=topology_aware,
            subnets=subnets,
            replacement=replacement,
            loss_ratio=loss_ratio,
            rounds=rounds,
            horizon=horizon,
            crashed=crashed,
            crash_ratio=crash_ratio,
            sources=sources,
        )
        for _ in range(runs)
    ]
    times = np.sort(np.array([e.infected_at for e in drawn]), axis=1)
    return Sample(times, np.array([float(len(e.sends)) for e in drawn]), nodes - crashed)
