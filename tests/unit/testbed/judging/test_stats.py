"""Estimates, intervals and tests of `judging.stats`, against simulation and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.judging import stats
from testbed.judging.stats import Estimate, Proportion


def test_interval_of_an_estimate_is_students() -> None:
    low, high = Estimate(10.0, 2.0, 9).interval(0.95)
    assert (low, high) == pytest.approx((10 - 2.262157 * 2, 10 + 2.262157 * 2))


def test_p_and_interval_agree_at_every_level() -> None:
    estimate = Estimate(1.0, 0.1, 20)
    for alpha in (0.001, 0.01, 0.05, 0.2):
        low, high = estimate.interval(1 - 2 * alpha)
        assert estimate.p_above(low) == pytest.approx(alpha)
        assert estimate.p_below(high) == pytest.approx(alpha)


def test_equivalence_needs_both_sides() -> None:
    assert Estimate(1.0, 0.01).p_within(0.9, 1.1) < 1e-6
    assert Estimate(1.0, 0.2).p_within(0.9, 1.1) > 0.05, "too rough"
    assert Estimate(1.2, 0.01).p_within(0.9, 1.1) > 0.99, "outside"
    assert Estimate(0.8, 0.01).p_outside(0.9, 1.1) < 1e-6
    assert Estimate(1.0, 0.01).p_outside(0.9, 1.1) == 1.0


def test_equivalence_at_the_margin_errs_as_often_as_its_level() -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(1.1, 0.2, size=(4000, 30))
    wrong = sum(stats.mean(s).p_within(0.9, 1.1) <= 0.05 for s in samples)
    assert 0.04 < wrong / 4000 < 0.06


def test_an_unknown_value_proves_nothing() -> None:
    assert Estimate(math.nan, math.nan).p_within(0.9, 1.1) == 1.0
    assert Estimate(math.nan, math.nan).p_outside(0.9, 1.1) == 1.0


def test_a_proportion_has_the_exact_interval() -> None:
    low, high = Proportion(0, 100).interval(0.95)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 100))


def test_fifty_nine_successes_in_a_row_show_more_than_95_percent() -> None:
    assert Proportion(58, 58).p_above(0.95) > 0.05
    assert Proportion(59, 59).p_above(0.95) <= 0.05
    assert Proportion(0, 0).p_above(0.95) == 1.0


def test_a_mean_of_one_run_is_refused() -> None:
    with pytest.raises(ValueError, match="two runs"):
        stats.mean([1.0])


def test_a_run_that_never_ends_proves_nothing_about_the_mean() -> None:
    infinite = stats.mean([1.0, math.inf, 2.0])
    assert infinite.value == math.inf
    assert (infinite.p_above(1.0), infinite.p_below(1.0)) == (1.0, 1.0)


@pytest.mark.parametrize("margin", [(0.9, 1.1), (-math.inf, 1.1), (0.9, math.inf)])
def test_a_margin_is_tested_on_its_finite_bounds_only(margin: tuple[float, float]) -> None:
    estimate, share = stats.Estimate(1.0, 0.01), stats.Proportion(1000, 1000)
    inside, outside = stats.tested(estimate, stats.Interval(*margin))
    assert inside < 1e-6 and outside > 0.9
    far = stats.Estimate(1.0, 0.01, math.inf).scaled(2.0 if margin[1] < math.inf else 0.1)
    assert stats.tested(far, stats.Interval(*margin))[1] < 1e-6
    assert stats.tested(share, stats.Interval(0.95, math.inf))[0] < 1e-6


def test_both_finite_bounds_agree_with_equivalence() -> None:
    estimate = stats.Estimate(1.04, 0.02, 20)
    assert stats.tested(estimate, stats.Interval(0.9, 1.1)) == (
        estimate.p_within(0.9, 1.1),
        estimate.p_outside(0.9, 1.1),
    )


def test_the_ratio_of_two_means_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(400):
        above, below = rng.normal(20, 4, 50), rng.normal(10, 2, 50)
        low, high = stats.ratio(stats.mean(above), stats.mean(below)).interval(0.9)
        covered += low < 2.0 < high
    assert covered / 400 == pytest.approx(0.9, abs=0.045)


def test_a_contrast_of_dependent_columns_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        common = rng.gamma(4.0, 0.25, 300)
        columns = np.stack([rng.poisson(4 * common), rng.poisson(1 * common)], axis=1)
        low, high = stats.log_contrast(columns, [1.0, -1.0]).interval(0.9)
        covered += low < math.log(4) < high
    assert covered / 400 == pytest.approx(0.9, abs=0.045)
    assert math.isnan(stats.log_contrast([[1.0, 0.0], [1.0, 0.0]], [1.0, -1.0]).value)


@pytest.mark.parametrize("sizes", [(8, 16, 32, 64), (16, 32, 64, 128, 256)])
def test_exponent_of_a_power_law_is_its_power(sizes: tuple[int, ...]) -> None:
    found = stats.exponent(sizes, [Estimate(3 * n**0.7, 0.01 * n) for n in sizes])
    assert found.value == pytest.approx(0.7)


def test_interval_of_an_exponent_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    sizes, hits = (8, 16, 32, 64, 128), 0
    truth = float(np.polyfit(np.log(sizes), np.log(2 + np.log(sizes)), 1)[0])
    for _ in range(1500):
        means = [stats.mean(rng.gamma(9, (2 + math.log(n)) / 9, 40)) for n in sizes]
        low, high = stats.exponent(sizes, means).interval(0.95)
        hits += low <= truth <= high
    assert 0.93 < hits / 1500 < 0.97


def test_delta_method_agrees_with_the_bootstrap() -> None:
    sample = np.random.default_rng(3).gamma(9, 1 / 9, 60)
    bootstrap = stats.bootstrap_mean(sample, 0.9)
    assert stats.mean(sample).interval(0.9) == pytest.approx(bootstrap, abs=0.02)


def test_bootstrap_of_equal_runs_is_a_point() -> None:
    assert stats.bootstrap_mean([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_welchs_degrees_of_freedom_for_two_equal_arms() -> None:
    assert stats.combine([1, -1], [Estimate(1, 0.2, 9), Estimate(2, 0.2, 9)]).df == (
        pytest.approx(18)
    )


def test_a_rate_pools_the_stretches() -> None:
    found = stats.rate([100, 300], [10, 30])
    assert found.value == 10.0
    assert found.se == pytest.approx(math.sqrt(400) / 40)


def test_scattered_stretches_widen_the_interval_and_steady_ones_do_not_narrow_it() -> None:
    steady, wild = [100] * 10, [60, 140] * 5
    assert stats.rate(steady, [1] * 10).se == pytest.approx(math.sqrt(1000) / 10)
    assert stats.rate(wild, [1] * 10).se > 3 * stats.rate(steady, [1] * 10).se


def test_no_packets_at_all_still_have_an_error() -> None:
    assert stats.rate([0, 0], [10, 10]).p_below(1.0) < 0.05


def test_holm_steps_down_over_the_registered_family() -> None:
    steps = stats.holm([0.012, 0.001, 0.2], family=4)
    assert [step.alpha for step in steps] == pytest.approx([0.05 / 3, 0.05 / 4, 0.05 / 2])
    assert [step.rejected for step in steps] == [True, True, False]
    assert [step.p for step in steps] == pytest.approx([0.036, 0.004, 0.4])


def test_running_a_subset_never_makes_a_test_easier() -> None:
    alone = stats.holm([0.02], family=5)[0]
    among = stats.holm([0.02, 0.5, 0.6, 0.7, 0.8], family=5)[0]
    assert alone == among
    assert not alone.rejected


@settings(max_examples=15)  # statsmodels collects garbage at each call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(0, 4))
def test_holm_rejects_what_is_at_or_below_its_level(p_values: list[float], more: int) -> None:
    for p, step in zip(p_values, stats.holm(p_values, len(p_values) + more), strict=True):
        assert step.rejected == (p <= step.alpha)


def test_holm_refuses_a_family_that_is_too_small() -> None:
    with pytest.raises(ValueError, match="family of 1"):
        stats.holm([0.1, 0.2], 1)


def test_g_test_errs_as_often_as_its_level() -> None:
    rng = np.random.default_rng(4)
    chances = np.array([0.02, 0.08, 0.2, 0.4, 0.2, 0.08, 0.02])
    p_values = [stats.g_test(rng.multinomial(150, chances), chances) for _ in range(2000)]
    assert 0.035 < np.mean(np.array(p_values) <= 0.05) < 0.075


def test_g_test_finds_a_shifted_distribution() -> None:
    assert stats.g_test([5, 10, 40, 45], [0.2, 0.3, 0.3, 0.2]) < 1e-4


def test_pooling_keeps_the_totals_and_the_least() -> None:
    seen, wanted = stats.pool(
        np.array([1.0, 0, 7, 2, 1]), np.array([0.5, 1.5, 6.0, 2.0, 1.0]), least=5
    )
    assert (seen.sum(), wanted.sum()) == (11.0, 11.0)
    assert (wanted >= 5).all()


def test_two_samples_of_one_distribution_differ_as_often_as_the_level() -> None:
    rng = np.random.default_rng(5)
    draws = (stats.same_distribution(rng.gamma(5, 1, 80), rng.gamma(5, 1, 80)) for _ in range(1500))
    assert 0.03 < np.mean([p <= 0.05 for p in draws]) < 0.085


def test_a_shift_of_half_a_standard_deviation_is_seen() -> None:
    rng = np.random.default_rng(6)
    assert stats.same_distribution(rng.normal(0, 1, 300), rng.normal(0.5, 1, 300)) < 0.001


def test_infinite_times_count_as_the_largest() -> None:
    whole, broken = np.arange(100.0), np.where(np.arange(100) < 60, np.arange(100.0), math.inf)
    assert stats.same_distribution(whole, whole) > 0.9
    assert stats.same_distribution(whole, broken) < 0.01


def test_runs_for_a_half_width_match_the_docstring() -> None:
    assert stats.runs_for(1.33, 0.25) == 109


def test_one_size_has_no_exponent() -> None:
    assert math.isnan(stats.exponent([64], [stats.Estimate(5.0, 0.1)]).value)
