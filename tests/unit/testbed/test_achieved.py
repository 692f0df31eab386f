"""Tests of testbed.achieved: honest losses pass, wrong ones are named."""

from __future__ import annotations

import pytest
from scipy import stats

from testbed.achieved import FALSE_ALARM, complaints, p_value


@pytest.mark.parametrize(
    ("dropped", "offered", "ratio"), [(8, 10, 0.5), (0, 40, 0.1), (40, 40, 0.9), (2, 9, 0.3)]
)
def test_the_p_value_is_twice_the_smaller_tail(dropped: int, offered: int, ratio: float) -> None:
    tails = stats.binom.cdf(dropped, offered, ratio), stats.binom.sf(dropped - 1, offered, ratio)
    assert p_value(dropped, offered, ratio) == pytest.approx(min(1, 2 * min(tails)))


def test_the_worked_example_is_right() -> None:
    assert p_value(8, 10, 0.5) == pytest.approx(0.109, abs=5e-4)


@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("offered", [100, 5_000, 2_000_000])
def test_a_loss_is_complained_of_where_chance_no_longer_reaches(ratio: float, offered: int) -> None:
    low, high = (int(stats.binom.ppf(tail, offered, ratio)) for tail in (1e-6 / 4, 1 - 1e-6 / 4))
    honest = (round(0.2 * 1000), 1000)
    for dropped, wrong in ((low, False), (high, False), (low - 3, True), (high + 3, True)):
        if 0 <= dropped <= offered:
            said = complaints({ratio: (dropped, offered), 0.2: honest})
            assert bool(said) is wrong, (dropped, said)


def test_nothing_and_everything_are_held_exactly() -> None:
    assert complaints({0.0: (0, 10), 1.0: (10, 10)}) == []
    assert len(complaints({0.0: (1, 10**6), 1.0: (10**6 - 1, 10**6)})) == 2


def test_a_complaint_says_what_was_asked_and_achieved() -> None:
    (said,) = complaints({0.3: (5000, 10_000)})
    assert said.startswith("loss 0.3 asked, 0.5 achieved, n = 10,000")


def test_where_nothing_was_offered_there_is_nothing_to_complain_of() -> None:
    assert complaints({0.3: (0, 0)}) == []


def test_honest_losses_are_denied_in_one_of_a_million_networks() -> None:
    ratios = (0.1, 0.3, 0.5)
    denied = 0.0
    for ratio in ratios:
        denied += sum(
            stats.binom.pmf(dropped, 2000, ratio)
            for dropped in range(2001)
            if p_value(dropped, 2000, ratio) < FALSE_ALARM / len(ratios)
        )
    assert FALSE_ALARM / 4 < denied <= FALSE_ALARM
