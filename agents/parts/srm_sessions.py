"""The body of SRM's session messages: a stamp, what is known of each origin, and echoes.

`SESSION` packs it as 4 bytes of stamp and 2 each for the two counts that follow; an origin takes 8
bytes, an echo 12 (all big-endian). What does not fit waits for the next message, in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import NamedTuple

from agents.api import NodeId
from agents.parts.distances import Echo
from agents.wire import MAX_BODY

HEAD = Struct(">IHH")
ORIGIN = Struct(">II")
ECHO = Struct(">III")
ORIGINS_TOLD = 60
ECHOES_TOLD = (MAX_BODY - HEAD.size - ORIGINS_TOLD * ORIGIN.size) // ECHO.size  # 72


class Session(NamedTuple):
    """What one session message says."""

    stamp: int
    highest: tuple[tuple[NodeId, int], ...]
    """Origin, and the highest sequence number that its sender knows of it."""
    echoes: tuple[Echo, ...]


def pack(session: Session) -> bytes:
    """Makes the body of a session message."""
    return b"".join(
        [
            HEAD.pack(session.stamp, len(session.highest), len(session.echoes)),
            *(ORIGIN.pack(*each) for each in session.highest),
            *(ECHO.pack(*each) for each in session.echoes),
        ]
    )


def to_echo(peers: int) -> tuple[int, int]:
    """How many messages in turn echo the stamps of so many peers, and the bytes of each body."""
    told = min(peers, ECHOES_TOLD)
    return -(-peers // ECHOES_TOLD), HEAD.size + told * ECHO.size


def unpack(body: bytes) -> Session:
    """Reads the body of a session message. Raises `ValueError` for bytes that are none."""
    if len(body) < HEAD.size:
        raise ValueError(f"{len(body)} bytes; a session message has {HEAD.size} at least")
    stamp, origins, echoes = HEAD.unpack_from(body)
    middle = HEAD.size + origins * ORIGIN.size
    if len(body) != middle + echoes * ECHO.size:
        raise ValueError(f"{len(body)} bytes; {origins} origins and {echoes} echoes are others")
    return Session(
        stamp,
        tuple(ORIGIN.iter_unpack(body[HEAD.size : middle])),
        tuple(Echo(*each) for each in ECHO.iter_unpack(body[middle:])),
    )


class Turns:
    """Tells of more origins than fit, some in each message."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, highest: Mapping[NodeId, int]) -> tuple[tuple[NodeId, int], ...]:
        """Those whose turn it is."""
        known: Sequence[tuple[NodeId, int]] = list(highest.items())
        start = self._next % len(known) if known else 0
        turn = (*known[start:], *known[:start])[:ORIGINS_TOLD]
        self._next = start + len(turn)
        return turn
