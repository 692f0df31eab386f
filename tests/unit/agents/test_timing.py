"""Each timing mode begins its rounds when its definition says, without drift."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from random import Random
from statistics import mean

import pytest
from scipy.stats import kstest

from agents.timing import MODES, Timing

P = 0.3


def ticks(timing: Timing, count: int) -> list[float]:
    times = []
    for k in range(1, count + 1):
        times.append(timing.due)
        assert timing.begin() == k
    return times


def test_sync_ticks_at_the_common_multiples_of_the_period() -> None:
    assert ticks(Timing("sync", P, Random(1)), 4) == pytest.approx([P, 2 * P, 3 * P, 4 * P])


def test_free_has_a_uniform_phase_and_then_the_period() -> None:
    firsts = [ticks(Timing("free", P, Random(seed)), 3) for seed in range(500)]
    assert all(b - a == pytest.approx(P) for row in firsts for a, b in pairwise(row))
    assert kstest([row[0] / P for row in firsts], "uniform").pvalue > 0.001


@pytest.mark.parametrize("mode", ["sync", "free", "poisson"])
def test_infection_does_not_touch_a_schedule_that_runs(mode: str) -> None:
    infected, left = (Timing(mode, P, Random(7)) for _ in range(2))
    assert infected.infect(0.01) is False
    assert ticks(infected, 5) == ticks(left, 5)


def test_poisson_gaps_are_exponential_with_the_period_as_mean() -> None:
    times = [0.0, *ticks(Timing("poisson", P, Random(3)), 2000)]
    gaps = [b - a for a, b in pairwise(times)]
    assert mean(gaps) == pytest.approx(P, rel=0.1)
    assert kstest([gap / P for gap in gaps], "expon").pvalue > 0.001


def test_restart_begins_one_full_period_after_infection() -> None:
    timing = Timing("restart", P, Random(1))
    assert timing.due == inf
    assert timing.infect(1.0) is True
    assert ticks(timing, 3) == pytest.approx([1 + P, 1 + 2 * P, 1 + 3 * P])


def test_immediate_begins_at_the_infection() -> None:
    timing = Timing("immediate", P, Random(1))
    assert timing.infect(1.0) is True
    assert ticks(timing, 3) == pytest.approx([1, 1 + P, 1 + 2 * P])


def test_a_second_infection_changes_nothing() -> None:
    timing = Timing("restart", P, Random(1))
    timing.infect(1.0)
    assert timing.infect(5.0) is False
    assert timing.due == pytest.approx(1 + P)


def test_a_million_periods_do_not_drift() -> None:
    timing = Timing("sync", 0.1, Random(1))
    for _ in range(1_000_000):
        timing.begin()
    assert timing.due == pytest.approx(100_000.1, abs=1e-9)


def test_the_same_generator_gives_the_same_ticks() -> None:
    for mode in MODES:
        one, two = (Timing(mode, P, Random(9)) for _ in range(2))
        one.infect(0.5)
        two.infect(0.5)
        assert ticks(one, 20) == ticks(two, 20)


@pytest.mark.parametrize(("mode", "round_s"), [("fast", 1.0), ("free", 0.0), ("sync", -1.0)])
def test_nonsense_is_refused(mode: str, round_s: float) -> None:
    with pytest.raises(ValueError, match="choose"):
        Timing(mode, round_s, Random(1))
