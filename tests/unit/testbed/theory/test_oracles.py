"""Coupon collector, crossings and the logistic curve, against enumeration and simulation."""

from __future__ import annotations

import itertools
import math
from random import Random

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from testbed.theory import coupon_collector, logistic
from testbed.theory.topology_aware_crossings import topology_aware_crossings
from testbed.theory.uniform_crossings import uniform_crossings, uniform_exponent


@pytest.mark.parametrize(("nodes", "loss"), [(2, 0.0), (3, 0.0), (4, 0.25)])
def test_coupon_collector_by_the_distribution_of_sends(nodes: int, loss: float) -> None:
    left, mean, square = np.eye(nodes)[nodes - 1], 0.0, 0.0
    hit = (1 - loss) * np.arange(nodes) / (nodes - 1)
    for send in range(1, 400):
        moved = left * hit
        left = left - moved + np.append(moved[1:], 0.0)
        done, left[0] = left[0], 0.0
        mean, square = mean + send * done, square + send**2 * done
    assert coupon_collector.mean_sends(nodes, loss) == pytest.approx(mean)
    assert coupon_collector.sd_sends(nodes, loss) == pytest.approx(math.sqrt(square - mean**2))


@pytest.mark.parametrize("loss", [1.0, -0.1, math.nan])
def test_coupon_collector_refuses_a_loss_that_is_none(loss: float) -> None:
    with pytest.raises(ValueError, match="loss_ratio"):
        coupon_collector.mean_sends(4, loss)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 3), (2, 5), (2, 2, 3)])
def test_uniform_crossings_by_counting_the_pairs(sizes: tuple[int, ...]) -> None:
    subnet = [s for s, size in enumerate(sizes) for _ in range(size)]
    pairs = list(itertools.permutations(range(len(subnet)), 2))
    across = sum(subnet[a] != subnet[b] for a, b in pairs)
    assert uniform_crossings(sizes) == pytest.approx(across / (len(subnet) - 1))


def test_uniform_crossings_are_bn2_over_2n_minus_1() -> None:
    assert uniform_crossings((8, 8), 3) == pytest.approx(3 * 16**2 / (2 * 15))


def test_uniform_exponent_is_below_one_and_nears_it() -> None:
    small, large = uniform_exponent([8, 16, 32]), uniform_exponent([1024, 2048, 4096])
    assert small < large < 1
    assert uniform_exponent([8, 16, 32, 64, 128, 256]) == pytest.approx(0.966, abs=0.001)
    with pytest.raises(ValueError, match="two different"):
        uniform_exponent([64])


def test_topology_aware_crossings_by_drawing_targets() -> None:
    rng, sizes, crossed = Random(1), (4, 12), 0
    for _ in range(4000):
        for size in sizes:
            crossed += sum(rng.random() >= 1 - 1 / size for _ in range(size))
    assert crossed / 4000 == pytest.approx(topology_aware_crossings(sizes), rel=0.04)


@pytest.mark.parametrize("subnets", [1, 2, 8, 32])
def test_topology_aware_crossings_grow_with_the_subnets_only(subnets: int) -> None:
    for size in (1, 10, 1000):
        assert topology_aware_crossings((size,) * subnets, 2) == pytest.approx(2 * subnets)


def test_more_infected_than_members_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        topology_aware_crossings((4, 4), 1, infected=(5, 0))


@pytest.mark.parametrize(("fan_out", "loss"), [(1, 0.0), (2, 0.3)])
def test_logistic_curve_solves_its_equation(fan_out: int, loss: float) -> None:
    n, beta = 255, fan_out * (1 - loss) / 255
    times = np.linspace(0, 12, 50)
    solved = solve_ivp(
        lambda _, y: beta * (n + 1 - y) * y, (0, 12), [1.0], t_eval=times, rtol=1e-9, atol=1e-9
    )
    assert logistic.infected(256, times, fan_out, loss) == pytest.approx(solved.y[0], rel=1e-5)


def test_time_to_inverts_the_curve() -> None:
    for reached in (2, 128, 255):
        time = logistic.time_to(256, reached, 2)
        assert float(logistic.infected(256, time, 2)) == pytest.approx(reached)


def test_the_model_never_infects_the_last_node() -> None:
    with pytest.raises(ValueError, match="never ends"):
        logistic.time_to(256, 256)
