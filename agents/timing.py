"""When a node's gossip rounds begin: the five modes, as a rule without a clock.

They differ in the constants by up to 2x, so every result carries its mode. Early growth per period
with fan-out b is 1+b for `sync` and `restart`, e^b for `free` and `poisson` (with more variance),
and limited only by the links for `immediate`. The UDP runner and the simulator use this class.

- `sync`: at the common multiples of the period, the first one period after the start.
- `restart`: the first one full period after the node's infection, then periodically.
- `free`: periodically from a uniformly random phase, which infection does not touch.
- `poisson`: exponential gaps with the period as their mean.
- `immediate`: at the instant of infection, then periodically.

Ticks follow the schedule, not the moment at which they were served: a driver that is late does not
drift, and one that was stopped for ten periods serves ten ticks.
"""

from __future__ import annotations

from math import inf
from random import Random

MODES = ("sync", "restart", "free", "poisson", "immediate")


class Timing:
    """The ticks of one node in one run. Times are seconds since the start of the run.

    `due` is when the next tick begins, infinite before infection where a mode waits for it. `k` is
    the number of ticks begun so far.
    """

    __slots__ = ("_first", "_rng", "due", "k", "mode", "round_s")

    def __init__(self, mode: str, round_s: float, rng: Random) -> None:
        if mode not in MODES:
            raise ValueError(f"timing {mode!r}: choose one of {', '.join(MODES)}")
        if not 0 < round_s < inf:
            raise ValueError(f"round_s={round_s!r}: choose a positive number of seconds")
        self.mode = mode
        self.round_s = round_s
        self.k = 0
        # A generator costs 2.5 kB, so only the mode that needs it keeps it.
        self._rng = rng if mode == "poisson" else None
        if mode == "sync":
            self._first = round_s
        elif mode == "free":
            self._first = rng.random() * round_s
        elif mode == "poisson":
            self._first = rng.expovariate(1 / round_s)
        else:
            self._first = inf
        self.due = self._first

    def infect(self, now: float) -> bool:
        """The node was infected; true when this sets the first tick. Later calls change nothing."""
        if self.due != inf:
            return False
        self._first = now if self.mode == "immediate" else now + self.round_s
        self.due = self._first
        return True

    def resume(self, now: float) -> None:
        """The node starts again: nothing that was due before `now` is made up for.

        `sync` keeps to the common multiples; `free` and `poisson` begin anew from now.
        """
        if self.mode == "sync":
            self._first = (now // self.round_s + 1) * self.round_s
        else:
            self._first += now
        self.due = self._first

    def begin(self) -> int:
        """The tick that was due begins: returns its number k (from 1) and schedules the next."""
        self.k += 1
        if self._rng is not None:
            self.due += self._rng.expovariate(1 / self.round_s)
        else:
            # A product, not a running sum: rounding errors do not add up.
            self.due = self._first + self.k * self.round_s
        return self.k
