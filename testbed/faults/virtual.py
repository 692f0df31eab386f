"""Plays a timeline on a simulated run: the same steps, at their exact times.

What differs from hosts: a partition, a link that is down or a router's loss swallows a datagram
that goes to one node as it is sent, so none of them crosses the core (on hosts it meets the rule at
its receiver's router, or at the one that loses); a host whose link is down does not notice (on
hosts its sends fail); a slow node's queue never overflows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents.api import NodeId
from agents.seeds import derive
from testbed.faults import Fault
from testbed.faults.timeline import Playback, State, Step, Timeline
from testbed.faults.weather import Weather
from testbed.simulator import paths
from testbed.simulator.event import Simulation


def check(faults: Sequence[Fault]) -> None:
    """Raises `UsageError` for weather that would end a simulation halfway."""
    for number, fault in enumerate(faults, 1):
        for row in fault.profile or ():
            values = dict(row.fields)
            limits = values.get("rate_mbit"), values.get("queue_packets")
            paths.check(f"[[faults]] number {number}, {row}", *limits)


class VirtualPlayer:
    """The faults of one simulated run, whose timeline begins at `start_ns`.

    `source` is the node whose side counts.
    """

    def __init__(
        self,
        simulation: Simulation,
        faults: Sequence[Fault],
        timeline: Timeline,
        *,
        seed: int,
        source: NodeId,
        start_ns: int = 0,
    ) -> None:
        self.state = State(simulation.network.nodes, timeline)
        self._simulation = simulation
        self._playback = Playback(timeline)
        self._source = source
        self._start_ns = start_ns
        self._reached: set[NodeId] = set()
        self._interrupted = False
        self._losses = {
            place: Loss(fault, timeline.targets[place], seed, place)
            for place, fault in enumerate(faults)
            if fault.kind == "loss"
        }
        self._weathers = {
            place: Weather(simulation.network.graph, fault.profile)
            for place, fault in enumerate(faults)
            if fault.profile is not None
        }

    def play(self, horizon_ns: int) -> bool:
        """Runs until all correct nodes have the multicast and none is to come back; true then.

        Otherwise it ends at the horizon.
        """
        simulation = self._simulation
        self.begin()
        while True:
            self._recount()
            simulation.advance(horizon_ns, until_all=True)
            if not self._interrupted:
                return not simulation.missing
            self._interrupted = False
            self._schedule()

    def begin(self) -> None:
        """Does what is due before the start, and lets the rest happen as the run advances."""
        self._simulation.watch = self._watch
        self._do(self._playback.take(0.0))
        self._schedule()

    @property
    def faulty(self) -> frozenset[int]:
        """The nodes that are not correct now."""
        return frozenset(range(self.state.nodes)) - self.state.correct(self._source)

    def _schedule(self) -> None:
        if self._playback.next_s < float("inf"):
            due_ns = self._start_ns + round(self._playback.next_s * 1e9)
            self._simulation.at(max(due_ns, self._simulation.now_ns), self._step)

    def _step(self) -> None:
        self._do(self._playback.take(self._seconds() + 1e-9))
        self._recount()
        self._schedule()

    def _watch(self, node: NodeId) -> None:
        """A node has its first delivery."""
        self._reached.add(node)
        before_s = self._playback.next_s
        fraction = len(self._reached) / self.state.nodes
        self._playback.reached(fraction, self._seconds())
        self._recount()
        if self._playback.next_s < before_s:
            # The driver looks for calls between its strides: end this one.
            self._interrupted = True
            self._simulation.missing = 0

    def _seconds(self) -> float:
        """The time on the timeline's clock."""
        return (self._simulation.now_ns - self._start_ns) / 1e9

    def _recount(self) -> None:
        left = self.state.correct(self._source) - self._reached
        self._simulation.missing = len(left) + self._playback.returning

    def _do(self, steps: Sequence[Step]) -> None:
        simulation = self._simulation
        for step in steps:
            changed = self.state.apply(step)
            if step.do == "weather":
                for name, impairment in self._weathers[step.fault].take(step.nodes[0]).items():
                    simulation.paths.impair(name, impairment)
            acts: dict[str, Callable[[NodeId], None]] = {
                # A stream does not wait for those who will not come back.
                "kill": lambda node: simulation.crash(node, returns=bool(self._playback.returning)),
                "restart": simulation.restart,
                "pause": simulation.pause,
                "resume": simulation.resume,
                "clock": lambda node, by=step.seconds: simulation.clock_step(node, by),  # type: ignore[misc]
            }
            for node in changed if step.do in acts else ():
                assert isinstance(node, int)
                acts[step.do](node)
        state = self.state
        quiet = not (state.cuts or state.down or state.severed or state.lossy)
        simulation.reaches = None if quiet else self._reaches
        simulation.forwards = self._spares if state.lossy else None

    def _reaches(self, sender: NodeId, receiver: NodeId) -> bool:
        return not self.state.parted(sender, receiver) and self._spares(receiver)

    def _spares(self, where: NodeId | str) -> bool:
        """Whether a datagram to that node, or at that router, is not lost to any fault."""
        return not any(self._losses[place].hits(where) for place in self.state.lossy)


class Loss:
    """The further loss of one fault, towards some nodes or at a router."""

    def __init__(self, fault: Fault, targets: Sequence[int], seed: int, place: int) -> None:
        self._where: frozenset[NodeId | str] = frozenset(
            targets if fault.router is None else (fault.router,)
        )
        self._ratio = fault.loss_ratio or 0.0
        self._random = derive(seed, "fault loss", place).random

    def hits(self, where: NodeId | str) -> bool:
        """Whether a datagram to that node, or at that router, is lost to it."""
        return where in self._where and self._random() < self._ratio
