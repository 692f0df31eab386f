"""A bundle of rumours survives its bytes, and is split by a rule."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.api import MessageId
from agents.parts.bundles import HEAD, MAX_PAYLOAD, Entry, pack, unpack
from agents.wire import MAX_BODY

U32, U16 = st.integers(0, 2**32 - 1), st.integers(0, 0xFFFF)
ENTRIES = st.lists(
    st.builds(
        Entry,
        st.builds(MessageId, U32, U32),
        U16,
        U16,
        st.integers(0, 255),
        st.integers(0, MAX_PAYLOAD).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    ),
    max_size=12,
)


def entry(number: int, size: int) -> Entry:
    return Entry(MessageId(1, number), 2, 3, 4, bytes(size))


@given(ENTRIES)
def test_what_is_packed_comes_out_in_its_order_and_every_body_fits(entries: list[Entry]) -> None:
    bodies = pack(entries)
    assert [each for body in bodies for each in unpack(body)] == entries
    assert all(0 < len(body) <= MAX_BODY for body in bodies)


@given(ENTRIES)
def test_a_body_ends_only_where_the_next_entry_does_not_fit(entries: list[Entry]) -> None:
    bodies = pack(entries)
    for body, after in pairwise(bodies):
        assert len(body) + HEAD.size + len(unpack(after)[0].payload) > MAX_BODY


@given(st.binary(max_size=MAX_BODY))
def test_any_bytes_are_entries_that_pack_to_the_same_bytes_or_none(body: bytes) -> None:
    try:
        entries = unpack(body)
    except ValueError:
        return
    assert b"".join(pack(entries)) == body


@pytest.mark.parametrize(
    ("count", "size", "datagrams"),
    [(0, 64, 0), (1, MAX_PAYLOAD, 1), (10, 64, 1), (17, 64, 1), (18, 64, 2), (10, 1200, 10)],
)
def test_a_packet_takes_so_many_datagrams(count: int, size: int, datagrams: int) -> None:
    assert len(pack(entry(number, size) for number in range(count))) == datagrams


def test_a_payload_that_no_datagram_holds_is_refused() -> None:
    with pytest.raises(ValueError, match=f"{MAX_PAYLOAD + 1} bytes; choose at most {MAX_PAYLOAD}"):
        pack([entry(1, MAX_PAYLOAD + 1)])


@pytest.mark.parametrize("cut", [1, HEAD.size - 1, HEAD.size, HEAD.size + 3])
def test_a_body_that_ends_within_an_entry_is_no_bundle(cut: int) -> None:
    (body,) = pack([entry(1, 4)])
    with pytest.raises(ValueError, match="bytes are left"):
        unpack(body[:cut])
