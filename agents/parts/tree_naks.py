"""Requests for repair in a tree: asking the parent, then those above, for what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from agents.api import Action, CancelTimer, MessageId, Send, SetTimer
from agents.parts.branches import Branch, ranges
from agents.parts.ordering import Fifo
from agents.parts.tree_messages import TreeNak

ASK = "ask"
DOUBLINGS = 4  # of the time between two requests


@dataclass(frozen=True)
class Naks:
    """The requests of one node. Times are in seconds."""

    fifo: Fifo
    rng: Random
    delay_s: float
    """The longest random wait before the first request."""
    retry_s: float

    def look(self, branch: Branch, now: float) -> list[Action]:
        """Something arrived: plans a request for what is missing, or needs none any more.

        What helped in part, as the number that is awaited next goes up, ends the doubling: the
        next request is no repetition.
        """
        start = self.fifo.next(branch.origin)
        missing = start <= branch.highest
        if branch.naks and missing and start > branch.asked:
            branch.asked, branch.naks = start, 0
            return [SetTimer(_name(branch), now + self.retry_s)]
        if not missing and branch.asking:
            branch.asking, branch.naks = False, 0
            return [CancelTimer(_name(branch))]
        if missing and not branch.asking:
            branch.asking = True
            return [SetTimer(_name(branch), now + self.rng.uniform(0.0, self.delay_s))]
        return []

    def ask(self, branch: Branch, now: float) -> list[Action]:
        """Asks for all that is missing, and plans to ask again."""
        start = self.fifo.next(branch.origin)
        missing = [
            number
            for number in range(start, branch.highest + 1)
            if not self.fifo.has(MessageId(branch.origin, number))
        ]
        if not missing:
            branch.asking, branch.naks = False, 0
            return []
        to = branch.source()
        branch.asked = start
        branch.naks += 1
        wait_s = self.retry_s * 2.0 ** min(branch.naks - 1, DOUBLINGS)
        request = TreeNak(branch.origin, missing[0], 0, 0, ranges(missing))
        return [Send(to, request), SetTimer(_name(branch), now + wait_s)]


def _name(branch: Branch) -> str:
    return f"{ASK}/{branch.origin}"
