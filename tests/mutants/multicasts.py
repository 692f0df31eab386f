"""SRM and Bimodal Multicast with something wrong, and the numbers of requests, seconds and nodes
that must give it away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agents.api import Message
from agents.parts import distances, srm_timers
from agents.protocols import pbcast, srm
from testbed.judging import stats
from testbed.theory import pbcast as theory
from tests.mutants.patching import put, wrapped
from tests.unit.agents.protocols.test_srm import WINDOWS, adapting
from tests.unit.testbed.simulator.test_recovery import D_MS, LEAST_P, pbcast_ends, srm_star_of


def star_of_srm() -> str:
    """Requests for a packet that all lose, and the time to the first, against their formulas."""
    wrong = []
    for name, (mean, truth) in srm_star_of(nodes=16, c2=2.0, seeds=5).items():
        low, high = mean.interval(1 - LEAST_P)
        if not low <= truth <= high:
            wrong.append(f"{name} {mean.value:.2f}, not {truth:.2f}")
    return "; ".join(wrong)


def windows_of_srm() -> str:
    """How adaptive timers move after six losses of which everything is known."""
    found = adapting()
    return "" if found == WINDOWS else f"{found}, not {WINDOWS}"


def deliveries_of_pbcast() -> str:
    """How many of 12 nodes get a multicast, against the exact distribution, by a G-test."""
    nodes, rounds, loss = 12, 3, 0.3
    ends = pbcast_ends(nodes, rounds, loss)
    exact = theory.delivered(nodes, rounds, loss_ratio=loss)
    p = stats.g_test(np.bincount(ends, minlength=nodes + 1)[1:], exact[1:])
    return f"p = {p:.1g}" if p < LEAST_P else ""


def _half_the_window(true: Any) -> Any:
    def draw(self: Any, rng: Any, *given: Any) -> float:
        self.width, width = self.width / 2, self.width
        drawn: float = true(self, rng, *given)
        self.width = width
        return drawn

    return draw


def _a_distance_early(true: Any) -> Any:
    return lambda self, rng, distance, *given: true(self, rng, distance, *given) - distance / 2


def _never_heeds(true: Any) -> Any:
    def make(self: Any, since: float) -> None:
        true(self, since)
        self.ignore_until = math.inf

    return make


def _never_the_closest(true: Any) -> Any:
    def sent(self: Any) -> None:
        true(self)
        self._closest = False

    return sent


def _the_closest_for_good(true: Any) -> Any:
    def duplicate(self: Any, *given: Any) -> None:
        closest = self._closest
        true(self, *given)
        self._closest |= closest

    return duplicate


def _as_if_first(true: Any) -> Any:
    def heed(self: Any, heard: Message, *given: Any) -> Any:
        first = srm.SrmRequest(heard.origin, heard.sequence, heard.hop, 0, heard.body)
        return true(self, first, *given)

    return heed


def _from_zero(before: float | None, sample: float) -> float:
    return (before or 0.0) + srm_timers.WEIGHT * (sample - (before or 0.0))


def _a_round_longer(true: Any) -> Any:
    return lambda self, hop, payload, born, since: true(self, hop, payload, born, since + 1)


def _one_more(true: Any) -> Any:
    return lambda self: [*true(self), *self._others(1)]


MULTICASTS = (
    (
        "SRM draws its timers from half of the window",
        "SRM star",
        wrapped(srm_timers.Window, "draw", _half_the_window),
    ),
    (
        "SRM asks half a distance too early",
        "SRM star",
        wrapped(srm_timers.Window, "draw", _a_distance_early),
    ),
    (
        "SRM heeds nobody else's request",
        "SRM star",
        wrapped(srm.Missing, "__init__", _never_heeds),
    ),
    (
        "SRM counts distances there and back",
        "SRM star",
        put(distances.Distances, "to", lambda self, peer: D_MS / 500),
    ),
    (
        "SRM's first to ask does not take itself for the closest",
        "SRM windows",
        wrapped(srm_timers.AdaptiveWindow, "sent", _never_the_closest),
    ),
    (
        "SRM's closest stays so though another is as near",
        "SRM windows",
        wrapped(srm_timers.AdaptiveWindow, "duplicate", _the_closest_for_good),
    ),
    (
        "SRM takes those that ask again for duplicates",
        "SRM windows",
        wrapped(srm.Srm, "_heed", _as_if_first),
    ),
    (
        "SRM's averages start at zero",
        "SRM windows",
        put(srm_timers, "_average", _from_zero),
    ),
    (
        "pbcast keeps a multicast a round too long",
        "pbcast",
        wrapped(pbcast.Kept, "__init__", _a_round_longer),
    ),
    (
        "pbcast sends its digest to one more",
        "pbcast",
        wrapped(pbcast.Pbcast, "_targets", _one_more),
    ),
    (
        "pbcast never answers",
        "pbcast",
        put(pbcast.Pbcast, "_copies", lambda self, names, sender: iter(())),
    ),
)
