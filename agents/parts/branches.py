"""One origin's tree as one node sees it: whom it hears, whom it hands on to, what it still holds.

What a message says of the tree goes in front of its payload (big-endian):

    oldest number that the origin still holds  u32      milliseconds until the next word  u32
    count u8, and so many ancestors of the sender, the nearest first  u32 each
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from agents.api import MessageId, NodeId
from agents.parts.ordering import FIRST, Fifo

BUFFER = 1024
"""Multicasts of one origin that a node keeps for repair."""
HEAD = Struct(">IIB")
NODE = Struct(">I")
ANCESTORS = 16
"""Told to a child; the origin, the last resort, it knows anyhow."""
HEAD_BYTES = HEAD.size + ANCESTORS * NODE.size
RANGE = Struct(">II")
RANGES = 64
"""In one request for repair."""


class Head(NamedTuple):
    """What a parent tells with everything that it sends to its children."""

    low: int
    beat_s: float
    ancestors: tuple[NodeId, ...]

    def encode(self) -> bytes:
        """The head as bytes, the ancestors farthest away left out."""
        told = self.ancestors[:ANCESTORS]
        milliseconds = min(round(self.beat_s * 1e3), 0xFFFFFFFF)
        return HEAD.pack(self.low, milliseconds, len(told)) + b"".join(map(NODE.pack, told))


def read(body: bytes, nodes: range) -> tuple[Head, bytes]:
    """Splits a body into head and payload. Raises `ValueError` for bytes that are none."""
    if len(body) < HEAD.size:
        raise ValueError("too short")
    low, milliseconds, count = HEAD.unpack_from(body)
    end = HEAD.size + count * NODE.size
    if len(body) < end:
        raise ValueError("too short for its ancestors")
    ancestors = tuple(node for (node,) in NODE.iter_unpack(body[HEAD.size : end]))
    if any(node not in nodes for node in ancestors):
        raise ValueError("unknown ancestors")
    return Head(low, milliseconds / 1e3, ancestors), body[end:]


class Item(NamedTuple):
    """A multicast as held for the others; `hop` is that of the copies to send."""

    hop: int
    payload: bytes


class Branch:
    """The state of one origin's tree at one node."""

    def __init__(self, origin: NodeId, ancestors: Sequence[NodeId], children: list[NodeId]) -> None:
        self.origin = origin
        self.ancestors = tuple(ancestors)
        """The parent first, the origin last; empty at the origin."""
        self.joined = False
        """Whether the parent is known to count this node among its children."""
        self.attempts = 0
        """Requests to join since the parent was last heard."""
        self.children = dict.fromkeys(children, False)
        """Whether each has been heard."""
        self.items: dict[int, Item] = {}
        self.highest = 0
        """The greatest number known to exist."""
        self.low = FIRST
        """The oldest number that the origin still holds."""
        self.beat_s = 0.0
        """The time between the heartbeats that go out next."""
        self.naks = 0
        """Requests for repair since the last one that helped."""
        self.asked = FIRST
        """The lowest number that the last request was for."""
        self.reported = FIRST
        """Below it everything is complete in the whole subtree."""
        self.asking = False
        """Whether a request for repair is planned."""
        self.awaited: set[NodeId] = set()
        """Children whose first word has a time limit."""
        self._complete: set[int] = set()

    @property
    def parent(self) -> NodeId | None:
        return self.ancestors[0] if self.ancestors else None

    def keep(self, id: MessageId, hop: int, payload: bytes) -> None:
        """Holds a multicast for repair; the oldest makes room."""
        self.items[id.sequence] = Item(hop, payload)
        self.highest = max(self.highest, id.sequence)
        if len(self.items) > BUFFER:
            del self.items[min(self.items)]
            if not self.ancestors:
                self.low = min(self.items)

    def adopt(self, parent: NodeId, ancestors: Sequence[NodeId]) -> bool:
        """Takes a parent and what it tells of its own; true when this changes anything."""
        line = (parent, *(node for node in ancestors if node != parent))
        if line[-1] != self.origin:
            line = (*line, self.origin)
        changed = line != self.ancestors
        self.ancestors = line
        return changed

    def awaits(self, child: NodeId) -> bool:
        """A child has been silent so far; true where its time limit is to be set now."""
        if child in self.awaited:
            return False
        self.awaited.add(child)
        return True

    def next_parent(self) -> NodeId:
        """The ancestor to turn to, another one at each attempt: the grandparent first."""
        line = self.ancestors
        return line[(self.attempts + 1) % len(line)]

    def source(self) -> NodeId:
        """Whom to ask for a repair: the parent twice, then each ancestor, then the parent again."""
        return self.ancestors[max(0, self.naks - 1) % len(self.ancestors)]

    def complete(self, sequence: int) -> None:
        """A multicast has arrived everywhere in the subtree."""
        self._complete.add(sequence)
        while self.reported in self._complete:
            self._complete.remove(self.reported)
            self.reported += 1

    def is_complete(self, sequence: int) -> bool:
        return sequence < self.reported or sequence in self._complete


def early(fifo: Fifo, origin: NodeId, highest: int) -> list[int]:
    """What is here beyond the number that is delivered next."""
    numbers = range(fifo.next(origin) + 1, highest + 1)
    return [number for number in numbers if fifo.has(MessageId(origin, number))]


def ranges(missing: Sequence[int]) -> bytes:
    """Names numbers, given in order, by their ranges; at most `RANGES`, the lowest first."""
    found: list[list[int]] = []
    for number in missing:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        elif len(found) == RANGES:
            break
        else:
            found.append([number, number])
    return b"".join(RANGE.pack(*each) for each in found)


def named(body: bytes, held: Sequence[int]) -> list[int]:
    """Those of the numbers held that lie in ranges. Raises `ValueError` for bytes that are none."""
    if len(body) % RANGE.size:
        raise ValueError(f"{len(body)} bytes; ranges take {RANGE.size} each")
    asked = list(RANGE.iter_unpack(body))
    return [number for number in held if any(first <= number <= last for first, last in asked)]
