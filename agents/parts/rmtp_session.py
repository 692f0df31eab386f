"""What one node keeps of the multicasts of one source in RMTP, as a receiver and as a DR."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from agents.api import Deliver, Lost, MessageId, NodeId, Note, View
from agents.parts.ordering import Fifo
from agents.parts.rmtp_status import Status
from agents.parts.rmtp_tree import served, way_up


class Session:
    """One source's multicasts at one node. Nothing of it is forgotten: a DR caches it whole."""

    def __init__(self, view: View, source: NodeId) -> None:
        self.source = source
        self.way_up = way_up(view, source)
        self.served = served(view, source)
        self.fifo = Fifo()
        self.cache: dict[int, tuple[int, bytes]] = {}
        """Hop of the copies to send, and payload, by number."""
        self.came: dict[int, float] = {}
        self.highest = 0
        """The highest number known to exist."""
        self.news = -inf
        """When something new was last heard or told of."""
        self.reporting = False
        """Whether the next status is scheduled."""
        self.asked: dict[int, dict[NodeId, None]] = {}
        """Who misses what, since the last retransmission; a dictionary keeps their order."""
        self.resent: dict[int, float] = {}
        self.leaves = 0
        """How often the source is still to be told that this node reports elsewhere."""
        self.children: dict[NodeId, tuple[int, float]] = {}
        """The `low` of each node that reports here, and when it last did."""

    @property
    def low(self) -> int:
        """The first number that is missing here."""
        return self.fifo.next(self.source)

    @property
    def whole(self) -> bool:
        """Whether all that is known to exist is here."""
        return self.low > self.highest

    def status(self) -> Status:
        return Status(self.low, frozenset(number for number in self.cache if number > self.low))

    def add(self, number: int, hop: int, payload: bytes, now: float) -> list[Deliver | Lost | Note]:
        """A copy arrived: returns what is delivered now."""
        if number in self.cache:
            return []
        self.cache[number] = hop, payload
        self.came[number] = self.news = now
        self.highest = max(self.highest, number)
        return self.fifo.add(MessageId(self.source, number))

    def exists(self, number: int, now: float) -> None:
        """A multicast of that number is known to have been sent."""
        if number > self.highest:
            self.highest = number
            self.news = now

    def lacks(self, status: Status, window: int, before: float) -> list[int]:
        """What is here and missing in a status: its gaps, and after them what came `before`.

        What came later may still be on its way to the one who reports.
        """
        end = min(status.low + window, self.highest + 1)
        return [
            number
            for number in range(status.low, end)
            if number in self.cache
            and number not in status.held
            and (number < status.end or self.came[number] <= before)
        ]

    def report(self, child: NodeId, low: int, now: float) -> None:
        """A node reports here."""
        self.children[child] = low, now

    def ask(self, child: NodeId, numbers: Iterable[int], since: float) -> None:
        """Somebody misses these; what was sent again after `since` may still be on its way."""
        for number in numbers:
            if self.resent.get(number, -inf) <= since:
                self.asked.setdefault(number, {})[child] = None

    def acknowledged(self, since: float) -> int | None:
        """The lowest `low` of those who have reported after `since`; None when nobody has."""
        return min((low for low, at in self.children.values() if at > since), default=None)
