"""Several rumours in one datagram: the bytes of a bundle, and the rule by which it is split.

An entry is a head of 15 bytes (origin, sequence, hop, age in rounds, priority, length of the
payload; big-endian) and the payload. Entries keep their order; one that does not fit any more
begins the next datagram, so a packet of ten payloads of 64 bytes is one of 790 bytes of body, and
one of ten payloads of 1,200 bytes is ten.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from agents.api import MessageId
from agents.wire import MAX_BODY

HEAD = Struct(">IIHHBH")
MAX_PAYLOAD = MAX_BODY - HEAD.size


class Entry(NamedTuple):
    """One rumour of a bundle. `hop` is as in `api.Message`."""

    id: MessageId
    hop: int
    age: int
    priority: int
    payload: bytes


def pack(entries: Iterable[Entry]) -> list[bytes]:
    """The bodies that carry the entries, as few as their order allows.

    Raises `ValueError` for a payload too long.
    """
    bodies: list[bytes] = []
    for (origin, sequence), hop, age, priority, payload in entries:
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_PAYLOAD}")
        packed = HEAD.pack(origin, sequence, hop, age, priority, len(payload)) + payload
        if bodies and len(bodies[-1]) + len(packed) <= MAX_BODY:
            bodies[-1] += packed
        else:
            bodies.append(packed)
    return bodies


def unpack(body: bytes) -> list[Entry]:
    """The entries of one body. Raises `ValueError` for bytes that are no bundle."""
    entries: list[Entry] = []
    at = 0
    while at < len(body):
        if at + HEAD.size > len(body):
            raise ValueError(f"{len(body) - at} bytes are left; an entry's head takes {HEAD.size}")
        origin, sequence, hop, age, priority, length = HEAD.unpack_from(body, at)
        at += HEAD.size
        if at + length > len(body):
            raise ValueError(f"{len(body) - at} bytes are left; the payload takes {length}")
        id = MessageId(origin, sequence)
        entries.append(Entry(id, hop, age, priority, body[at : at + length]))
        at += length
    return entries
