"""The body of push-pull's messages that bring a multicast: a head, a digest, and the payload.

The head has the bytes of the digest and the age, 2 each (big-endian); a digest may be empty.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from agents.wire import MAX_BODY

HEAD = Struct(">HH")
DIGEST_BYTES = 156  # 13 origins; leaves 1,200 bytes to the payload
MAX_PAYLOAD = MAX_BODY - HEAD.size - DIGEST_BYTES


class Brought(NamedTuple):
    """What one call or item brings."""

    age: int
    """In rounds; under the median counter, its sender's counter. 0..65535."""
    digest: bytes
    payload: bytes


def pack(brought: Brought) -> bytes:
    """Makes the body."""
    return HEAD.pack(len(brought.digest), brought.age) + brought.digest + brought.payload


def unpack(body: bytes) -> Brought:
    """Reads a body. Raises `ValueError` for bytes that are none."""
    if len(body) < HEAD.size:
        raise ValueError(f"{len(body)} bytes; the head takes {HEAD.size}")
    length, age = HEAD.unpack_from(body)
    end = HEAD.size + length
    if len(body) < end:
        raise ValueError(f"{len(body)} bytes; the digest ends at {end}")
    return Brought(age, body[HEAD.size : end], body[end:])
