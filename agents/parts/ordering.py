"""FIFO delivery: the multicasts of one origin are delivered in the order of their numbers.

What comes early waits; what will never come is passed over and told as `Lost`. A node that starts
again has forgotten everything: it is told as lost what it had delivered in its former life and can
no longer get. Where nobody sends again a gap may stay for ever, and nothing waits (`Unordered`).
"""

from __future__ import annotations

from agents.api import Deliver, Lost, MessageId, NodeId, Note

WINDOW = 1 << 16
"""Multicasts of one origin that may wait; a number beyond that is an error, not a stream."""
LOSSES = 4096
"""`Lost` at once; of a longer gap the oldest are told by one note, so that no datagram that names a
number near 2^32 can stop a node."""
FIRST = 1
"""The number of an origin's first multicast; 0 is the one that all hold in a run of "all"."""


class Fifo:
    """What one node has delivered or given up, by origin."""

    def __init__(self) -> None:
        self._next: dict[NodeId, int] = {}
        self._early: dict[NodeId, set[int]] = {}

    def next(self, origin: NodeId) -> int:
        """The number that is delivered next; everything below it is delivered or lost."""
        return self._next.get(origin, FIRST)

    def has(self, id: MessageId) -> bool:
        """Whether a multicast is delivered, given up, or waits for its turn."""
        return id.sequence < self.next(id.origin) or id.sequence in self._early.get(id.origin, ())

    def reaches(self, id: MessageId) -> bool:
        """Whether a multicast is near enough to wait for its turn."""
        return id.sequence - self.next(id.origin) < WINDOW

    def resume(self, id: MessageId) -> None:
        """The multicast is this node's own: what it sent in a former life is passed over."""
        self._next[id.origin] = max(id.sequence, self.next(id.origin))

    def add(self, id: MessageId) -> list[Deliver | Lost | Note]:
        """A multicast that it `reaches` has arrived: returns what is delivered now."""
        if self.has(id):
            return []
        self._early.setdefault(id.origin, set()).add(id.sequence)
        return self._advance(id.origin)

    def give_up_below(self, origin: NodeId, low: int) -> list[Deliver | Lost | Note]:
        """Nothing below `low` comes any more: what is missing there is lost, the rest delivered."""
        at = self.next(origin)
        if low <= at:
            return []
        early = self._early.setdefault(origin, set())
        told = max(at, low - LOSSES)
        passed = sorted(sequence for sequence in early if sequence < told)
        done: list[Deliver | Lost | Note] = [Deliver(MessageId(origin, each)) for each in passed]
        if told - at > len(passed):
            done.append(Note("gap", told - at - len(passed)))
        for sequence in range(told, low):
            id = MessageId(origin, sequence)
            done.append(Deliver(id) if sequence in early else Lost(id))
        self._early[origin] = {sequence for sequence in early if sequence >= low}
        self._next[origin] = low
        return done + self._advance(origin)

    def _advance(self, origin: NodeId) -> list[Deliver | Lost | Note]:
        early = self._early.get(origin)
        if not early:
            return []
        done: list[Deliver | Lost | Note] = []
        at = self.next(origin)
        while at in early:
            early.remove(at)
            done.append(Deliver(MessageId(origin, at)))
            at += 1
        self._next[origin] = at
        return done


class Unordered(Fifo):
    """Delivery as it comes: no gap holds anything up, and none is given up."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[MessageId] = set()

    def has(self, id: MessageId) -> bool:
        return id in self._seen

    def reaches(self, id: MessageId) -> bool:
        return True

    def add(self, id: MessageId) -> list[Deliver | Lost | Note]:
        if id in self._seen:
            return []
        self._seen.add(id)
        return [Deliver(id)]

    def give_up_below(self, origin: NodeId, low: int) -> list[Deliver | Lost | Note]:
        return []
