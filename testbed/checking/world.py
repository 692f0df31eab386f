"""Drives protocol objects in memory as an adversary's schedule wants, and writes down what they do.

The promises of `agents.api` are kept, and nothing more: datagrams are lost, doubled and overtake
each other, timers fire late (or, as clocks count nanoseconds, early by half of one), nodes crash
and come back with what they stored. Every message goes through its bytes. After `CALM_S` nothing
is lost or doubled any more and no node crashes.
Left out: rates, queues, and what a multicast group's tree would share of a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import isfinite
from typing import Any, NamedTuple

from agents import blame
from agents.api import (
    Action,
    Actions,
    Broadcast,
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
    Store,
)
from agents.registry import Plugin
from agents.seeds import derive
from agents.timing import Timing
from agents.wire import Dialect, Reason, decode, encode
from testbed.checking.schedule import CALM_S, Schedule

ROUND_S = 0.25
PAYLOAD = b"payload"
STANDSTILL = 20_000
"""Events in a row at one instant, after which time is taken to stand still."""
RUN = 1


class Happening(NamedTuple):
    """One line of the history. `life` counts a node's starts, from 0."""

    time_s: float
    node: NodeId
    life: int
    kind: str
    """multicast, deliver, lost, crash, start or error."""
    id: MessageId | None = None
    text: str = ""


class Node:
    """One life of one node."""

    def __init__(self, protocol: Protocol, timing: Timing, life: int) -> None:
        self.protocol = protocol
        self.timing = timing
        self.life = life
        self.listening = True
        self.timers: dict[str, int] = {}


