"""What an adversary does to a group: a value that a test can shrink and a report can repeat."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from agents.api import NodeId, View

NODES = range(2, 10)
CALM_S = 2.0
"""Up to here datagrams are lost and nodes crash; shorter than any protocol takes to give up."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A node is down from one time to another; it has forgotten all but what it stored."""

    node: NodeId
    at_s: float
    back_s: float | None
    """When it starts again; None for never."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run. Node numbers are taken modulo the number of nodes, times are in seconds."""

    seed: int = 0
    """Of every draw that the fields leave open, and of the protocol's own."""
    nodes: int = 4
    subnets: int = 1
    """Of nearly equal sizes, numbered through."""
    loss_ratio: float = 0.0
    """Of datagrams sent before `CALM_S`, as the next."""
    duplicate_ratio: float = 0.0
    delay_s: float = 0.01
    """The longest way; each datagram draws its own, so that they overtake each other."""
    late_s: float = 0.0
    """The most by which a timer fires late."""
    multicasts: tuple[tuple[float, NodeId], ...] = ((0.0, 0),)
    """When and by whom; a node that is down then sends nothing."""
    crashes: tuple[Crash, ...] = ()

    @property
    def views(self) -> tuple[View, ...]:
        """What each node knows of the others."""
        count = min(self.subnets, self.nodes)
        bounds = [self.nodes * index // count for index in range(count + 1)]
        subnets = tuple(range(*pair) for pair in pairwise(bounds))
        everyone = range(self.nodes)
        return tuple(
            View(node, (subnet, everyone) if count > 1 else (everyone,), subnets)
            for subnet in subnets
            for node in subnet
        )


def draw(rng: Random) -> Schedule:
    """Draws a schedule; a third of them are without loss, and a third without crashes."""
    nodes = rng.choice(NODES)
    times = sorted(rng.uniform(0.0, CALM_S) for _ in range(rng.randint(1, 8)))
    sources = [rng.randrange(nodes) for _ in range(rng.randint(1, 2))]
    crashes = []
    for _ in range(rng.choice((0, 1, 2))):
        at_s = rng.uniform(0.0, CALM_S)
        back_s = rng.choice((None, at_s + rng.uniform(0.0, 0.5), at_s + rng.uniform(0.5, CALM_S)))
        node = rng.choice((rng.randrange(nodes), rng.choice(sources)))
        crashes.append(Crash(node, at_s, back_s))
    return Schedule(
        seed=rng.getrandbits(32),
        nodes=nodes,
        subnets=rng.randint(1, 3),
        loss_ratio=rng.choice((0.0, 0.1, 0.5)),
        duplicate_ratio=rng.choice((0.0, 0.3)),
        delay_s=rng.choice((0.0, 0.005, 0.3)),
        late_s=rng.choice((0.0, 0.05)),
        multicasts=tuple((time, rng.choice(sources)) for time in times),
        crashes=tuple(crashes),
    )
