"""How the nodes of a simulated run begin, and what may befall them: crash, restart, pause, a step
of the clock.

Part of `testbed.simulator.event`. What befalls a node is called between
events (`Simulation.at`). A node that crashes loses its timers, what was about to be heard and all
that it did not `Store`; what it sent is under way. A paused one serves what came meanwhile when it
goes on, wake-ups first; its socket never overflows here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappush
from random import Random
from typing import Any, cast

from agents import run, streams
from agents.api import Actions, Message, NodeId, Protocol
from agents.registry import Plugin
from agents.run import EVERYBODYS
from agents.seeds import derive
from agents.streams import due_by
from agents.timing import Timing
from testbed.errors import TestbedError
from testbed.simulator.node import Node, Stepped, Wake
from testbed.simulator.paths import Network
from testbed.simulator.recorder import MULTICAST, NOTHING, START, What

UNUSED = Random(0)


class Lives:
    """What `Simulation` inherits; the fields are its own."""

    network: Network
    nodes: list[Node]
    now_ns: int
    missing: int
    unsettled: int
    _plugin: Plugin
    _options: Any
    _seed: int
    _timing: tuple[str, float]
    _everybody: bool
    _payload: bytes
    _home: list[int]
    _now: float
    _mine: dict[NodeId, int]
    _expected: int
    _interval_s: float
    _warm_up_s: float
    _serials: Iterator[int]
    _wakes: list[Wake]
    _arrived: deque[tuple[NodeId, NodeId, Message]]
    _kept: dict[NodeId, dict[str, bytes]]
    _ahead_s: dict[NodeId, float]
    _parting: dict[NodeId, bool]

    def crash(self, me: NodeId, *, returns: bool = True) -> None:
        """Ends a node's life. With `returns` false the run does not wait for it any more.

        Raises `TestbedError` for a node that is down.
        """
        node = self._living(me, "crash")
        node.over = node.down = True
        node.held = None
        self._parting[me] = returns
        if not returns:
            self._count(node, -1)

    def restart(self, me: NodeId) -> None:
        """Begins a node's next life, with what it stored. Raises `TestbedError` for one that is up.

        It draws anew, and goes on with the multicasts that are due from now on.
        """
        old = self.nodes[me]
        if not old.down:
            raise TestbedError(f"node {me} is up; crash it before it can restart")
        node = self.nodes[me] = self._born(me, old.life + 1)
        node.reached, node.settled = old.reached, old.settled
        if not self._parting.pop(me):
            self._count(node, 1)
        self._set_clock(node)
        node.timing.resume(self._now)
        node.begun = due_by(self.now_ns, self._interval_s, self._mine.get(me, 0), self._warm_up_s)
        self._open(node)

    def pause(self, me: NodeId) -> None:
        """Stops a node as SIGSTOP does. Raises `TestbedError` for one that is down or paused."""
        node = self._living(me, "pause")
        if node.held is not None:
            raise TestbedError(f"node {me} is paused; resume it first")
        if not node.over:
            node.over, node.held = True, []

    def resume(self, me: NodeId) -> None:
        """Lets a paused node go on; one that is not paused is left alone."""
        node = self.nodes[me]
        held, node.held = node.held, None
        if held is None:
            return
        node.over = False
        for each in held:
            if isinstance(each[2], Node):
                heappush(self._wakes, each)
            else:
                self._arrived.append(each[2:])

    def clock_step(self, me: NodeId, seconds: float) -> None:
        """Moves the clock that a node's protocol sees, in later lives too; forwards if positive."""
        self._ahead_s[me] = self._ahead_s.get(me, 0.0) + seconds
        self._set_clock(self.nodes[me])

    def _set_clock(self, node: Node) -> None:
        if node.me in self._ahead_s:
            protocol = node.protocol
            inner = protocol.inner if isinstance(protocol, Stepped) else protocol
            node.protocol = cast(Protocol, Stepped(inner, self._ahead_s[node.me]))

    def _living(self, me: NodeId, what: str) -> Node:
        node = self.nodes[me]
        if node.down:
            raise TestbedError(f"node {me} is down; restart it before you {what} it")
        return node

    def _count(self, node: Node, number: int) -> None:
        """Adds a node to those that the run waits for, or takes it out."""
        if not node.reached:
            self.missing += number
        if len(node.settled or ()) < self._expected:
            self.unsettled += number

    def _born(self, me: NodeId, life: int) -> Node:
        timing, round_s = self._timing
        drawn = timing in ("free", "poisson")
        name = f" {life}" if life else ""
        view = self.network.views[me]
        node = Node(
            me,
            self._home[me] * self.network.subnets,
            self._plugin.protocol(view, self._options, derive(self._seed, me, "targets" + name)),
            Timing(timing, round_s, derive(self._seed, me, "phase" + name) if drawn else UNUSED),
        )
        node.life = life
        return node

    def _open(self, node: Node) -> None:
        """Makes the calls that belong to the start of a node's life."""
        self._record(node, START, k=node.life)
        self._schedule_round(node)
        protocol, now = node.protocol, self._now
        try:
            if node.life:
                for key, value in self._kept.get(node.me, {}).items():
                    protocol.on_stored(key, value)
            actions = [*protocol.on_start(now)]
            if not node.life and self._everybody:
                actions += protocol.hold(EVERYBODYS, self._payload, now)
            elif not node.life and node.me in self._mine and not self._warm_up_s:
                actions += self._multicast(node)
            self._act(node, actions)
            self._schedule_multicast(node)
        except Exception as error:
            self._fail(node, error)

    def _multicast(self, node: Node) -> Actions:
        node.begun += 1
        actions = node.protocol.multicast(self._payload, self._now)
        origin, sequence = streams.named(node.me, actions)
        self._record(node, MULTICAST, What(origin=origin, sequence=sequence))
        return actions

    def _schedule_multicast(self, node: Node) -> None:
        if node.begun < self._mine.get(node.me, 0):
            due_ns = streams.due_ns(node.begun, self._interval_s, self._warm_up_s)
            self._set_timer(node, run.MULTICAST, due_ns)

    def _act(self, node: Node, actions: Actions) -> None:
        raise NotImplementedError

    def _fail(self, node: Node, error: Exception) -> None:
        raise NotImplementedError

    def _record(self, node: Node, kind: int, what: What = NOTHING, k: int | None = None) -> None:
        raise NotImplementedError

    def _schedule_round(self, node: Node) -> None:
        raise NotImplementedError

    def _set_timer(self, node: Node, name: str | int, due_ns: int) -> None:
        raise NotImplementedError
