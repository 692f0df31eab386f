"""One direction of one link as a model: what becomes of each packet, drawn from one random source.

The simulator and the userspace queue both drive it, so a field of `Impairment` means the same to
them; its order of draws is that of sch_netem's `netem_enqueue`: duplicate, lose, corrupt, wait. A
packet that is both duplicated and lost arrives once. Departures from netem: a link begins in the
long-run mix of good and bad spells, not always in a good one; correlated jitter keeps its
distribution (netem mixes uniform numbers, which makes them less spread); what overtakes a link
with a rate still takes its time on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from statistics import NormalDist
from typing import NamedTuple

from topologies.impairments import Distribution, Impairment

LOST = -1
FULL = -2
"""When a copy is released that found no room."""

NS_A_MS = 1_000_000

FRAME_BYTES = 14
"""Of an Ethernet header: what a rate counts beside the IP packet, as queueing disciplines do."""

CUT = 4.0
"""Standard deviations at which a jitter ends: what the 16 bits of a netem table can hold."""

_PARETO_SHAPE = 3.0
_PARETO_MEAN = _PARETO_SHAPE / (_PARETO_SHAPE - 1)
_PARETO_SD = math.sqrt(_PARETO_SHAPE / (_PARETO_SHAPE - 2)) / (_PARETO_SHAPE - 1)


class Copy(NamedTuple):
    """One copy of a packet that is not lost on the way."""

    release_ns: int
    """`FULL` when the link had no room for it."""
    corrupt: bool


class Medium:
    """One direction of one link, with a random source of its own."""

    __slots__ = (
        "_bad",
        "_correlated",
        "_gauss",
        "_random",
        "_released_ns",
        "_score",
        "impairment",
        "plain",
    )

    def __init__(self, impairment: Impairment, rng: Random) -> None:
        self._random = rng.random
        self._gauss = rng.gauss
        self._released_ns = 0
        self._score = rng.gauss(0.0, 1.0) if impairment.jitter_correlation else 0.0
        self._bad = False
        self.impairment = impairment
        if impairment.burst_packets is not None:
            worsens, ends = impairment.spells
            self._bad = rng.random() < worsens / (worsens + ends)
        self.change(impairment)

    def change(self, impairment: Impairment) -> None:
        """Impairs the packets to come in another way; those under way keep their times."""
        self.impairment = impairment
        self._correlated = math.sqrt(1 - impairment.jitter_correlation**2)
        self.plain = not (
            impairment.duplicate_ratio
            or impairment.corrupt_ratio
            or impairment.rate_mbit
            or impairment.queue_packets
        )
        """Whether a packet becomes one copy or none, whenever the others came: `pass_ns` says."""

    def pass_ns(self) -> int:
        """For a `plain` link: how long it takes a packet, or `LOST`."""
        return LOST if self._loses() else self._wait_ns()

    def meet(self, now_ns: int, size: int, held: int = 0) -> Sequence[Copy]:
        """What becomes of an IP packet of `size` bytes that comes now; calls in order of time.

        `held` is how many packets the link holds already, for `queue_packets`.
        """
        what = self.impairment
        copies = 1
        if what.duplicate_ratio and self._random() < what.duplicate_ratio:
            copies = 2
        if self._loses():
            copies -= 1
        if not copies:
            return ()
        first = self._pass(now_ns, size, held)
        if copies == 1 or self._loses():
            return (first,)
        return (first, self._pass(now_ns, size, held + (first.release_ns > now_ns)))

    def _pass(self, now_ns: int, size: int, held: int) -> Copy:
        what = self.impairment
        corrupt = bool(what.corrupt_ratio) and self._random() < what.corrupt_ratio
        release_ns = now_ns + self._wait_ns()
        # After the draws, so that the packets to come meet the same whether or not there is room;
        # before the rate, which a packet that is dropped takes nothing of.
        if what.queue_packets is not None and held >= what.queue_packets:
            return Copy(FULL, corrupt)
        if what.rate_mbit:
            # Mbit/s are bits a microsecond.
            takes_ns = round((size + FRAME_BYTES) * 8e3 / what.rate_mbit)
            release_ns = max(release_ns, self._released_ns) + takes_ns
            self._released_ns = release_ns
        return Copy(release_ns, corrupt)

    def _loses(self) -> bool:
        what = self.impairment
        if what.burst_packets is None:
            return bool(what.loss_ratio) and self._random() < what.loss_ratio
        worsens, ends = what.spells
        bad = self._bad
        if self._random() < (ends if bad else worsens):
            self._bad = not bad
        return self._random() < (what.bad_loss_ratio if bad else what.good_loss_ratio)

    def _wait_ns(self) -> int:
        what = self.impairment
        if what.reorder_ratio and self._random() < what.reorder_ratio:
            return 0
        late_ms = what.delay_ms
        if what.jitter_ms:
            late_ms += what.jitter_ms * self._jitter()
        return round(max(late_ms, 0.0) * NS_A_MS)

    def _jitter(self) -> float:
        what = self.impairment
        if what.jitter_correlation:
            self._score = what.jitter_correlation * self._score + self._correlated * self._gauss(
                0.0, 1.0
            )
            if what.jitter_distribution == "normal":
                return min(max(self._score, -CUT), CUT)
            return quantile(what.jitter_distribution, share_below(self._score))
        if what.jitter_distribution == "uniform":
            return 2 * self._random() - 1
        if what.jitter_distribution == "normal":
            return min(max(self._gauss(0.0, 1.0), -CUT), CUT)
        return quantile(what.jitter_distribution, self._random())


def share_below(score: float) -> float:
    """The distribution function of the standard normal. share_below(1.96) = 0.975"""
    return 0.5 * math.erfc(-score / math.sqrt(2))


def quantile(distribution: Distribution, share: float) -> float:
    """A jitter in units of `jitter_ms`, by the share (0..1) of jitters below it.

    quantile("uniform", 0.75) = 0.5; quantile("pareto", 0.5) = -0.277, the mean is 0.
    """
    if distribution == "uniform":
        return 2 * share - 1
    if distribution == "normal":
        low = share_below(-CUT)
        return NormalDist().inv_cdf(min(max(share, low), 1 - low))
    high = (_PARETO_MEAN + CUT * _PARETO_SD) ** -_PARETO_SHAPE
    longest: float = max(1 - share, high) ** (-1 / _PARETO_SHAPE)
    return (longest - _PARETO_MEAN) / _PARETO_SD
