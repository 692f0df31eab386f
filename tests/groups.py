"""A group of protocol objects joined by multicast, with delays and losses that a test writes down.

What happens at one time happens in the order in which it was asked for. A datagram to a group
reaches each member by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from agents.api import (
    Action,
    Actions,
    CancelTimer,
    Deliver,
    Lost,
    Message,
    MessageId,
    NodeId,
    Note,
    Protocol,
    Send,
    SetTimer,
    View,
)
from agents.options import make
from agents.seeds import derive

Delay = Callable[[NodeId, NodeId], float]
Drop = Callable[[NodeId, NodeId, Message], bool]


class Group:
    """Nodes in subnets of the given sizes; `sends`, `delivered`, ... are what they did so far."""

    def __init__(
        self,
        protocol: type[Protocol],
        subnets: Sequence[int],
        *,
        delay: Delay = lambda a, b: 0.05,
        drop: Drop = lambda a, b, message: False,
        seed: int = 1,
        **options: Any,
    ) -> None:
        nodes = sum(subnets)
        chosen = make(protocol.Options, options)
        protocol.check(chosen, nodes)
        ends = [sum(subnets[: place + 1]) for place in range(len(subnets))]
        self.subnets = tuple(
            range(end - size, end) for size, end in zip(subnets, ends, strict=True)
        )
        self.nodes = []
        for mine in self.subnets:
            groups = (mine, range(nodes)) if len(self.subnets) > 1 else (mine,)
            for me in mine:
                view = View(me, groups, self.subnets)
                self.nodes.append(protocol(view, chosen, derive(seed, me, "targets")))
        self.delay, self.drop = delay, drop
        self.now = 0.0
        self.sends: list[tuple[float, NodeId, Send]] = []
        self.heard: list[tuple[float, NodeId, NodeId, Message]] = []
        self.delivered: list[tuple[float, NodeId, MessageId]] = []
        self.lost: list[tuple[float, NodeId, MessageId]] = []
        self.notes: list[tuple[float, NodeId, Note]] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serials = count()
        self._timers: dict[tuple[NodeId, str], int] = {}
        for me, node in enumerate(self.nodes):
            self.act(me, node.on_start(0.0))

    def multicast(self, me: NodeId, payload: bytes = b"payload") -> None:
        self.act(me, self.nodes[me].multicast(payload, self.now))

    def rounds(self, period: float, times: int) -> None:
        """Lets every node have its rounds in step from now on."""
        for k in range(1, times + 1):
            for me in range(len(self.nodes)):
                self.at(self.now + k * period, lambda me=me, k=k: self._round(me, k))  # type: ignore[misc]

    def at(self, time: float, call: Callable[[], None]) -> None:
        heappush(self._due, (time, next(self._serials), call))

    def until(self, time: float) -> None:
        while self._due and self._due[0][0] <= time:
            self.now, _, call = heappop(self._due)
            call()
        self.now = time

    def of(self, kind: type[Message]) -> list[tuple[float, NodeId, Send]]:
        """The sends of one kind of message."""
        return [sent for sent in self.sends if isinstance(sent[2].message, kind)]

    def act(self, me: NodeId, actions: Actions) -> None:
        for action in actions:
            self._do(me, action)

    def _do(self, me: NodeId, action: Action) -> None:
        if isinstance(action, Send):
            self.sends.append((self.now, me, action))
            for to in self._receivers(me, action.to):
                self._carry(me, to, action.message)
        elif isinstance(action, SetTimer):
            serial = self._timers[me, action.name] = next(self._serials)
            self.at(max(action.at, self.now), lambda: self._fire(me, action.name, serial))
        elif isinstance(action, CancelTimer):
            self._timers.pop((me, action.name), None)
        elif isinstance(action, Deliver):
            assert (me, action.id) not in [each[1:] for each in self.delivered], "twice"
            self.delivered.append((self.now, me, action.id))
        elif isinstance(action, Lost):
            self.lost.append((self.now, me, action.id))
        elif isinstance(action, Note):
            self.notes.append((self.now, me, action))

    def _receivers(self, me: NodeId, to: NodeId | str) -> Sequence[NodeId]:
        if isinstance(to, int):
            return [to]
        kind, _, number = to.partition(":")
        members = range(len(self.nodes)) if kind == "all" else self.subnets[int(number)]
        return [node for node in members if node != me]

    def _carry(self, me: NodeId, to: NodeId, message: Message) -> None:
        if not self.drop(me, to, message):
            self.at(self.now + self.delay(me, to), lambda: self._hear(to, me, message))

    def _hear(self, me: NodeId, sender: NodeId, message: Message) -> None:
        self.heard.append((self.now, me, sender, message))
        self.act(me, self.nodes[me].on_message(message, sender, self.now))

    def _fire(self, me: NodeId, name: str, serial: int) -> None:
        if self._timers.get((me, name)) == serial:
            del self._timers[me, name]
            self.act(me, self.nodes[me].on_timer(name, self.now))

    def _round(self, me: NodeId, k: int) -> None:
        self.act(me, self.nodes[me].on_round(k, self.now))
