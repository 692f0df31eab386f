"""The independent reference against what is known exactly, and its own invariants."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.claims.die_out import CRASH_HOSTS_DIES
from testbed.simulator.reference import Epidemic, draw, sample
from testbed.theory import coupon_collector
from testbed.theory.topology_aware_crossings import topology_aware_crossings


def many(
    runs: int, nodes: int, fan_out: int = 1, seed: int = 1, **options: object
) -> list[Epidemic]:
    rng = Random(seed)
    return [draw(nodes, fan_out, rng=rng, **options) for _ in range(runs)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("fan_out", "loss"), [(1, 0.0), (2, 0.0), (3, 0.5)])
def test_sends_to_the_last_infection_are_a_coupon_collectors(fan_out: int, loss: float) -> None:
    sends = np.array([len(e.sends) for e in many(1500, 32, fan_out, loss_ratio=loss)])
    mean = coupon_collector.mean_sends(32, loss)
    sd = coupon_collector.sd_sends(32, loss)
    assert abs(sends.mean() - mean) < 4 * sd / math.sqrt(1500)
    assert sends.std() == pytest.approx(sd, rel=0.1)


def test_two_nodes_need_half_a_period_on_average() -> None:
    times = np.array([max(e.infected_at) for e in many(2000, 2)])
    assert times.mean() == pytest.approx(0.5, abs=0.03)
    assert times.max() <= 1.0


def test_times_of_256_nodes_match_an_earlier_trial() -> None:
    drawn = sample(256, 1, runs=600, seed=3)
    assert drawn.rounds_to_all.mean() == pytest.approx(11.84, abs=0.3)
    assert drawn.infected_at[:, 127].mean() == pytest.approx(5.69, abs=0.2)


@settings(max_examples=40, deadline=None)
@given(
    nodes=st.integers(2, 20),
    fan_out=st.integers(1, 3),
    seed=st.integers(0, 10**6),
    aware=st.booleans(),
    loss=st.sampled_from([0.0, 0.4]),
)
def test_nobody_sends_to_itself_or_before_it_is_infected(
    nodes: int, fan_out: int, seed: int, aware: bool, loss: float
) -> None:
    drawn = draw(nodes, fan_out, rng=Random(seed), topology_aware=aware, loss_ratio=loss)
    assert max(drawn.infected_at) < math.inf
    assert [t for t, _, _ in drawn.sends] == sorted(t for t, _, _ in drawn.sends)
    for time, sender, target in drawn.sends:
        assert sender != target and 0 <= target < nodes
        assert drawn.infected_at[sender] <= time
        assert (time - drawn.phase[sender]) % 1 == pytest.approx(0, abs=1e-9) or (
            (time - drawn.phase[sender]) % 1 == pytest.approx(1, abs=1e-9)
        )


def test_a_node_sends_once_a_period_from_its_infection_on() -> None:
    (drawn,) = many(1, 16, 2)
    for node in range(16):
        own = [t for t, sender, _ in drawn.sends if sender == node][::2]
        assert np.allclose(np.diff(own), 1.0)
        if own:
            assert 0 <= own[0] - drawn.infected_at[node] <= 1


def test_draws_without_replacement_are_distinct_within_a_round() -> None:
    (drawn,) = many(1, 8, 5, replacement=False)
    rounds: dict[tuple[float, int], list[int]] = {}
    for time, sender, target in drawn.sends:
        rounds.setdefault((time, sender), []).append(target)
    assert all(len(set(targets)) == len(targets) for targets in rounds.values())


@pytest.mark.parametrize(("aware", "crossing"), [(False, 16 / 31), (True, 1 / 16)])
def test_share_of_the_sends_that_leave_the_subnet(aware: bool, crossing: float) -> None:
    sends = [s for e in many(150, 32, 2, topology_aware=aware) for s in e.sends]
    share = np.mean([(a < 16) != (b < 16) for _, a, b in sends])
    assert share == pytest.approx(crossing, abs=4 * math.sqrt(crossing / len(sends)))
    if aware:
        load = topology_aware_crossings((16, 16), fan_out=2)
        assert share * 2 * 32 == pytest.approx(load, rel=0.1)


def test_targets_are_uniform_over_the_others() -> None:
    sends = [s for e in many(400, 9, 1) for s in e.sends]
    counts = np.bincount([(b - a) % 9 for _, a, b in sends], minlength=9)
    assert counts[0] == 0
    expected = len(sends) / 8
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 26, "chi-square, 7 degrees of freedom"


def test_silence_after_some_rounds_leaves_nodes_unreached() -> None:
    drawn = sample(64, 1, runs=100, rounds=2)
    assert np.isinf(drawn.rounds_to_all).mean() > 0.5
    assert (drawn.sends <= 2 * 64).all()


def test_a_horizon_ends_an_epidemic() -> None:
    (drawn,) = many(1, 64, 1, horizon=2.0)
    assert max(t for t, _, _ in drawn.sends) <= 2.0


def test_the_same_arguments_draw_the_same_epidemics() -> None:
    sample.cache_clear()
    first = sample(16, 2, runs=20).rounds_to_all
    sample.cache_clear()
    assert (sample(16, 2, runs=20).rounds_to_all == first).all()
    assert not (sample(16, 2, runs=20, seed=2).rounds_to_all == first).all()


def test_the_dead_from_the_start_neither_send_nor_get_it() -> None:
    for epidemic in many(50, 16, 2, crashed=8):
        reached = {node for node in range(16) if epidemic.infected_at[node] < math.inf}
        assert len(reached) == 8 and {sender for _, sender, _ in epidemic.sends} <= reached


def test_half_dead_is_as_half_the_group_under_half_the_loss() -> None:
    dead = sample(64, 2, runs=1500, seed=4, crashed=32).rounds_to_all.mean()
    lossy = sample(32, 2, runs=1500, seed=4, loss_ratio=0.5).rounds_to_all.mean()
    assert dead / lossy == pytest.approx(1.0, abs=0.05)


def test_a_share_crashes_in_each_period_and_sends_no_more() -> None:
    for epidemic in many(50, 64, 2, crash_ratio=0.5, horizon=12):
        last = {sender: time for time, sender, _ in epidemic.sends}
        for k in range(1, 7):
            assert sum(time > k for time in last.values()) <= round(64 * 0.5**k)


def test_crashes_end_as_many_epidemics_as_the_claim_registers() -> None:
    reach = sample(64, 2, runs=3000, seed=6, crash_ratio=0.2, replacement=False, horizon=8.0).reach
    # Binomial: five standard deviations, and those of the 30,000 draws registered.
    assert (reach < 0.1).mean() == pytest.approx(CRASH_HOSTS_DIES, abs=5 * 0.0061)


def test_several_sources_start_at_once() -> None:
    assert all(e.infected_at[:3] == [0.0] * 3 for e in many(5, 16, sources=3))
