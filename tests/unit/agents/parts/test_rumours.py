"""What a node does with the rumours that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agents.api import Deliver, MessageId, Note, Send
from agents.options import make
from agents.parts.retention import RumourOptions
from agents.parts.rumours import AGE, MAX_PAYLOAD, Rumours
from agents.protocols.push import PushRumour
from agents.seeds import derive
from agents.wire import MAX_DATAGRAM, encode

ME = 3


def rumours(targets: Sequence[int] = (1, 2, 4), **options: Any) -> Rumours:
    settings = make(RumourOptions, options)
    return Rumours(PushRumour, settings, 1001, derive(1, ME, "targets"), lambda: targets)


def copy(sequence: int = 1, hop: int = 0, age: int = 1, payload: bytes = b"news") -> PushRumour:
    return PushRumour(7, sequence, hop, round=5, body=AGE.pack(age) + payload)


def test_a_new_rumour_is_delivered_and_another_copy_is_not() -> None:
    known = rumours()
    assert known.hear(copy()) == [Deliver(MessageId(7, 1))]
    assert known.hear(copy(hop=4)) == ()


def test_copies_carry_one_hop_more_the_own_round_and_the_age() -> None:
    known = rumours()
    known.hear(copy(hop=4, age=9))
    sent = PushRumour(7, 1, hop=5, round=2, body=AGE.pack(10) + b"news")
    assert known.begin_round(2) == [Send(to, sent) for to in (1, 2, 4)]


def test_ones_own_rumour_starts_at_hop_and_age_zero() -> None:
    known = rumours()
    assert known.begin(MessageId(ME, 1), b"mine") == [Deliver(MessageId(ME, 1))]
    first, *_ = known.begin_round(1)
    assert isinstance(first, Send)
    assert (first.message.hop, first.message.body) == (0, AGE.pack(1) + b"mine")


def test_what_is_no_longer_gossiped_is_still_known() -> None:
    known = rumours(retention="infect_and_die")
    known.hear(copy())
    assert len(known.begin_round(1)) == 3
    assert known.begin_round(2) == []
    assert known.hear(copy()) == ()


def test_a_counter_ends_in_the_middle_of_a_round() -> None:
    known = rumours(retention="counter", k_counter=2)
    known.hear(copy())
    assert [send.to for send in known.begin_round(1) if isinstance(send, Send)] == [1, 2]


def test_a_rumour_that_comes_too_old_is_delivered_and_not_passed_on() -> None:
    known = rumours(retention="age", c=2)
    assert known.hear(copy(age=14)) == [Deliver(MessageId(7, 1))]
    assert known.begin_round(1) == []


def test_an_older_copy_ends_a_rumour_that_is_passed_on() -> None:
    known = rumours(retention="age", c=2)
    known.hear(copy(age=1))
    known.hear(copy(age=14))
    assert known.begin_round(1) == []


def test_the_oldest_receipt_is_sent_first() -> None:
    known = rumours(targets=(1,))
    for sequence in (5, 2, 9):
        known.hear(copy(sequence))
    sends = known.begin_round(1)
    assert [send.message.sequence for send in sends if isinstance(send, Send)] == [5, 2, 9]


def test_a_body_too_short_for_an_age_is_noted() -> None:
    assert rumours().hear(PushRumour(7, 1, body=b"x")) == [Note("short_body", 1)]


def test_the_largest_payload_fills_a_datagram_and_one_more_byte_is_refused() -> None:
    known = rumours()
    known.begin(MessageId(ME, 1), bytes(MAX_PAYLOAD))
    first, *_ = known.begin_round(1)
    assert isinstance(first, Send)
    data = encode(first.message, run=1, protocol=1, sender=ME, sent_ns=0)
    assert len(data) == MAX_DATAGRAM
    with pytest.raises(ValueError, match=f"{MAX_PAYLOAD + 1} bytes; choose"):
        known.begin(MessageId(ME, 2), bytes(MAX_PAYLOAD + 1))
