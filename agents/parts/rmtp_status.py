"""RMTP's status: all below `low` has arrived, and of the window from there what the bitmap marks.

4 bytes of `low` (L), then the bitmap (V), whose first bit is the most significant of its first byte
and belongs to `low`, which is always missing. Zeros at the end are left out.

Worked number: low = 3, held = {4, 6} is 00000003 50: bits 0101.
"""

from __future__ import annotations

from collections.abc import Collection
from struct import Struct
from typing import NamedTuple

LOW = Struct(">I")
WIDEST = 4096
"""Multicasts in a window at most: 512 bytes of bitmap."""


class Status(NamedTuple):
    """What a receiver has of one source."""

    low: int
    held: frozenset[int]
    """What it has above `low`."""

    @property
    def end(self) -> int:
        """The first number above all that it has: nothing is told of those from here on."""
        return max(self.held, default=self.low - 1) + 1


def pack(status: Status) -> bytes:
    """Makes the body of a status message. ValueError for a window wider than `WIDEST`."""
    if status.end - status.low > WIDEST:
        raise ValueError(f"a status over {status.end - status.low} numbers; at most {WIDEST}")
    bitmap = bytearray((status.end - status.low + 7) // 8)
    for number in status.held:
        place = number - status.low
        bitmap[place // 8] |= 0x80 >> place % 8
    return LOW.pack(status.low) + bytes(bitmap)


def unpack(body: bytes) -> Status:
    """Reads the body of a status message. Raises `ValueError` for bytes that are none."""
    size = len(body) - LOW.size
    if not 0 <= size <= WIDEST // 8:
        raise ValueError(f"{len(body)} bytes; a status has {LOW.size} to {LOW.size + WIDEST // 8}")
    (low,) = LOW.unpack_from(body)
    return Status(low, held(low, body[LOW.size :]))


def held(low: int, bitmap: Collection[int]) -> frozenset[int]:
    """The numbers that a bitmap marks."""
    return frozenset(
        low + 8 * place + bit
        for place, byte in enumerate(bitmap)
        for bit in range(8)
        if byte & 0x80 >> bit
    )
