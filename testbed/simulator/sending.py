"""How a simulated node sends: to one node, to a group, or to its neighbours."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappush
from typing import Any

from agents import groups
from agents.api import Broadcast, Message, NodeId, Send
from agents.registry import Plugin
from agents.run import ProtocolError
from agents.wire import HEADER_BYTES, MAX_BODY, encode
from testbed.simulator.node import Flight, Node
from testbed.simulator.paths import Network, Paths
from testbed.simulator.recorder import SEND
from testbed.simulator.trees import Forwards

Reach = Callable[[NodeId, NodeId], bool]
"""Whether what a node sends can get to another at all."""


class Sending:
    """What `Simulation` inherits; the fields are its own."""

    network: Network
    now_ns: int
    paths: Paths
    reaches: Reach | None
    forwards: Forwards | None
    _plugin: Plugin
    _home: list[int]
    _write: Callable[[tuple[Any, ...]], None]
    _serials: Iterator[int]
    _flights: list[Flight]
    _arrived: deque[tuple[NodeId, NodeId, Message]]
    _checked: Message | None

    def _send(self, node: Node, to: NodeId, message: Message) -> None:
        if not 0 <= to < len(self._home):
            raise ProtocolError(f"Send to {to!r}; there are 0..{len(self._home) - 1}")
        if message is not self._checked:
            self._check(node, message)
        me = node.me
        self._write((self.now_ns, me, SEND, to, 0, message))
        if to != me:
            if self.reaches is not None and not self.reaches(me, to):
                return
            if self.forwards is not None and not all(
                map(self.forwards, self.network.graph.path(me, to))
            ):
                return
            path = self.paths[node.row + self._home[to]]
            if path is not None and path.still:  # most datagrams: a call and a loop less
                if (tally := path.tally) is not None:
                    key = message.TYPE, HEADER_BYTES + len(message.body)
                    tally[key] = tally.get(key, 0) + 1
            elif path is not None:
                size = HEADER_BYTES + len(message.body)
                for late_ns in path.carry(me, to, message.TYPE, size):
                    if late_ns:
                        arrival_ns = self.now_ns + late_ns
                        heappush(self._flights, (arrival_ns, next(self._serials), to, me, message))
                    else:
                        self._arrived.append((to, me, message))
                return
        self._arrived.append((to, me, message))

    def _cast(self, node: Node, action: Send | Broadcast) -> None:
        """Sends to a group, or to the neighbours."""
        group, ttl = groups.aim(action, node.protocol)
        message, me = action.message, node.me
        if message is not self._checked:
            self._check(node, message)
        peer = groups.peer(group) if isinstance(action, Send) else groups.NEIGHBOURS
        self._write((self.now_ns, me, SEND, peer, 0, message))
        tree = self.paths.tree(self._home[me], group)
        size = HEADER_BYTES + len(message.body)
        for to, late_ns in tree.carry(me, message.TYPE, size, ttl, self.forwards):
            if self.reaches is not None and not self.reaches(me, to):
                continue
            if late_ns:
                flight = (self.now_ns + late_ns, next(self._serials), to, me, message)
                heappush(self._flights, flight)
            else:
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
