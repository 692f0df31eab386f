"""The rumours a node knows, and the copies it sends of them: what all push protocols share.

A protocol adds how targets are drawn. One rumour a datagram, with targets of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from struct import Struct

from agents.api import Actions, Deliver, Message, MessageId, NodeId, Note, Send
from agents.parts.retention import Hold, Retention, RumourOptions
from agents.wire import MAX_BODY

AGE = Struct(">H")
MAX_PAYLOAD = MAX_BODY - AGE.size


class Held:
    """One rumour that is still gossiped here. `hop` is that of the copies to send."""

    __slots__ = ("hold", "hop", "payload")

    def __init__(self, hold: Hold, hop: int, payload: bytes) -> None:
        self.hold = hold
        self.hop = hop
        self.payload = payload


class Rumours:
    """The state of one node: the ids it knows, and the rumours it still gossips.

    `draw` returns the targets of one rumour in one round. The body of a copy is the rumour's age in
    rounds (two bytes, big-endian) and the payload.
    """

    def __init__(
        self,
        kind: type[Message],
        options: RumourOptions,
        nodes: int,
        rng: Random,
        draw: Callable[[], Sequence[NodeId]],
    ) -> None:
        self.kind = kind
        self.retention = Retention.of(options, nodes)
        self.rng = rng
        self.draw = draw
        self.known: set[MessageId] = set()
        self.hot: dict[MessageId, Held] = {}

    def begin(self, id: MessageId, payload: bytes) -> Actions:
        """Holds a rumour that no copy brought. Raises `ValueError` for a payload too long."""
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_PAYLOAD}")
        self._add(id, Held(self.retention.hold(), 0, payload))
        return [Deliver(id)]

    def hear(self, message: Message) -> Actions:
        """Takes a copy: a new rumour is delivered and kept, another copy can only age it."""
        body = message.body
        if len(body) < AGE.size:
            return [Note("short_body", len(body))]
        (age,) = AGE.unpack_from(body)
        id = message.id
        if id in self.known:
            held = self.hot.get(id)
            if held is not None:
                held.hold.heard(age)
                self._cool(id, held)
            return ()
        self._add(id, Held(self.retention.hold(age), message.next_hop, body[AGE.size :]))
        return [Deliver(id)]

    def begin_round(self, k: int) -> Actions:
        """The copies of the node's k-th round, oldest rumour first."""
        sends = []
        for id, held in list(self.hot.items()):
            held.hold.begin_round()
            body = AGE.pack(held.hold.age) + held.payload
            copy = self.kind(id.origin, id.sequence, held.hop, k, body)
            for target in self.draw():
                sends.append(Send(target, copy))
                if not held.hold.sent(self.rng):
                    break
            self._cool(id, held)
        return sends

    def _add(self, id: MessageId, held: Held) -> None:
        self.known.add(id)
        self.hot[id] = held
        self._cool(id, held)

    def _cool(self, id: MessageId, held: Held) -> None:
        if not held.hold.active:
            del self.hot[id]
