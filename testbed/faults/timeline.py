"""What happens to whom and when, in one run or in runs that start together; who is correct then.

Kinds of faults that go on for a while are taken apart into steps of a few plain sorts: a slow node
is one that is stopped and continued many times, churn is killing and restarting. A `Playback` hands
the steps out when they are due and a `State` says who is up and who reaches whom; both drivers, of
emulated hosts and of simulated nodes, use them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

RETURNS = ("restart", "resume", "up", "join")
"""What may make a node correct again: a run is not over while such a step is to come."""

ALL: tuple[int, ...] = ()
"""As the nodes of a `restart`, `resume`, `up` or `join`: all that are concerned."""

BEGINS = {"kill": "dead", "pause": "paused", "down": "down", "cut": "cut", "lossy": "lossy"}
ENDS = {"restart": "dead", "resume": "paused", "up": "down", "join": "cut", "clear": "lossy"}
"""The steps that bring an effect, and those that end it."""

Key = int | str
"""What an effect is on: a node, a router (the link above it), or the fault that cuts or loses."""


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
    lifts: bool = False
    """Whether it ends an effect whichever faults hold it, not this fault's hold alone."""


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
    turns: frozenset[int] = frozenset()
    """The faults that come and go all the time: slow nodes and flapping links."""

    @property
    def settled(self) -> bool:
        """Whether all happens before the start: then runs need not start together."""
        return all(step.at_s <= 0 and step.infected is None for step in self.steps)


class State:
    """Who is up and who reaches whom, as the steps change it.

    Faults may overlap: each holds its effect on a node, which ends when the last lets go, or at
    once by a fault that is there to end it (restart, resume, link_up, heal).
    """

    def __init__(self, nodes: int, timeline: Timeline) -> None:
        self.nodes = nodes
        self._held: dict[str, dict[Key, set[int]]] = {effect: {} for effect in BEGINS.values()}
        """By effect, and by what it is on, the faults that hold it."""
        self._links = timeline.links
        self._turns = timeline.turns
        self._sides = {
            timeline.links.get(fault, fault): self._numbered(sides)
            for fault, sides in timeline.sides.items()
        }
        """The side of each node, by the partition's fault or the router whose link is down."""
        self._parting: list[list[int]] = []
        """Of these, those in force."""
        self._correct: dict[int, frozenset[int]] = {}
        """What `correct` has found since the last step."""

    @property
    def dead(self) -> set[int]:
        return _numbers(self._held["dead"])

    @property
    def paused(self) -> set[int]:
        return _numbers(self._held["paused"])

    @property
    def down(self) -> set[int]:
        """The nodes whose link is down."""
        return _numbers(self._held["down"])

    @property
    def severed(self) -> set[str]:
        """The routers of which the link above is down."""
        return {key for key in self._held["down"] if isinstance(key, str)}

    @property
    def cuts(self) -> set[int]:
        """The partitions that are in force."""
        return _numbers(self._held["cut"])

    @property
    def lossy(self) -> set[int]:
        """The loss faults that are in force."""
        return _numbers(self._held["lossy"])

    @property
    def failed(self) -> set[int]:
        """The nodes that are dead or stopped; a slow one is neither, whoever's turn it is."""
        return _numbers({**self._lasting("dead"), **self._lasting("paused")})

    def apply(self, step: Step) -> tuple[Key, ...]:
        """Takes a step in; returns what it changes something for: nodes, a router, or faults."""
        if step.do in BEGINS:
            changed = self._take(step, self._held[BEGINS[step.do]])
        elif step.do in ENDS:
            changed = self._let_go(step, self._held[ENDS[step.do]])
        else:
            return step.nodes
        self._parting = self._parted_by(self._held["down"])
        self._correct.clear()
        return changed

    def parted(self, a: int, b: int) -> bool:
        """Whether no datagram of one reaches the other now."""
        return _parted(a, b, self._held["down"], self._parting)

    def correct(self, source: int) -> frozenset[int]:
        """The nodes that are up and that the source reaches: those that a run must reach.

        A link that flaps is there, whoever's turn it is. Drivers ask at every report of an agent.
        """
        if source not in self._correct:
            down = self._lasting("down")
            parting = self._parted_by(down)
            up = set(range(self.nodes)) - self.failed
            self._correct[source] = frozenset(
                node for node in up if not _parted(source, node, down, parting)
            )
        return self._correct[source]

    def _take(self, step: Step, held: dict[Key, set[int]]) -> tuple[Key, ...]:
        keys = self._keys(step)
        if step.do == "pause":
            keys = tuple(key for key in keys if key not in self._held["dead"])
        changed = tuple(key for key in keys if key not in held)
        for key in keys:
            held.setdefault(key, set()).add(step.fault)
            if step.do == "kill":  # what starts in its place is not stopped
                self._held["paused"].pop(key, None)
        return changed

    def _let_go(self, step: Step, held: dict[Key, set[int]]) -> tuple[Key, ...]:
        changed = []
        for key in self._keys(step) or tuple(held):
            faults = held.get(key, set())
            left = set() if step.lifts else faults - {step.fault}
            if left:
                held[key] = left
            elif faults:
                del held[key]
                changed.append(key)
        return tuple(changed)

    def _keys(self, step: Step) -> tuple[Key, ...]:
        if step.do in ("cut", "join", "lossy", "clear"):
            return ALL if step.lifts else (step.fault,)
        return (self._links[step.fault],) if step.fault in self._links else step.nodes

    def _lasting(self, effect: str) -> dict[Key, set[int]]:
        """What an effect is on, but for what comes in turns only."""
        held = self._held[effect]
        return {key: faults for key, faults in held.items() if faults - self._turns}

    def _parted_by(self, down: Mapping[Key, set[int]]) -> list[list[int]]:
        """The sides of all partitions, and of the routers among `down`."""
        routers = [key for key in down if isinstance(key, str)]
        return [self._sides[key] for key in (*self._held["cut"], *routers)]

    def _numbered(self, sides: Sequence[frozenset[int]]) -> list[int]:
        number = [0] * self.nodes
        for place, side in enumerate(sides, 1):
            for node in side:
                number[node] = place
        return number


def _parted(a: int, b: int, down: Mapping[Key, set[int]], sides: Sequence[list[int]]) -> bool:
    return a != b and (a in down or b in down or any(side[a] != side[b] for side in sides))


def _numbers(keys: Iterable[Key]) -> set[int]:
    return {key for key in keys if isinstance(key, int)}


class Playback:
    """Hands out the steps of a timeline when they are due, on whatever clock."""

    def __init__(self, timeline: Timeline) -> None:
        self._due = [step for step in timeline.steps if step.infected is None]
        self._waiting = [step for step in timeline.steps if step.infected is not None]
        self._turns = timeline.turns

    @property
    def next_s(self) -> float:
        """When the next step is due, in seconds since the start; infinite when none is."""
        return self._due[0].at_s if self._due else inf

    @property
    def returning(self) -> bool:
        """Whether a step is to come that may make a node correct again, as turns never do."""
        return any(step.do in RETURNS and step.fault not in self._turns for step in self._due)

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
