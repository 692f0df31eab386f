"""Tests of testbed.medium: each impairment has the frequency and the size that is asked for."""

from __future__ import annotations

import math
import statistics
from itertools import groupby, pairwise
from random import Random
from typing import Any

import pytest
from scipy import stats

from testbed.medium import FULL, Medium, quantile, share_below
from topologies.impairments import Distribution, Impairment

PACKETS = 40_000
LEAST_P = 1e-4


def medium(seed: int = 1, **impairment: Any) -> Medium:
    return Medium(Impairment(**impairment), Random(seed))


def binomial(successes: int, ratio: float) -> bool:
    return bool(stats.binomtest(successes, PACKETS, ratio).pvalue > LEAST_P)


def lost(link: Medium) -> list[bool]:
    return [not link.meet(0, 100) for _ in range(PACKETS)]


@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.9])
def test_independent_loss_has_its_ratio(ratio: float) -> None:
    assert binomial(sum(lost(medium(loss_ratio=ratio))), ratio)


def test_bursts_have_their_mean_length_and_leave_the_ratio_alone() -> None:
    losses = lost(medium(loss_ratio=0.2, burst_packets=4))
    lengths = [len(list(run)) for bad, run in groupby(losses) if bad]
    error = 4 * statistics.stdev(lengths) / math.sqrt(len(lengths))
    assert abs(statistics.mean(lengths) - 4) < error
    # A two-state chain's mean varies more than a binomial's: by (1 + r) / (1 - r), r = 1 - p - q.
    remembers = 1 - sum(Impairment(loss_ratio=0.2, burst_packets=4).spells)
    spread = math.sqrt(0.2 * 0.8 / PACKETS * (1 + remembers) / (1 - remembers))
    assert abs(sum(losses) / PACKETS - 0.2) < 4 * spread
    assert 4 * spread < 0.025


def test_spells_lose_what_they_are_told_to() -> None:
    link = medium(loss_ratio=0.35, burst_packets=50, bad_loss_ratio=0.6, good_loss_ratio=0.1)
    remembers = 1 - sum(link.impairment.spells)
    losses = lost(link)
    both = sum(a and b for a, b in pairwise(losses)) / PACKETS
    expected = 0.35**2 + remembers * 0.25**2  # half of the time bad: a variance of 0.25 squared
    assert abs(both - expected) < 0.02


def test_a_link_begins_in_a_bad_spell_as_often_as_it_is_in_one() -> None:
    first = [
        not medium(seed, loss_ratio=0.3, burst_packets=100).meet(0, 100) for seed in range(2000)
    ]
    assert stats.binomtest(sum(first), 2000, 0.3).pvalue > LEAST_P


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto"])
@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_jitter_has_its_distribution_correlated_or_not(
    distribution: Distribution, correlation: float
) -> None:
    link = medium(
        delay_ms=50, jitter_ms=5, jitter_distribution=distribution, jitter_correlation=correlation
    )
    late = [(link.pass_ns() / 1e6 - 50) / 5 for _ in range(PACKETS)]
    few = late[:: 1 if not correlation else 20]  # those in between depend on one another
    shares = [0.01, 0.1, 0.5, 0.9, 0.99]
    for share in shares:
        below = sum(each < quantile(distribution, share) for each in few)
        assert stats.binomtest(below, len(few), share).pvalue > LEAST_P / len(shares), share
    scores = stats.norm.ppf((stats.rankdata(late) - 0.5) / PACKETS)
    measured = stats.pearsonr(scores[1:], scores[:-1]).statistic
    assert abs(measured - correlation) < 0.025


def test_the_quantiles_are_those_of_the_distributions() -> None:
    assert quantile("uniform", 0.75) == 0.5
    assert quantile("normal", 0.975) == pytest.approx(1.95996, abs=1e-4)
    assert quantile("pareto", 0.5) == pytest.approx(-0.277, abs=1e-3)
    assert [quantile(each, 1.0) for each in ("pareto", "normal")] == pytest.approx([4, 4])
    assert share_below(1.96) == pytest.approx(0.975, abs=1e-4)


def test_a_share_of_the_packets_skips_the_delay() -> None:
    link = medium(delay_ms=20, jitter_ms=5, reorder_ratio=0.1)
    assert binomial(sum(link.pass_ns() == 0 for _ in range(PACKETS)), 0.1)


def test_a_share_of_the_packets_comes_twice_and_one_is_corrupted() -> None:
    link = medium(duplicate_ratio=0.1, corrupt_ratio=0.2)
    came = [link.meet(0, 100) for _ in range(PACKETS)]
    assert binomial(sum(len(copies) == 2 for copies in came), 0.1)
    assert binomial(sum(copies[0].corrupt for copies in came), 0.2)


def test_a_packet_that_is_duplicated_and_lost_comes_once() -> None:
    came = [
        len(medium(seed, loss_ratio=0.999999, duplicate_ratio=1).meet(0, 9)) for seed in range(50)
    ]
    assert came == [1] * 50


def test_a_rate_spaces_frames_by_their_length() -> None:
    link = medium(rate_mbit=1)
    first, second = (link.meet(0, 986)[0].release_ns for _ in range(2))
    assert (first, second) == (8_000_000, 16_000_000)  # 1,000 bytes with the Ethernet header
    assert link.meet(100_000_000, 986)[0].release_ns == 108_000_000


def test_what_finds_the_link_full_takes_no_time_on_it() -> None:
    link = medium(rate_mbit=1, queue_packets=2, duplicate_ratio=0.5)
    due: list[int] = []
    ends: list[int] = []
    for now_ns in range(0, 4_000_000_000, 4_000_000):  # of 8 ms each: twice the rate, or more
        due = [each for each in due if each > now_ns]
        copies = [copy.release_ns for copy in link.meet(now_ns, 986, len(due))]
        came = [each for each in copies if each != FULL]
        assert len(due) + len(came) <= 2
        due += came
        ends += came
    assert ends == [8_000_000 * place for place in range(1, len(ends) + 1)]
    assert len(ends) >= 499


def test_a_full_link_leaves_the_draws_of_the_packets_to_come_alone() -> None:
    links = [medium(loss_ratio=0.3, queue_packets=1, delay_ms=9, jitter_ms=3) for _ in range(2)]
    links[0].meet(0, 100, held=1)
    links[1].meet(0, 100, held=0)
    one, other = ([link.meet(0, 100) for _ in range(50)] for link in links)
    assert one == other


def test_a_link_with_a_rate_keeps_the_order_of_its_packets() -> None:
    link = medium(rate_mbit=10, delay_ms=20, jitter_ms=19)
    times = [link.meet(now * 10_000, 100)[0].release_ns for now in range(5000)]
    assert times == sorted(times)


def test_a_change_counts_for_the_packets_to_come() -> None:
    link = medium(delay_ms=20)
    before = link.meet(0, 100)
    link.change(Impairment(delay_ms=5))
    assert (before[0].release_ns, link.meet(0, 100)[0].release_ns) == (20_000_000, 5_000_000)


def test_the_same_seed_gives_the_same_weather() -> None:
    def draws(seed: int) -> list[Any]:
        link = medium(seed, loss_ratio=0.3, burst_packets=2, delay_ms=9, jitter_ms=3)
        return [link.meet(0, 100) for _ in range(100)]

    assert draws(3) == draws(3) != draws(4)
