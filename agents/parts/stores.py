"""What a node holds for others to fetch, and digests that say which multicasts it has.

A digest lists ranges of sequence numbers, 12 bytes each: origin, first, last (big-endian). A node
that has everything of an origin needs one range for it, however much that is. When the ranges do
not fit, a random part of them is told: the others cost repeated answers, never a missing one.

An answer holds what the node knew before this instant. Where calls meet at one time, at the
barrier of `sync`, everybody so acts on the state at the round's start; elsewhere nothing changes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf
from random import Random
from struct import Struct

from agents.api import MessageId, NodeId

RANGE = Struct(">III")
ANSWERS = 10  # datagrams that one request may set off; what is left waits for the next round
UNNAMED = 0xFFFFFFFF
"""The sequence number of a message that is about no multicast."""


class Item:
    """One multicast as held here. `hop` is that of the copies to send."""

    __slots__ = ("hop", "payload", "since")

    def __init__(self, hop: int, payload: bytes, since: float) -> None:
        self.hop = hop
        self.payload = payload
        self.since = since


class Store:
    """All that a node holds, in the order in which it came."""

    def __init__(self) -> None:
        self.items: dict[MessageId, Item] = {}
        self._ranges: dict[NodeId, list[tuple[int, int]]] = {}

    def add(self, id: MessageId, hop: int, payload: bytes, since: float = -inf) -> bool:
        """Takes a multicast in; false when it is here already."""
        if id in self.items:
            return False
        self.items[id] = Item(hop, payload, since)
        ranges = self._ranges.setdefault(id.origin, [])
        at = bisect_right(ranges, (id.sequence, UNNAMED))
        first = last = id.sequence
        if at and ranges[at - 1][1] == first - 1:
            at -= 1
            first, _ = ranges.pop(at)
        if at < len(ranges) and ranges[at][0] == last + 1:
            _, last = ranges.pop(at)
        ranges.insert(at, (first, last))
        return True

    def digest(self, rng: Random, room: int) -> bytes:
        """What is here, in at most `room` bytes."""
        told = [(origin, *each) for origin, ranges in self._ranges.items() for each in ranges]
        most = room // RANGE.size
        if len(told) > most:
            told = rng.sample(told, most)
        return b"".join(RANGE.pack(*each) for each in told)

    def missing(self, digest: bytes, now: float, most: int = ANSWERS) -> list[MessageId]:
        """What was here before `now` and is not in the digest: the oldest, at most so many.

        Raises `ValueError` for bytes that are no digest.
        """
        if len(digest) % RANGE.size:
            raise ValueError(f"a digest of {len(digest)} bytes; ranges take {RANGE.size} each")
        if not self.items:
            return []
        known: dict[NodeId, list[tuple[int, int]]] = {}
        for origin, first, last in RANGE.iter_unpack(digest):
            known.setdefault(origin, []).append((first, last))
        found: list[MessageId] = []
        for id, item in self.items.items():
            if item.since < now and not _covered(known.get(id.origin, ()), id.sequence):
                found.append(id)
                if len(found) == most:
                    break
        return found

    def lacks(self, digest: bytes) -> bool:
        """Whether a digest lists anything that is not here. Raises `ValueError` as `missing`."""
        if len(digest) % RANGE.size:
            raise ValueError(f"a digest of {len(digest)} bytes; ranges take {RANGE.size} each")
        return any(
            not any(low <= first and last <= high for low, high in self._ranges.get(origin, ()))
            for origin, first, last in RANGE.iter_unpack(digest)
        )


def _covered(ranges: Sequence[tuple[int, int]], sequence: int) -> bool:
    return any(first <= sequence <= last for first, last in ranges)
