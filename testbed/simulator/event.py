"""Drives the protocol objects of the agents in virtual time: one run, bit for bit repeatable.

The objects, their seeds, the timing modes and the records are those of the UDP driver
(`agents.run`), so a node draws the same targets and phases here as on an emulated host of the same
run seed; links are those of the graph (`testbed.simulator.paths`). The promises of `agents.api`
hold as they stand there. At one instant wake-ups come before messages, as in the UDP driver: in
`sync` all rounds of an instant begin before the first message of it is heard. Wake-ups of one
instant are served in the order in which they were set, messages in the order of arrival and, within
it, of sending.

Left out: the time that a node takes to compute, receive queues that overflow, crashes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence, Set
from heapq import heappop, heappush, heapreplace
from itertools import count
from math import inf
from random import Random
from typing import Any

from agents.api import (
    Action,
    CancelTimer,
    Deliver,
    Lost,
    Message,
    MessageId,
    NodeId,
    Note,
    Protocol,
    Radio,
    Send,
    SetTimer,
)
from agents.options import make
from agents.registry import Plugin
from agents.run import EVERYBODYS, ProtocolError
from agents.seeds import derive
from agents.timing import Timing
from agents.wire import HEADER_BYTES, MAX_BODY, Reason, encode
from testbed.errors import TestbedError
from testbed.simulator import recorder
from testbed.simulator.paths import Crossing, Network, Paths
from testbed.simulator.recorder import (
    BLOCK,
    DELIVER,
    DROP,
    DUPLICATE,
    ERROR,
    NOTE,
    NOTHING,
    RECEIVE,
    SEND,
    START,
    STOP,
    TICK,
    WIDTH,
    Recorder,
    What,
)

STANDSTILL = 1000
"""Events a node (and 1,000 nodes more) at one instant, after which time does not pass any more: a
timer set in the past by its own firing, or two nodes that answer each other without delay."""

Wake = tuple[int, int, "Node", str | None]
"""due_ns, serial, node, timer; None for a round."""
Flight = tuple[int, int, NodeId, NodeId, Message]
"""arrival_ns, serial, receiver, sender, message."""


class StandstillError(TestbedError):
    """Virtual time has stopped: the protocol sets off events without end at one instant."""


class Node:
    """One node: what the driver keeps of it beside its protocol object."""

    __slots__ = ("delivered", "listening", "me", "over", "protocol", "row", "timers", "timing")

    def __init__(self, me: NodeId, row: int, protocol: Protocol, timing: Timing) -> None:
        self.me = me
        self.row = row
        """Of the table of paths: its subnet's place times the number of subnets."""
        self.protocol = protocol
        self.timing = timing
        self.listening = True
        self.over = False
        self.delivered: Set[MessageId] = frozenset()
        self.timers: dict[str, int] | None = None
        """The serial of the wake-up that each timer waits for."""


