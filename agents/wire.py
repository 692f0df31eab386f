"""Messages on the wire: a fixed envelope in front of a protocol's body.

Byte 0 is the message type, because routers count by the first byte of a UDP payload. Everything is
big-endian; the CRC32 covers the whole datagram but itself. Decoding never raises: what cannot be
taken is a `Reason`, which the driver counts.

    0  type u8          2  protocol u16     8  sender u32     16  sequence u32    22  round u32
    1  version u8       4  run u32        12  origin u32     20  hop u16         26  sent_ns u64
   34  length u16 (of the body)            36  crc32 u32      40  body
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import NamedTuple, TypeAlias
from zlib import crc32

from agents.api import Message, NodeId

VERSION = 1
MAX_DATAGRAM = 1400  # fits Ethernet's 1,500 with IP, UDP and a tunnel's headers
ENVELOPE = Struct(">BBHIIIIHIQH")
CHECKSUM = Struct(">I")
HEADER = Struct(ENVELOPE.format + "I")
HEADER_BYTES = HEADER.size
MAX_BODY = MAX_DATAGRAM - HEADER_BYTES


class Reason(IntEnum):
    """Why a datagram was not taken, or not sent."""

    truncated = 1
    corrupt = 2
    version = 3
    other_run = 4
    other_protocol = 5
    unknown_type = 6
    unknown_sender = 7
    oversized = 8
    send_error = 9
    radio_off = 10


class WireError(ValueError):
    """A message that cannot be encoded."""


class Packet(NamedTuple):
    """A decoded datagram. `sent_ns` is the sender's monotonic clock."""

    run: int
    sender: NodeId
    sent_ns: int
    message: Message


class Dialect(NamedTuple):
    """What one run speaks: its protocol's number and its messages by TYPE."""

    protocol: int
    messages: Mapping[int, type[Message]]


Decoded: TypeAlias = Packet | Reason


def encode(message: Message, *, run: int, protocol: int, sender: NodeId, sent_ns: int) -> bytes:
    """Makes the datagram of a message. Raises `WireError` for one that does not fit."""
    body = message.body
    if len(body) > MAX_BODY:
        raise WireError(f"body of {len(body)} bytes; a datagram holds {MAX_BODY}: send less")
    try:
        head = ENVELOPE.pack(
            message.TYPE,
            VERSION,
            protocol,
            run,
            sender,
            message.origin,
            message.sequence,
            message.hop,
            message.round,
            sent_ns,
            len(body),
        )
    except StructError as error:
        raise WireError(f"{message!r} of run {run}: {error}; keep within the field") from None
    return head + CHECKSUM.pack(crc32(body, crc32(head))) + body


def decode(datagram: bytes, runs: Mapping[int, Dialect]) -> Decoded:
    """Takes a datagram of one of the runs known, or says why not."""
    if len(datagram) < HEADER_BYTES:
        return Reason.truncated
    if len(datagram) > MAX_DATAGRAM:
        return Reason.oversized
    fields = HEADER.unpack_from(datagram)
    kind, version, protocol, run, sender, origin, sequence = fields[:7]
    hop, round_, sent_ns, length, checksum = fields[7:]
    if version != VERSION:  # another version may lay out the rest differently
        return Reason.version
    body = datagram[HEADER_BYTES:]
    if len(body) < length:
        return Reason.truncated
    if len(body) > length or crc32(body, crc32(datagram[: ENVELOPE.size])) != checksum:
        return Reason.corrupt
    dialect = runs.get(run)
    if dialect is None:
        return Reason.other_run
    if protocol != dialect.protocol:
        return Reason.other_protocol
    message = dialect.messages.get(kind)
    if message is None:
        return Reason.unknown_type
    return Packet(run, sender, sent_ns, message(origin, sequence, hop, round_, body))