class World:
    """One run of a schedule; `history` tells what happened, `sends` counts by message type."""

    def __init__(self, plugin: Plugin, options: Any, schedule: Schedule) -> None:
        self.plugin = plugin
        self.options = options
        self.schedule = schedule
        self.history: list[Happening] = []
        self.sends: dict[int, int] = {}
        self.actions: list[tuple[NodeId, Action]] = []
        self.now = 0.0
        self.stored: list[dict[str, bytes]] = [{} for _ in range(schedule.nodes)]
        self.nodes: list[Node | None] = [None] * schedule.nodes
        self._lives = [0] * schedule.nodes
        self._made = [0] * schedule.nodes
        self._views = schedule.views
        self._chance = derive(schedule.seed, "adversary")
        self._dialect = {RUN: Dialect(plugin.number, plugin.messages)}
        self._serials = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        for node in range(schedule.nodes):
            self._start(node)
        for crash in schedule.crashes:
            node = crash.node % schedule.nodes
            self._at(crash.at_s, partial(self._crash, node))
            if crash.back_s is not None:
                self._at(max(crash.back_s, crash.at_s), partial(self._start, node))
        for time_s, node in schedule.multicasts:
            self._at(time_s, partial(self._multicast, node % schedule.nodes))

    def advance(self, until_s: float) -> None:
        """Serves everything up to a time; a standstill is written down as an error."""
        alike, last = 0, -1.0
        while self._events and self._events[0][0] <= until_s:
            self.now, _, call = heappop(self._events)
            alike = alike + 1 if self.now == last else 0
            last = self.now
            if alike > STANDSTILL:
                self._tell(0, "error", text=f"{STANDSTILL} events at one instant and no end")
                return
            call()
        self.now = until_s

    def hear(self, node: NodeId, message: Message, sender: NodeId) -> None:
        """A message arrives at a node, whoever made it."""
        here = self.nodes[node]
        if here is not None and here.listening:
            self._call(node, lambda: here.protocol.on_message(message, sender, self.now))

    # The life of a node

    def _start(self, me: NodeId) -> None:
        if self.nodes[me] is not None:
            return
        life, seed = self._lives[me], self.schedule.seed
        self._lives[me] += 1
        protocol = self.plugin.protocol(
            self._views[me], self.options, derive(seed, me, "targets", life)
        )
        timing = Timing("free", ROUND_S, derive(seed, me, "phase", life))
        here = self.nodes[me] = Node(protocol, timing, life)
        self._tell(me, "start")
        if life:
            for key, value in self.stored[me].items():
                protocol.on_stored(key, value)
        self._call(me, lambda: protocol.on_start(self.now))
        self._tick(me, here, self.now)

    def _crash(self, me: NodeId) -> None:
        if self.nodes[me] is not None:
            self._tell(me, "crash")
            self.nodes[me] = None

    def _tick(self, me: NodeId, here: Node, since_s: float) -> None:
        def tick() -> None:
            k = here.timing.begin()
            self._tick(me, here, since_s)
            self._call(me, lambda: here.protocol.on_round(k, self.now))

        self._at(since_s + here.timing.due, self._alive(me, here, tick))

    def _multicast(self, me: NodeId) -> None:
        here = self.nodes[me]
        if here is None:
            return

        def call() -> Actions:
            actions = here.protocol.multicast(PAYLOAD, self.now)
            # A node names its multicasts itself: the one that is new among what it delivers.
            own = [a.id for a in actions if isinstance(a, Deliver) and a.id.origin == me]
            for id in own:
                self._tell(me, "multicast", id)
            if not own:
                self._tell(me, "error", text="multicast does not deliver to the origin itself")
            return actions

        self._call(me, call)

    def _alive(self, me: NodeId, here: Node, call: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            if self.nodes[me] is here:
                call()

        return guarded

    # What a protocol wants done

    def _call(self, me: NodeId, method: Callable[[], Actions]) -> None:
        try:
            for action in method():
                self.actions.append((me, action))
                self._do(me, action)
        except Exception as error:
            here = self.nodes[me]
            text = blame.worded(error, here.protocol if here else None)
            self._tell(me, "error", text=text)
            self.nodes[me] = None

    def _do(self, me: NodeId, action: Action) -> None:
        here = self.nodes[me]
        assert here is not None
        if isinstance(action, Send):
            for to in self._receivers(me, action):
                self._transmit(me, to, action.message)
        elif isinstance(action, Broadcast):
            for to in self._views[me].groups[0]:
                if to != me:
                    self._transmit(me, to, action.message)
        elif isinstance(action, Deliver | Lost):
            self._tell(me, "deliver" if isinstance(action, Deliver) else "lost", action.id)
        elif isinstance(action, SetTimer):
            self._set(me, here, action)
        elif isinstance(action, CancelTimer):
            here.timers.pop(action.name, None)
        elif isinstance(action, Store):
            self.stored[me][action.key] = bytes(action.value)
        elif isinstance(action, Radio):
            here.listening = action.on
        elif not isinstance(action, Note):
            raise TypeError(f"{action!r} is no action")

    def _set(self, me: NodeId, here: Node, action: SetTimer) -> None:
        if not isfinite(action.at):
            raise ValueError(f"timer {action.name!r} at {action.at}; name a time")
        serial = here.timers[action.name] = next(self._serials)

        def fire() -> None:
            if here.timers.get(action.name) == serial:
                del here.timers[action.name]
                self._call(me, lambda: here.protocol.on_timer(action.name, self.now))

        late_s = self._chance.uniform(0.0, self.schedule.late_s)
        self._at(max(action.at, self.now) + late_s, self._alive(me, here, fire))

    def _receivers(self, me: NodeId, action: Send) -> Sequence[NodeId]:
        view, to = self._views[me], action.to
        if isinstance(to, int):
            if not 0 <= to < view.nodes:
                raise ValueError(f"Send to {to}; nodes are 0..{view.nodes - 1}")
            return (to,)
        if to == "all":
            group = view.everyone
        elif to.startswith("subnet:"):
            group = view.subnets[int(to.removeprefix("subnet:"))]
        else:
            raise ValueError(f"Send to {to!r}; the groups are 'all' and 'subnet:<number>'")
        near = view.groups[0] if action.ttl == 1 else group
        return [node for node in group if node != me and node in near]

    def _transmit(self, me: NodeId, to: NodeId, message: Message) -> None:
        self.sends[message.TYPE] = self.sends.get(message.TYPE, 0) + 1
        datagram = encode(message, run=RUN, protocol=self.plugin.number, sender=me, sent_ns=0)
        packet = decode(datagram, self._dialect)
        if isinstance(packet, Reason):
            raise ValueError(f"{message!r} does not survive the wire: {packet.name}")
        heard = packet.message
        if to == me:
            self._at(self.now, lambda: self.hear(me, heard, me))
            return
        schedule, chance = self.schedule, self._chance
        calm = self.now >= CALM_S
        copies = 1 + (not calm and chance.random() < schedule.duplicate_ratio)
        for _ in range(copies):
            if calm or chance.random() >= schedule.loss_ratio:
                late_s = chance.uniform(0.0, schedule.delay_s)
                self._at(self.now + late_s, lambda: self.hear(to, heard, me))

    def _at(self, time_s: float, call: Callable[[], None]) -> None:
        heappush(self._events, (round(time_s * 1e9) / 1e9, next(self._serials), call))

    def _tell(self, node: NodeId, kind: str, id: MessageId | None = None, text: str = "") -> None:
        life = self._lives[node] - 1
        self.history.append(Happening(self.now, node, life, kind, id, text))