class Simulation:
    """One run. Times are nanoseconds since its start; `advance` moves them.

    `sources` multicast at the start; with "all" every node holds one multicast. `infected` counts
    the nodes that have delivered something, `failures` words what protocols did wrong.
    """

    def __init__(
        self,
        network: Network,
        plugin: Plugin,
        options: Mapping[str, Any],
        *,
        seed: int,
        timing: str = "free",
        round_s: float = 0.5,
        sources: Sequence[NodeId] | str = (0,),
        payload_bytes: int = 64,
        record: Recorder | None = None,
    ) -> None:
        made = make(plugin.protocol.Options, options)
        plugin.protocol.check(made, network.nodes)
        self.network = network
        self.recorder = record or Recorder()
        self._write = self.recorder.flat.extend
        self._home = network.home
        self.now_ns = 0
        self.infected = 0
        self.failures: list[str] = []
        self.paths = Paths(network, seed)
        self._plugin = plugin
        self._sources = sources
        self._payload = bytes(payload_bytes)
        self._started = False
        self._now = 0.0
        self._serials = count()
        self._wakes: list[Wake] = []
        self._flights: list[Flight] = []
        self._arrived: deque[tuple[NodeId, NodeId, Message]] = deque()
        self._checked: Message | None = None
        self._limit = STANDSTILL * (network.nodes + 1000)
        unused = Random(0)
        drawn = timing in ("free", "poisson")
        self.nodes = [
            Node(
                view.me,
                network.home[view.me] * network.subnets,
                plugin.protocol(view, made, derive(seed, view.me, "targets")),
                Timing(timing, round_s, derive(seed, view.me, "phase") if drawn else unused),
            )
            for view in network.views
        ]

    def advance(self, until_ns: int, *, until_all: bool = False) -> None:
        """Serves everything up to `until_ns`; `until_all` ends with the last node's infection.

        Raises `StandstillError`.
        """
        if not self._started:
            self._start()
        wakes, flights, arrived = self._wakes, self._flights, self._arrived
        flat, full = self.recorder.flat, BLOCK * WIDTH
        everybody = len(self.nodes) if until_all else -1
        self._instant()
        while self.infected != everybody:
            next_ns = wakes[0][0] if wakes else until_ns + 1
            if flights and flights[0][0] < next_ns:
                next_ns = flights[0][0]
            if next_ns > until_ns:
                self.now_ns = until_ns
                return
            self.now_ns = next_ns
            self._now = next_ns / 1e9
            while flights and flights[0][0] == next_ns:
                arrived.append(heappop(flights)[2:])
            if not arrived:
                self._wake(wakes[0])  # most rounds have an instant to themselves
            if arrived or (wakes and wakes[0][0] <= next_ns):
                self._instant()
            if len(flat) > full:
                self.recorder.pack()

    def stop(self) -> None:
        """Ends the run at every node."""
        for node in self.nodes:
            if not node.over:
                node.over = True
                self._record(node, STOP)

    @property
    def crossings(self) -> list[Crossing]:
        """What the core router has forwarded so far."""
        return list(self.paths.crossings.values())

    def _start(self) -> None:
        self._started = True
        everybody = self._sources == "all"
        for node in self.nodes:
            self._record(node, START)
            self._schedule_round(node)
            try:
                self._act(node, node.protocol.on_start(0.0))
                if everybody:
                    self._act(node, node.protocol.hold(EVERYBODYS, self._payload, 0.0))
                elif node.me in self._sources:
                    self._act(node, node.protocol.multicast(self._payload, 0.0))
            except Exception as error:
                self._fail(node, error)

    def _instant(self) -> None:
        """Serves all that is due now, and what that sets off without delay."""
        wakes, arrived, now_ns = self._wakes, self._arrived, self.now_ns
        for _ in range(self._limit):
            if wakes and wakes[0][0] <= now_ns:
                self._wake(wakes[0])
            elif arrived:
                self._take(*arrived.popleft())
            else:
                return
        raise StandstillError(
            f"protocol {self._plugin.name}: {self._limit} events at {self._now} s and no end; "
            "does a timer set in the past set itself again, or every message set off another?"
        )

    def _wake(self, wake: Wake) -> None:
        """Serves the first of the wake-ups."""
        _, serial, node, name = wake
        if node.over:
            heappop(self._wakes)
            return
        try:
            if name is None:
                timing = node.timing
                k = timing.begin()
                heapreplace(self._wakes, (round(timing.due * 1e9), next(self._serials), node, None))
                self._write((self.now_ns, node.me, TICK, -1, k, NOTHING))
                actions = node.protocol.on_round(k, self._now)
            else:
                heappop(self._wakes)
                if node.timers is None or node.timers.get(name) != serial:
                    return  # replaced or cancelled
                del node.timers[name]
                actions = node.protocol.on_timer(name, self._now)
            if actions:
                self._act(node, actions)
        except Exception as error:
            self._fail(node, error)

    def _take(self, to: NodeId, sender: NodeId, message: Message) -> None:
        node = self.nodes[to]
        if node.over or not node.listening:
            reason = Reason.other_run if node.over else Reason.radio_off
            what = What(message.TYPE, bytes=HEADER_BYTES + len(message.body), reason=int(reason))
            peer = -1 if node.over else sender
            self._write((self.now_ns, to, DROP, peer, 0, what))
            return
        again = (message.origin, message.sequence) in node.delivered
        kind = DUPLICATE if again else RECEIVE
        self._write((self.now_ns, to, kind, sender, 0, message))
        try:
            actions = node.protocol.on_message(message, sender, self._now)
            if actions:
                self._act(node, actions, sender, message)
        except Exception as error:
            self._fail(node, error)

    def _act(
        self,
        node: Node,
        actions: Sequence[Action],
        sender: NodeId = -1,
        cause: Message | None = None,
    ) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._send(node, action.to, action.message)
            elif isinstance(action, Deliver):
                self._deliver(node, action.id, sender, cause)
            else:
                self._act_otherwise(node, action)

    def _act_otherwise(self, node: Node, action: Action) -> None:
        if isinstance(action, SetTimer):
            if node.timers is None:
                node.timers = {}
            serial = node.timers[action.name] = next(self._serials)
            heappush(self._wakes, (round(action.at * 1e9), serial, node, action.name))
        elif isinstance(action, CancelTimer):
            if node.timers is not None:
                node.timers.pop(action.name, None)
        elif isinstance(action, Note):
            self._record(node, NOTE, recorder.note(action.kind, action.value), 0)
        elif isinstance(action, Lost):
            origin, sequence = action.id
            self._record(node, recorder.LOST, What(origin=origin, sequence=sequence))
        elif isinstance(action, Radio):
            node.listening = action.on
        else:
            raise ProtocolError(f"{type(action).__name__} is not served by the simulator")

    def _send(self, node: Node, to: NodeId | str, message: Message) -> None:
        if not isinstance(to, int) or not 0 <= to < len(self._home):
            raise ProtocolError(f"Send to {to!r}; the simulator sends to 0..{len(self._home) - 1}")
        if message is not self._checked:
            self._check(node, message)
        me = node.me
        self._write((self.now_ns, me, SEND, to, 0, message))
        if to != me:
            path = self.paths[node.row + self._home[to]]
            if path is not None:
                size = HEADER_BYTES + len(message.body)
                for late_ns in path.carry(me, to, message.TYPE, size):
                    if late_ns:
                        arrival_ns = self.now_ns + late_ns
                        heappush(self._flights, (arrival_ns, next(self._serials), to, me, message))
                    else:
                        self._arrived.append((to, me, message))
                return
        self._arrived.append((to, me, message))

    def _check(self, node: Node, message: Message) -> None:
        """Refuses what the UDP driver would; a message is often sent several times in a row."""
        if self._plugin.messages.get(message.TYPE) is not type(message):
            raise ProtocolError(f"{type(message).__name__} is not listed in MESSAGES")
        fits = 0 <= message.hop <= 0xFFFF and 0 <= message.round <= 0xFFFFFFFF
        named = 0 <= message.origin <= 0xFFFFFFFF and 0 <= message.sequence <= 0xFFFFFFFF
        if not (fits and named and len(message.body) <= MAX_BODY):
            encode(message, run=0, protocol=0, sender=node.me, sent_ns=0)  # words the error
        self._checked = message

    def _deliver(self, node: Node, id: MessageId, sender: NodeId, cause: Message | None) -> None:
        if id in node.delivered:
            raise ProtocolError(f"{id} is delivered twice")
        came = cause is not None and cause.id == id
        hop = cause.hop + 1 if cause is not None and came else 0
        parent = sender if came else -1
        self._record(
            node, DELIVER, What(origin=id.origin, sequence=id.sequence, hop=hop, parent=parent)
        )
        if isinstance(node.delivered, set):
            node.delivered.add(id)
            return
        node.delivered = {id}
        self.infected += 1
        if node.timing.infect(self._now):
            self._schedule_round(node)

    def _fail(self, node: Node, error: Exception) -> None:
        """An exception ends the run at this node only."""
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        name = self.network.graph.hosts[node.me].name
        self.failures.append(f"the agent of {name} failed: {reason}")
        self._record(node, ERROR)
        self._record(node, STOP)
        node.over = True

    def _schedule_round(self, node: Node) -> None:
        if node.timing.due < inf:
            due_ns = round(node.timing.due * 1e9)
            heappush(self._wakes, (due_ns, next(self._serials), node, None))

    def _record(self, node: Node, kind: int, what: What = NOTHING, k: int | None = None) -> None:
        own_round = node.timing.k if k is None else k
        self._write((self.now_ns, node.me, kind, -1, own_round, what))
