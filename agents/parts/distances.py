"""One-way delays between members of a group, from timestamps that they echo to each other.

Model: SRM's session messages [Floyd et al., IEEE/ACM ToN 5(6), 1997; ns-2.35]. A member stamps what
it sends; each hearer sends the stamp back with the time for which it held it; half of what is left
of the round trip is the delay. Nobody's clock is compared with another's. The latest sample counts,
as in ns-2. Leaves out: links that are slower one way than the other.

Worked number: stamped at 1.00 s, held for 0.30 s, back at 1.40 s: (0.40 - 0.30) / 2 = 0.05 s.
"""

from __future__ import annotations

from typing import NamedTuple

from agents.api import NodeId

LEAST_S = 0.001
"""No estimate is below: a delay of 0 would make timers that are multiples of it endless loops."""
SECOND = 1_000_000  # of a stamp's unit
WRAP = 1 << 32  # a stamp has 32 bits: 71 minutes, far more than an echo takes


class Echo(NamedTuple):
    """What a member sends back to another."""

    peer: NodeId
    stamp: int
    held: int
    """Microseconds between hearing the stamp and sending it back."""


def stamp(now: float) -> int:
    """A time in microseconds, modulo 2^32."""
    return round(now * SECOND) % WRAP


def as_stamp(seconds: float) -> int:
    """A span of time in microseconds, as far as 32 bits hold it."""
    return min(round(seconds * SECOND), WRAP - 1)


class Distances:
    """The delays from one member to the others; `first_s` stands for those not yet known."""

    def __init__(self, first_s: float) -> None:
        self.known: dict[NodeId, float] = {}
        self._first_s = first_s
        self._heard: dict[NodeId, tuple[int, float]] = {}
        self._next = 0

    def to(self, node: NodeId) -> float:
        """Seconds to another member, one way."""
        return self.known.get(node, self._first_s)

    def heard(self, peer: NodeId, stamped: int, now: float) -> None:
        """A stamp of another member arrived, to be echoed."""
        self._heard[peer] = stamped, now

    def echoed(self, peer: NodeId, stamped: int, held: int, now: float) -> None:
        """A stamp of one's own came back. One that makes a negative time is passed over."""
        there_and_back = (stamp(now) - stamped) % WRAP - held
        if 0 <= there_and_back < WRAP // 2:
            self.known[peer] = max(there_and_back / 2 / SECOND, LEAST_S)

    def echoes(self, now: float, most: int) -> list[Echo]:
        """What to send back now: where it is more than `most`, the next ones in turn."""
        peers = list(self._heard)
        start = self._next % len(peers) if peers else 0
        turn = (peers[start:] + peers[:start])[:most]
        self._next = start + len(turn)
        return [
            Echo(peer, stamped, as_stamp(now - at))
            for peer in turn
            for stamped, at in (self._heard[peer],)
        ]
