"""Session messages survive the wire, take turns, and nonsense is told from them."""

from __future__ import annotations

import pytest

from agents.parts.distances import Echo
from agents.parts.srm_sessions import ECHOES_TOLD, ORIGINS_TOLD, Session, Turns, pack, unpack
from agents.wire import MAX_BODY


def test_a_full_message_fits_and_comes_back() -> None:
    session = Session(
        2**32 - 1,
        tuple((origin, 2**32 - 1) for origin in range(ORIGINS_TOLD)),
        tuple(Echo(peer, peer, 2**32 - 1) for peer in range(ECHOES_TOLD)),
    )
    body = pack(session)
    assert len(body) <= MAX_BODY
    assert unpack(body) == session


def test_bytes_more_or_less_are_refused() -> None:
    body = pack(Session(1, ((2, 3),), (Echo(4, 5, 6),)))
    for cut in (body[:-1], body + b"\0", b"", body[:7]):
        with pytest.raises(ValueError, match="bytes"):
            unpack(cut)


def test_more_origins_than_fit_take_turns() -> None:
    turns = Turns()
    highest = dict.fromkeys(range(ORIGINS_TOLD + 10), 1)
    told = [origin for _ in range(2) for origin, _ in turns.take(highest)]
    assert told[: len(highest)] == list(highest)
