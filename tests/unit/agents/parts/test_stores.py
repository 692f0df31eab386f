"""Digests tell what is here, and nothing that is here is ever thought missing by mistake."""

from __future__ import annotations

from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.api import MessageId
from agents.parts.stores import ANSWERS, RANGE, Store

IDS = st.builds(MessageId, st.integers(0, 3), st.integers(0, 12))


def store(ids: list[MessageId], since: float = -inf) -> Store:
    made = Store()
    for id in ids:
        made.add(id, 0, b"payload", since)
    return made


@given(st.lists(IDS), st.lists(IDS))
def test_what_is_missing_is_what_only_one_has(
    mine: list[MessageId], others: list[MessageId]
) -> None:
    digest = store(others).digest(Random(1), 10_000)
    missing = store(mine).missing(digest, 1.0, most=10_000)
    assert missing == [id for id in dict.fromkeys(mine) if id not in others]


@given(st.lists(IDS, unique=True))
def test_a_whole_sequence_is_one_range(ids: list[MessageId]) -> None:
    digest = store(ids).digest(Random(1), 10_000)
    gaps = sum(MessageId(id.origin, id.sequence - 1) not in ids for id in ids)
    assert len(digest) == gaps * RANGE.size


def test_a_digest_keeps_to_its_room_and_says_nothing_wrong() -> None:
    ids = [MessageId(0, 2 * number) for number in range(10)]
    digest = store(ids).digest(Random(1), 5 * RANGE.size + 3)
    told = [MessageId(origin, first) for origin, first, _ in RANGE.iter_unpack(digest)]
    assert len(set(told)) == 5 and set(told) <= set(ids)
    assert store(ids).missing(digest, 1.0) == [id for id in ids if id not in told]


def test_a_second_copy_is_not_taken_in() -> None:
    made = store([MessageId(0, 1)])
    assert not made.add(MessageId(0, 1), 5, b"other", 1.0)
    assert made.items[MessageId(0, 1)].payload == b"payload"


def test_an_answer_is_the_oldest_first_and_no_longer_than_asked() -> None:
    ids = [MessageId(0, number) for number in range(30, 10, -1)]
    assert store(ids).missing(b"", 1.0) == ids[:ANSWERS]


def test_what_came_at_this_very_instant_is_not_told_yet() -> None:
    made = store([MessageId(0, 1)], since=2.0)
    assert made.missing(b"", 2.0) == []
    assert made.missing(b"", 2.1) == [MessageId(0, 1)]


def test_bytes_that_are_no_digest_are_refused() -> None:
    with pytest.raises(ValueError, match="13 bytes"):
        Store().missing(bytes(13), 1.0)
