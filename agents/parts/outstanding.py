"""What was sent and is not acknowledged: when to send it again, and when to give up.

The timeout is four measured round trips, smoothed for each receiver (7/8 old, 1/8 new) and taken
from first tries only, since an answer to a second try may be one to the first (Karn and Partridge,
SIGCOMM 1987). Each further try doubles it. Before the first measurement it is 1 s (RFC 6298, 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from agents.api import CancelTimer, MessageId, NodeId, SetTimer
from agents.options import OptionError, option

PREFIX = "rto"
FIRST_S = 1.0
TRIPS = 4
SMOOTH = 1 / 8


@dataclass(frozen=True)
class RetryOptions:
    """How patient a sender is."""

    rto_min_ms: float = option(
        200.0, unit="ms", low=1, high=60_000, help="shortest wait for an acknowledgement"
    )
    rto_max_ms: float = option(
        8000.0, unit="ms", low=1, high=600_000, help="longest wait, where doubling ends"
    )
    max_tries: int = option(
        10, unit="sends", low=1, high=1000, help="sends to a receiver before it is given up"
    )

    def check(self) -> None:
        """Raises `OptionError` when the longest wait is shorter than the shortest."""
        if self.rto_max_ms < self.rto_min_ms:
            raise OptionError(
                f"rto_max_ms={self.rto_max_ms:g}: choose at least rto_min_ms={self.rto_min_ms:g} "
                f"ms (defaults: {RetryOptions.rto_max_ms:g} and {RetryOptions.rto_min_ms:g})"
            )


class Due(NamedTuple):
    """A timer went off: this receiver has not answered. `over` when it had all its tries."""

    to: NodeId
    id: MessageId
    over: bool
    has_it: bool = False
    """It has told that it has the multicast, and that others lag."""


class Try:
    """How often a multicast was sent to one receiver, or the receiver asked for it."""

    __slots__ = ("first_s", "receipts", "tries")

    def __init__(self) -> None:
        self.first_s = 0.0
        self.tries = 0
        self.receipts = 0


class Outstanding:
    """The state of one sender towards its receivers."""

    def __init__(self, options: RetryOptions) -> None:
        self.options = options
        self._waiting: dict[NodeId, dict[MessageId, Try]] = {}
        self._trip_s: dict[NodeId, float] = {}

    def expect(self, to: NodeId, id: MessageId) -> None:
        """Registers a multicast that this receiver shall acknowledge, before it is sent."""
        self._waiting.setdefault(to, {}).setdefault(id, Try())

    def expects(self, to: NodeId, id: MessageId) -> bool:
        """Whether that acknowledgement is still missing."""
        return id in self._waiting.get(to, ())

    def of(self, to: NodeId) -> list[MessageId]:
        """What a receiver has not acknowledged, the oldest first."""
        return list(self._waiting.get(to, ()))

    def receivers(self, id: MessageId) -> list[NodeId]:
        """Who has not acknowledged a multicast."""
        return [to for to, waiting in self._waiting.items() if id in waiting]

    def sent(self, to: NodeId, id: MessageId, now: float, trips: float = 1.0) -> SetTimer:
        """A copy or a question goes out now. An answer takes that many round trips."""
        attempt = self._waiting[to][id]
        attempt.tries += 1
        if attempt.tries == 1:
            attempt.first_s = now
        return SetTimer(_name(to, id), now + self._timeout_s(to, attempt.tries, trips))

    def received(self, to: NodeId, id: MessageId, now: float, levels: int) -> SetTimer:
        """The receiver has it, some of the `levels` below it have not: all tries are left.

        It has a second for each of them, twice as long after each such word, to say more unasked.
        """
        attempt = self._waiting[to][id]
        if not attempt.receipts:
            self._measure(to, attempt, now)
        attempt.receipts += 1
        attempt.tries = 0
        wait_s = FIRST_S * max(levels, 1) * 2.0 ** min(attempt.receipts - 1, 30)
        return SetTimer(_name(to, id), now + min(wait_s, self._longest_s))

    def answered(
        self, to: NodeId, id: MessageId, now: float, *, measures: bool = True
    ) -> CancelTimer | None:
        """An acknowledgement came; None when nobody waited for it.

        `measures`: its receiver sent it as soon as the copy was there.
        """
        attempt = self._waiting.get(to, {}).pop(id, None)
        if attempt is None:
            return None
        if measures and not attempt.receipts:
            self._measure(to, attempt, now)
        return CancelTimer(_name(to, id))

    def due(self, name: str) -> Due | None:
        """Reads a timer's name; None when it is not one of these, or no longer waited for.

        Where the tries are over the receiver is no longer expected to acknowledge.
        """
        if not name.startswith(PREFIX):
            return None
        to, origin, sequence = map(int, name.split("/")[1:])
        id = MessageId(origin, sequence)
        attempt = self._waiting.get(to, {}).get(id)
        if attempt is None:
            return None
        over = attempt.tries >= self.options.max_tries
        if over:
            del self._waiting[to][id]
        return Due(to, id, over, attempt.receipts > 0)

    def drop(self, to: NodeId) -> list[CancelTimer]:
        """Forgets a receiver and all that it has not acknowledged."""
        return [CancelTimer(_name(to, id)) for id in self._waiting.pop(to, ())]

    @property
    def _longest_s(self) -> float:
        return max(self.options.rto_max_ms, self.options.rto_min_ms) / 1e3

    def _measure(self, to: NodeId, attempt: Try, now: float) -> None:
        if attempt.tries == 1:
            trip_s = now - attempt.first_s
            old_s = self._trip_s.get(to, trip_s)
            self._trip_s[to] = old_s + SMOOTH * (trip_s - old_s)

    def _timeout_s(self, to: NodeId, tries: int, trips: float) -> float:
        known_s = self._trip_s.get(to)
        base_s = FIRST_S * trips if known_s is None else TRIPS * known_s
        base_s = max(base_s, self.options.rto_min_ms / 1e3)
        return min(base_s * 2.0 ** min(tries - 1, 30), self._longest_s)


def _name(to: NodeId, id: MessageId) -> str:
    return f"{PREFIX}/{to}/{id.origin}/{id.sequence}"
