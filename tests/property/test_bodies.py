"""What a protocol packs into the body of a message comes out of it the same."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.parts import branches, digests, push_pull_bodies, rmtp_status, srm_sessions
from agents.parts.branches import ANCESTORS, RANGES, Head
from agents.parts.digests import Span
from agents.parts.distances import Echo
from agents.parts.push_pull_bodies import DIGEST_BYTES, Brought
from agents.parts.rmtp_status import WIDEST, Status
from agents.parts.srm_sessions import ECHOES_TOLD, ORIGINS_TOLD, Session
from agents.wire import MAX_BODY

U16, U32 = (st.integers(0, 2**bits - 1) for bits in (16, 32))
NODES = range(1000)
NUMBERS = range(200)
"""Of multicasts that a node of a tree holds."""


class Codec(NamedTuple):
    """One kind of body: values that a protocol makes, and both directions."""

    values: st.SearchStrategy[Any]
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]


@st.composite
def statuses(draw: st.DrawFn) -> Status:
    low = draw(st.integers(1, 2**32 - 1 - WIDEST))
    places = draw(st.frozensets(st.integers(1, WIDEST - 1)))
    return Status(low, frozenset(low + place for place in places))


CODECS = {
    "push_pull call": Codec(
        st.builds(Brought, U16, st.binary(max_size=DIGEST_BYTES), st.binary()),
        push_pull_bodies.pack,
        push_pull_bodies.unpack,
    ),
    "tree head and payload": Codec(
        st.tuples(
            st.builds(
                Head,
                U32,
                U32.map(lambda milliseconds: milliseconds / 1e3),
                st.lists(st.sampled_from(NODES), max_size=ANCESTORS).map(tuple),
            ),
            st.binary(),
        ),
        lambda value: value[0].encode() + value[1],
        lambda body: branches.read(body, NODES),
    ),
    "tree ranges": Codec(
        st.sets(st.sampled_from(NUMBERS), max_size=RANGES).map(sorted),
        branches.ranges,
        lambda body: branches.named(body, NUMBERS),
    ),
    "srm session": Codec(
        st.builds(
            Session,
            U32,
            st.lists(st.tuples(U32, U32), max_size=ORIGINS_TOLD).map(tuple),
            st.lists(st.builds(Echo, U32, U32, U32), max_size=ECHOES_TOLD).map(tuple),
        ),
        srm_sessions.pack,
        srm_sessions.unpack,
    ),
    "rmtp status": Codec(statuses(), rmtp_status.pack, rmtp_status.unpack),
    "pbcast digest": Codec(
        st.lists(st.builds(Span, U32, U32, U32), max_size=MAX_BODY // 12),
        lambda spans: digests.pack(spans, Random(1), MAX_BODY),
        digests.unpack,
    ),
}


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data())
def test_a_body_comes_back_the_same(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    value = data.draw(codec.values)
    assert codec.unpack(codec.pack(value)) == value
