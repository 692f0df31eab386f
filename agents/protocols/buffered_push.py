"""Buffered push: push gossip whose packets carry several rumours, from a buffer that is bounded.

Model: in each of its rounds a node chooses at most B of the rumours it holds and sends them in one
packet to b random others, where `push` sends each rumour by itself to targets of its own. A group
so carries B b / P multicasts a second and node at most (P: the period); what a node holds beyond M
is evicted. Decided here: policies and eviction (`agents.parts.buffer`); a packet over 1,360 bytes
is split in the order of choice (`agents.parts.bundles`); a multicast's priority is its number at
its origin modulo `priority_levels`, so that every source sends of each level in turn. A datagram
names no multicast in its envelope: what it brought is in the deliveries, with hops, and rumours
that came again are noted. A single multicast spreads as by `push`, draw for draw. Left out:
priorities of the application's own, and a sender that slows down when its buffer overflows.

Reference: lecture, "Epidemic Multicast"; bounded buffers: Eugster et al. (lpbcast, ACM TOCS 21(4),
2003); the age of what a full buffer loses as its measure: Rodrigues et al. (DSN 2003).
Timers: none but the rounds.
Order: as it comes.
"""

from __future__ import annotations

from random import Random

from agents.api import Actions, Message, MessageId, NodeId, Protocol, View
from agents.parts import targets
from agents.parts.buffer import Buffer, BufferOptions


class RumourBundle(Message):
    """Copies of several rumours; the body is a bundle."""

    __slots__ = ()
    TYPE = 0x1C


class BufferedPush(Protocol):
    """Pushes bundles of rumours to targets that are uniform over the other nodes."""

    Options = BufferOptions
    MESSAGES = (RumourBundle,)

    def __init__(self, view: View, options: BufferOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.buffer = Buffer(RumourBundle, options, view.me, view.nodes, rng, self.draw)

    @classmethod
    def check(cls, options: BufferOptions, nodes: int) -> None:
        options.check(nodes)

    def draw(self) -> list[NodeId]:
        """The b targets of one round."""
        options = self.options
        return targets.others(self.rng, self.view, options.fan_out, options.replacement)

    def multicast(self, payload: bytes, now: float) -> Actions:
        id, kept = self.new_id()
        return [*self.buffer.begin(id, payload, now), kept]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        return self.buffer.begin(id, payload, now)

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        return self.buffer.hear(message, now)

    def on_round(self, k: int, now: float) -> Actions:
        return self.buffer.begin_round(k)
