"""Digests on the wire: ranges of the sequence numbers that a node offers, 12 bytes each.

Origin, first, last (big-endian). Where they do not fit, a random part of the ranges is told. Lists
of single multicasts, which are what one asks for, take 8 bytes each: origin, sequence.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from struct import Struct
from typing import NamedTuple

from agents.api import MessageId, NodeId
from agents.parts.stores import RANGE

NAME = Struct(">II")


class Span(NamedTuple):
    """The multicasts of one origin from `first` to `last`."""

    origin: NodeId
    first: int
    last: int


def spans(ids: Iterable[MessageId]) -> list[Span]:
    """The fewest ranges that hold these multicasts and no others, sorted."""
    found: list[Span] = []
    for origin, sequence in sorted(ids):
        if found and found[-1].origin == origin and found[-1].last == sequence - 1:
            found[-1] = found[-1]._replace(last=sequence)
        else:
            found.append(Span(origin, sequence, sequence))
    return found


def pack(told: list[Span], rng: Random, room: int) -> bytes:
    """As many ranges as fit in `room` bytes."""
    most = room // RANGE.size
    if len(told) > most:
        told = rng.sample(told, most)
    return b"".join(RANGE.pack(*span) for span in told)


def unpack(body: bytes) -> list[Span]:
    """Reads a digest. Raises `ValueError` for bytes that are none."""
    if len(body) % RANGE.size:
        raise ValueError(f"a digest of {len(body)} bytes; ranges take {RANGE.size} each")
    return [Span(*each) for each in RANGE.iter_unpack(body)]


def pack_names(ids: Iterable[MessageId]) -> bytes:
    """A list of multicasts."""
    return b"".join(NAME.pack(*id) for id in ids)


def unpack_names(body: bytes) -> list[MessageId]:
    """Reads a list of multicasts. Raises `ValueError` for bytes that are none."""
    if len(body) % NAME.size:
        raise ValueError(f"a list of {len(body)} bytes; names take {NAME.size} each")
    return [MessageId(*each) for each in NAME.iter_unpack(body)]
