"""What happens to whom and when, in one run or in runs that start together; who is correct then.

Kinds of faults that go on for a while are taken apart into steps of a few plain sorts: a slow node
is one that is stopped and continued many times, churn is killing and restarting. A `Playback` hands
the steps out when they are due and a `State` says who is up and who reaches whom; both drivers, of
emulated hosts and of simulated nodes, use them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

RETURNS = ("restart", "resume", "up", "join")
"""What may make a node correct again: a run is not over while such a step is to come."""

ALL: tuple[int, ...] = ()
"""As the nodes of a `restart`, `resume` or `up`: all that are concerned."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to some nodes at one time."""

    at_s: float
    """Since the start of the run or, with `infected`, since that fraction had the multicast."""
    do: str
    """kill, restart, pause, resume, clock, down, up, cut, join, lossy, clear or weather."""
    nodes: tuple[int, ...] = ALL
    """Of a weather, the row of its profile instead."""
    fault: int = 0
    """Its place in the experiment file, from 0."""
    infected: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """The steps in the order of time, and who may multicast."""

    steps: tuple[Step, ...]
    sources: tuple[int, ...]
    sides: Mapping[int, tuple[frozenset[int], ...]]
    """Of each partition (and each link above a router) by its fault: sets that only reach
    themselves; the nodes of no set form one more."""
    targets: Mapping[int, tuple[int, ...]]
    """The nodes that each fault hits; empty for one of a router."""
    links: Mapping[int, str]
    """The router of each fault of the link above one."""

    @property
    def settled(self) -> bool:
        """Whether all happens before the start: then runs need not start together."""
        return all(step.at_s <= 0 and step.infected is None for step in self.steps)


class State:
    """Who is up and who reaches whom, as the steps change it."""

    def __init__(self, nodes: int, timeline: Timeline) -> None:
        self.nodes = nodes
        self.dead: set[int] = set()
        self.paused: set[int] = set()
        self.down: set[int] = set()
        self.cuts: dict[int | str, list[int]] = {}
        """The side of each node, by the partition's fault or the router whose link is down."""
        self.lossy: set[int] = set()
        """The loss faults that are in force."""
        self._sides = timeline.sides
        self.links = timeline.links

    def apply(self, step: Step) -> tuple[int, ...]:
        """Takes a step in; returns the nodes for whom it changes something."""
        if step.do == "cut":
            self.cuts[step.fault] = self._numbered(self._sides[step.fault])
        elif step.do == "join":
            partitions = [name for name in self.cuts if isinstance(name, int)]
            for name in [step.fault] if step.fault in self.cuts else partitions:
                del self.cuts[name]
        elif step.fault in self.links:
            router = self.links[step.fault]
            if step.do == "up":
                self.cuts.pop(router, None)
            elif step.do == "down":
                self.cuts[router] = self._numbered(self._sides[step.fault])
        elif step.do == "lossy":
            self.lossy.add(step.fault)
        elif step.do == "clear":
            self.lossy.discard(step.fault)
        elif step.do in ("kill", "pause", "down"):
            return self._hit(step)
        elif step.do in ("restart", "resume", "up"):
            return self._spare(step)
        return step.nodes

    def parted(self, a: int, b: int) -> bool:
        """Whether no datagram of one reaches the other."""
        if a == b:
            return False
        if a in self.down or b in self.down:
            return True
        return any(side[a] != side[b] for side in self.cuts.values())

    def correct(self, source: int) -> set[int]:
        """The nodes that are up and that the source reaches: those that a run must reach."""
        up = set(range(self.nodes)) - self.dead - self.paused
        return {node for node in up if not self.parted(source, node)}

    def _hit(self, step: Step) -> tuple[int, ...]:
        which = {"kill": self.dead, "pause": self.paused, "down": self.down}[step.do]
        changed = set(step.nodes) - which
        if step.do == "pause":
            changed -= self.dead
        which |= changed
        if step.do == "kill":
            self.paused -= changed
        return tuple(sorted(changed))

    def _spare(self, step: Step) -> tuple[int, ...]:
        which = {"restart": self.dead, "resume": self.paused, "up": self.down}[step.do]
        changed = which & set(step.nodes) if step.nodes else set(which)
        which -= changed
        return tuple(sorted(changed))

    def _numbered(self, sides: Sequence[frozenset[int]]) -> list[int]:
        number = [0] * self.nodes
        for place, side in enumerate(sides, 1):
            for node in side:
                number[node] = place
        return number


class Playback:
    """Hands out the steps of a timeline when they are due, on whatever clock."""

    def __init__(self, timeline: Timeline) -> None:
        self._due = [step for step in timeline.steps if step.infected is None]
        self._waiting = [step for step in timeline.steps if step.infected is not None]

    @property
    def next_s(self) -> float:
        """When the next step is due, in seconds since the start; infinite when none is."""
        return self._due[0].at_s if self._due else inf

    @property
    def returning(self) -> bool:
        """Whether a step is to come that may make a node correct again."""
        return any(step.do in RETURNS for step in self._due)

    def take(self, now_s: float) -> list[Step]:
        """The steps that are due by now."""
        count = sum(step.at_s <= now_s for step in self._due)
        taken, self._due = self._due[:count], self._due[count:]
        return taken

    def reached(self, fraction: float, now_s: float) -> None:
        """This fraction of the nodes has the multicast: what waited for it is timed from now."""
        for step in [each for each in self._waiting if fraction >= (each.infected or 0.0)]:
            self._waiting.remove(step)
            self._due.append(replace(step, at_s=now_s + step.at_s))
        self._due.sort(key=lambda step: step.at_s)
