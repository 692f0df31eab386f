"""Draws the faults of a run from its seed.

A draw comes from the seed by the fault's place in the file, so that emulated and simulated runs of
one seed lose the same nodes at the same times.

Several multicasts may share one timeline when they start together. Each draws its own targets and
its own source among `sources`, so given the timeline they are independent of each other, and
where targets are uniform the law of each depends on how many nodes are hit and when, not on which:
the victims are exchangeable. With a number of victims and times that are fixed the multicasts are
independent outright; where times are random, so is the timeline, and several are played.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from math import inf, log1p
from random import Random

from agents.seeds import derive
from testbed.errors import UsageError, near
from testbed.faults import TOGETHER, Fault, Selector, after_source, weather
from testbed.faults.timeline import ALL, Step, Timeline
from topologies.graph import Graph


class Drawing:
    """Draws the faults of one cell. Raises `UsageError` for what does not fit the network."""

    def __init__(
        self, faults: Sequence[Fault], graph: Graph, round_s: float, horizon_rounds: float
    ) -> None:
        self.faults = faults
        self.graph = graph
        self.round_s = round_s
        self.horizon_s = horizon_rounds * round_s

    def draw(self, seed: int, source: int | None = None) -> Timeline:
        """The timeline of a seed; `source` is what the selectors "source", "source+1" name."""
        sources = set(range(self.graph.nodes))
        steps: list[Step] = []
        sides: dict[int, tuple[frozenset[int], ...]] = {}
        targets: dict[int, tuple[int, ...]] = {}
        links: dict[int, str] = {}
        for place, fault in enumerate(self.faults):
            rng = derive(seed, "fault", place)
            if fault.kind == "partition":
                sides[place] = self._sides(fault, rng, source)
                hit = tuple(sorted(node for side in sides[place] for node in side))
            elif fault.router is not None:
                self._check_router(fault, fault.router)
                if fault.kind != "loss":
                    links[place] = fault.router
                    sides[place] = (frozenset(self._below(fault, fault.router)),)
                hit = ()
            else:
                hit = self._nodes(fault, fault.nodes, rng, source)
                if fault.policy == "excluded":
                    sources -= set(hit)
                elif fault.policy == "included" and not fault.follows_source:
                    sources &= set(hit)
            if fault.kind == "partition" and fault.policy != "any" and not fault.follows_source:
                within = set(hit) if fault.policy == "included" else sources - set(hit)
                sources &= within
            targets[place] = hit
            steps += islice(self._steps(place, fault, hit, rng), MAX_STEPS + 1 - len(steps))
            if len(steps) > MAX_STEPS:
                raise UsageError(
                    f"fault {fault}: more than {MAX_STEPS:,} steps before the horizon of "
                    f"{self.horizon_s:g} s; choose fewer nodes, a longer period_s or a lower rate"
                )
        if not sources:
            words = "; ".join(str(fault) for fault in self.faults)
            raise UsageError(
                f'faults {words}: no node is left to multicast; say source = "any", or hit fewer'
            )
        inside = [step for step in steps if step.at_s < self.horizon_s]
        # Sorted by time only: what is asked for at one time happens in the order of the file.
        inside.sort(key=lambda step: (step.infected is not None, step.at_s))
        turns = frozenset(place for place, fault in enumerate(self.faults) if fault.kind in TURNS)
        return Timeline(tuple(inside), tuple(sorted(sources)), sides, targets, links, turns)

    def _steps(self, place: int, fault: Fault, hit: tuple[int, ...], rng: Random) -> Iterator[Step]:
        for at_s, nodes in self._times(fault, hit, rng):
            for after_s, do, some in self._apart(fault, at_s, nodes, rng):
                seconds, lifts = fault.seconds or 0.0, fault.kind in LIFTS
                yield Step(after_s, do, some, place, fault.at_infected, seconds, lifts)

    def _times(
        self, fault: Fault, hit: tuple[int, ...], rng: Random
    ) -> Iterator[tuple[float, tuple[int, ...]]]:
        """When the fault begins, and for whom."""
        if fault.between_rounds is not None:
            low, high = fault.between_rounds
            alone = bool(hit) and fault.kind not in TOGETHER
            for nodes in [(node,) for node in hit] if alone else [hit]:
                yield rng.uniform(low, high) * self.round_s, nodes
        elif fault.each_round is not None:
            rounds = _dealt(fault.each_round, len(hit))
            for place, node in enumerate(rng.sample(hit, len(hit))):
                yield rounds[place] * self.round_s, (node,)
        elif fault.kind == "churn":
            for node in hit:
                yield self._seconds(fault.at_s, fault.at_round), (node,)
        else:
            yield self._seconds(fault.at_s, fault.at_round), hit

    def _apart(
        self, fault: Fault, at_s: float, nodes: tuple[int, ...], rng: Random
    ) -> Iterator[tuple[float, str, tuple[int, ...]]]:
        """The steps of one beginning: (time, what is done, to whom)."""
        length_s = self._seconds(fault.for_s, fault.for_rounds) or None
        end_s = self.horizon_s if length_s is None else min(at_s + length_s, self.horizon_s)
        if fault.kind == "churn":
            yield from self._churn(fault, at_s, end_s, nodes, rng)
            return
        if fault.profile is not None:
            for number, row in enumerate(fault.profile):
                yield at_s + row.time_s, "weather", (number,)
            return
        if fault.kind in TURNS:
            yield from _turns(fault, at_s, end_s, nodes)
            return
        begin, end = _ENDS[fault.kind]
        yield at_s, begin, nodes
        if end and length_s is not None:
            yield end_s, end, nodes

    def _churn(
        self, fault: Fault, at_s: float, end_s: float, nodes: tuple[int, ...], rng: Random
    ) -> Iterator[tuple[float, str, tuple[int, ...]]]:
        assert fault.leave_ratio is not None and fault.away_rounds is not None
        while True:
            at_s += _exponential(fault.leave_ratio, rng) * self.round_s
            if at_s >= end_s:
                return
            yield at_s, "kill", nodes
            at_s += rng.expovariate(1 / fault.away_rounds) * self.round_s
            yield at_s, "restart", nodes

    def _check_router(self, fault: Fault, name: str) -> None:
        """Raises `UsageError` for a router that is not there, or lacks what the fault is of."""
        routers = {router.name for router in self.graph.routers}
        if name not in routers:
            raise UsageError(f"fault {fault}: no router {name!r}; {near(name, routers)}")
        if fault.kind != "loss" and name == self.graph.core.name:
            raise UsageError(
                f"fault {fault}: {name} is the core, which has no link above it; "
                f"{near('', routers - {name})} below it"
            )

    def _seconds(self, seconds: float | None, rounds: float | None) -> float:
        return seconds if seconds is not None else (rounds or 0.0) * self.round_s

    def _sides(self, fault: Fault, rng: Random, source: int | None) -> tuple[frozenset[int], ...]:
        sides: list[frozenset[int]] = []
        taken: set[int] = set()
        for selector in fault.sets or ():
            side = self._nodes(fault, selector, rng, source, taken)
            if twice := sorted(taken & set(side)):
                raise UsageError(
                    f"fault {fault}: node {twice[0]} is in two of the sets; take it out of one"
                )
            taken |= set(side)
            sides.append(frozenset(side))
        if len(taken) == self.graph.nodes and len(sides) == 1:
            raise UsageError(f"fault {fault}: the only set has all nodes; leave some out")
        return tuple(sides)

    def _nodes(
        self,
        fault: Fault,
        selector: Selector | None,
        rng: Random,
        source: int | None,
        taken: set[int] = frozenset(),  # type: ignore[assignment]
    ) -> tuple[int, ...]:
        """The nodes that a selector stands for, in order; `taken` ones are not drawn."""
        if selector is None:
            return ALL
        if (places := after_source(selector)) is not None:
            return () if source is None else ((source + places) % self.graph.nodes,)
        everyone = range(self.graph.nodes)
        pool = everyone if fault.within is None else self._below(fault, fault.within)
        if isinstance(selector, str):
            return tuple(pool if selector == "all" else self._below(fault, selector))
        if isinstance(selector, tuple):
            if wrong := [node for node in selector if node not in everyone]:
                raise UsageError(
                    f"fault {fault}: no node {wrong[0]}; there are 0..{self.graph.nodes - 1}"
                )
            return tuple(sorted(selector))
        free = [node for node in pool if node not in taken]
        count = int(selector * len(pool) + 1e-9) if isinstance(selector, float) else selector
        if not 0 < count <= len(free):
            raise UsageError(
                f"fault {fault}: {selector} is {count} nodes, to be drawn from {len(free)}; "
                f"choose a number or fraction that gives 1..{len(free)}"
            )
        return tuple(sorted(rng.sample(free, count)))

    def _below(self, fault: Fault, name: str) -> list[int]:
        """The nodes of a subnet, or below a router."""
        graph = self.graph
        names = [*(s.name for s in graph.subnets), *(r.name for r in graph.routers)]
        if name not in names:
            raise UsageError(f"fault {fault}: no subnet or router {name!r}; {near(name, names)}")
        if name in (subnet.name for subnet in graph.subnets):
            return [host.node for host in graph.hosts_of(name)]
        return [host.node for host in graph.hosts if name in _above(graph, host.node)]


_ENDS = {
    "kill": ("kill", "restart"),
    "restart": ("restart", ""),
    "pause": ("pause", "resume"),
    "resume": ("resume", ""),
    "clock_step": ("clock", ""),
    "link_down": ("down", "up"),
    "link_up": ("up", ""),
    "partition": ("cut", "join"),
    "heal": ("join", ""),
    "loss": ("lossy", "clear"),
}
"""The step with which a kind begins, and the one with which it ends."""

LIFTS = ("restart", "resume", "link_up", "heal")
"""The kinds that end what other faults hold."""

TURNS = ("slow", "flap")
"""The kinds that are taken apart into turns."""

MAX_STEPS = 1_000_000
"""Of one timeline: seven seconds to draw, 130 MB to keep. Churn of 100,000 nodes has 500,000."""


def _turns(
    fault: Fault, at_s: float, end_s: float, nodes: tuple[int, ...]
) -> Iterator[tuple[float, str, tuple[int, ...]]]:
    """Off and on in every period: a slow node runs first, a flapping link is down first."""
    assert fault.share is not None
    period_s = fault.period_s or SLOW_PERIOD_S
    off, on = ("pause", "resume") if fault.kind == "slow" else ("down", "up")
    first = fault.share * period_s if fault.kind == "slow" else 0.0
    length = (1 - fault.share if fault.kind == "slow" else fault.share) * period_s
    turn = 0
    while (start_s := at_s + turn * period_s + first) < end_s:
        yield start_s, off, nodes
        yield min(start_s + length, end_s), on, nodes
        turn += 1


SLOW_PERIOD_S = 0.1
"""A turn of a slow node: what a scheduler gives a process of low weight on a busy machine."""


def _dealt(ratio: float, nodes: int) -> list[float]:
    """The rounds at which nodes fail when this share of those left fails in each round.

    The quantiles of the exponential law: so many fail by a time as are expected to, and only who
    they are is left to chance.
    """
    return [log1p(-(rank + 0.5) / nodes) / log1p(-ratio) if ratio else inf for rank in range(nodes)]


def _exponential(ratio: float, rng: Random) -> float:
    """Rounds until something that happens with this probability in each round."""
    return rng.expovariate(-log1p(-ratio)) if ratio else inf


def _above(graph: Graph, node: int) -> Iterator[str]:
    """The routers above a node, the nearest first."""
    router = graph.router_of(graph.hosts[node])
    yield router.name
    while router.parent is not None:
        router = graph.router(router.parent)
        yield router.name


def check(
    faults: Sequence[Fault],
    graph: Graph,
    *,
    kind: str,
    round_s: float | None,
    horizon_rounds: float,
    concurrent: int | None,
) -> None:
    """Raises `UsageError` for faults that do not fit the network or the run of a cell."""
    if not faults:
        return
    if kind == "saturated":
        raise UsageError(
            f"faults {faults[0]}: not in runs of kind {kind}; choose dissemination or stream"
        )
    if round_s is None:
        raise UsageError(f'faults {faults[0]}: round_s = "auto" has no rounds to count; give one')
    for fault in faults:
        if kind == "stream" and fault.at_infected is not None:
            raise UsageError(
                f"fault {fault}: at_infected is of one multicast, not of a stream; give at_s"
            )
        alone = fault.at_infected is not None or fault.follows_source
        if alone and concurrent != 1:
            what = "at_infected" if fault.at_infected is not None else "whom it hits"
            raise UsageError(f"fault {fault}: {what} is of one multicast; set run.concurrent = 1")
        if graph.lan != "routed" and fault.kind in ("link_down", "flap") and fault.router is None:
            raise UsageError(f'fault {fault}: links of hosts need lan = "routed"')
    profiles = {place: fault.profile for place, fault in enumerate(faults, 1) if fault.profile}
    weather.check(graph, profiles)
    Drawing(faults, graph, round_s, horizon_rounds).draw(0, source=0)
