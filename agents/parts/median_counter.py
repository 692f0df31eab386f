"""The median-counter rule: when a node stops spreading a rumor that everybody knows.

Model: Karp, Schindelhauer, Shenker and Voecking, Randomized rumor spreading (FOCS 2000): a node is
in state A (has not heard), B with a counter m, C (cools down) or D (silent). A hears from a C and
is in C, or from B alone and is in B with m = 1. In B it compares itself with all whom it met in the
round: when more of them spread with a counter of at least m (or in C) than did not, m rises; beyond
the limit, or when a C was met, it is in C. In C it spreads for as many rounds as the limit.

Decided here, where the paper leaves constants open: the limit is 1 + ceil(log2 ln N) unless it is
given; a partner that is silent (A or D) counts as one with a lower counter; what was heard in a
round takes effect when the node's next round begins. A node whose partners are all silent cannot
tell A from D, and by the counters alone would go on for ever: after ceil(4 ln N) rounds it stops.
Worked number: N = 256 gives a limit of 1 + ceil(log2 5.55) = 4.
"""

from __future__ import annotations

from math import ceil, log, log2

from agents.api import MessageId

COOLING = 0xFFFF
"""The counter that a node in state C tells."""


def limit(nodes: int) -> int:
    """The greatest counter in state B, and the rounds in state C."""
    return 1 + max(1, ceil(log2(log(nodes)))) if nodes > 2 else 2


def patience(nodes: int) -> int:
    """Rounds after which a node stops, whatever the counters say."""
    return max(4, ceil(4 * log(nodes)))


class Heat:
    """One rumor at a node in state B or C."""

    __slots__ = ("cooled", "counter", "fresh", "higher", "met_cooling", "partners", "rounds")

    def __init__(self) -> None:
        self.counter = 1
        """In state B; `COOLING` in state C."""
        self.fresh = True
        """Heard in this round, which counts for nothing yet."""
        self.cooled = 0
        """Rounds spent in state C."""
        self.partners = 0
        """Met in this round, whatever they said."""
        self.higher = 0
        """Of them, those that spread it with at least this counter."""
        self.met_cooling = False
        self.rounds = 0
        """In which it was spread."""


class Medians:
    """The rumors that one node spreads."""

    def __init__(self, most: int, patience: int) -> None:
        self.most = most
        self.patience = patience
        self.hot: dict[MessageId, Heat] = {}

    def start(self, id: MessageId, counter: int = 0) -> None:
        """The node has heard of a rumor, from a node with that counter."""
        heat = self.hot[id] = Heat()
        if counter == COOLING:
            heat.counter = COOLING

    def met(self) -> None:
        """The node called somebody, or was called."""
        for heat in self.hot.values():
            heat.partners += 1

    def heard(self, id: MessageId, counter: int) -> None:
        """A partner spreads a rumor that is known here."""
        heat = self.hot.get(id)
        if heat is not None:
            heat.higher += counter >= heat.counter
            heat.met_cooling |= counter == COOLING

    def begin_round(self) -> None:
        """The round that was counts; forgets the rumors that are in state D now."""
        for id, heat in list(self.hot.items()):
            if heat.counter == COOLING:
                heat.cooled += not heat.fresh
                if heat.cooled >= self.most:
                    del self.hot[id]
            elif heat.met_cooling:
                heat.counter = COOLING
            elif not heat.fresh and 2 * heat.higher > heat.partners:
                heat.counter = heat.counter + 1 if heat.counter < self.most else COOLING
            heat.rounds += 1
            if heat.rounds > self.patience:
                self.hot.pop(id, None)
            heat.partners = heat.higher = 0
            heat.met_cooling = heat.fresh = False
