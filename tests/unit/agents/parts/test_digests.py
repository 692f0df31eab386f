"""Digests tell exactly what is kept, in as few ranges as there are."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.api import MessageId
from agents.parts.digests import Span, pack, pack_names, spans, unpack, unpack_names

IDS = st.sets(st.builds(MessageId, st.integers(0, 3), st.integers(0, 12)))


@given(IDS)
def test_ranges_hold_what_is_kept_and_nothing_else(ids: set[MessageId]) -> None:
    told = unpack(pack(spans(ids), Random(1), 10_000))
    held = [MessageId(o, n) for o, first, last in told for n in range(first, last + 1)]
    assert held == sorted(ids)


def test_neighbours_share_a_range() -> None:
    ids = [MessageId(1, 3), MessageId(0, 7), MessageId(1, 4), MessageId(1, 6)]
    assert spans(ids) == [Span(0, 7, 7), Span(1, 3, 4), Span(1, 6, 6)]


def test_what_does_not_fit_is_told_in_part() -> None:
    told = spans(MessageId(origin, 1) for origin in range(20))
    body = pack(told, Random(1), 50)
    assert len(body) == 48
    assert set(unpack(body)) < set(told)


@given(st.lists(st.builds(MessageId, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))))
def test_names_survive_the_wire(ids: list[MessageId]) -> None:
    assert unpack_names(pack_names(ids)) == ids


def test_bytes_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="13 bytes"):
        unpack(bytes(13))
    with pytest.raises(ValueError, match="7 bytes"):
        unpack_names(bytes(7))
