"""A datagram is taken whole, from a run that is known, or dropped for a reason."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest

from agents.api import Message
from agents.wire import (
    CHECKSUM,
    ENVELOPE,
    HEADER_BYTES,
    MAX_BODY,
    MAX_DATAGRAM,
    Dialect,
    Packet,
    Reason,
    WireError,
    decode,
    encode,
)


class Ping(Message):
    __slots__ = ()
    TYPE = 0xA0


class Pong(Message):
    __slots__ = ()
    TYPE = 0xA1


RUNS = {5: Dialect(77, {Ping.TYPE: Ping})}
PING = Ping(origin=3, sequence=9, hop=2, round=14, body=b"news")


def datagram(message: Message = PING, **fields: Any) -> bytes:
    return encode(message, **{"run": 5, "protocol": 77, "sender": 4, "sent_ns": 123, **fields})


def test_a_message_comes_back_as_it_was_sent() -> None:
    assert decode(datagram(), RUNS) == Packet(5, 4, 123, PING)


def test_the_first_byte_is_the_type_and_the_second_the_version() -> None:
    assert datagram()[:2] == bytes([0xA0, 1])


def test_the_envelope_is_forty_bytes() -> None:
    assert len(datagram()) == 40 + len(b"news") == HEADER_BYTES + 4


@pytest.mark.parametrize("size", [0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 3])
def test_a_part_of_a_datagram_is_truncated(size: int) -> None:
    assert decode(datagram()[:size], RUNS) is Reason.truncated


def test_bytes_after_the_end_are_corrupt() -> None:
    assert decode(datagram() + b"x", RUNS) is Reason.corrupt


def test_a_body_longer_than_said_is_corrupt_although_its_checksum_is_right() -> None:
    head = datagram()[: ENVELOPE.size]
    body = b"news and more"
    assert decode(head + CHECKSUM.pack(crc32(body, crc32(head))) + body, RUNS) is Reason.corrupt


def test_another_version_is_said_before_anything_else_is_read() -> None:
    assert decode(b"\xa0\x02" + bytes(60), RUNS) is Reason.version


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (datagram(run=6), Reason.other_run),
        (datagram(protocol=78), Reason.other_protocol),
        (datagram(Pong(3, 9)), Reason.unknown_type),
        (bytes(MAX_DATAGRAM + 1), Reason.oversized),
    ],
)
def test_what_is_not_ours_says_why(data: bytes, reason: Reason) -> None:
    assert decode(data, RUNS) is reason


def test_the_largest_body_fits_and_one_more_byte_is_refused() -> None:
    assert len(datagram(Ping(0, 0, body=bytes(MAX_BODY)))) == MAX_DATAGRAM
    with pytest.raises(WireError, match=f"{MAX_BODY + 1} bytes.*send less"):
        datagram(Ping(0, 0, body=bytes(MAX_BODY + 1)))


@pytest.mark.parametrize("message", [Ping(-1, 0), Ping(0, 2**32), Ping(0, 0, hop=2**16)])
def test_a_number_that_does_not_fit_is_refused(message: Message) -> None:
    with pytest.raises(WireError, match="keep within"):
        datagram(message)
