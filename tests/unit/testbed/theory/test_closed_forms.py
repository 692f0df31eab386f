"""The worked numbers of the docstrings, and each formula against something that it is not."""

from __future__ import annotations

from itertools import product
from math import ceil, log

import numpy as np
import pytest

from testbed.theory import asymptotics, branching, demers_1987, mean_field, rumor, srm_star
from testbed.theory.chain import mean
from testbed.theory.pull_chain import pull_chain
from testbed.theory.push_chain import push_chain
from testbed.theory.push_pull_chain import push_pull_chain

WORKED = [
    (mean_field.mean_field("push", 64, 6)[-1], 36.97),
    (push_chain(64).mean_infected(6)[-1], 36.82),
    (mean_field.pull_step(0.1, fan_out=2), 0.001),
    (mean_field.pull_step(0.1, fan_out=2, success_ratio=0.5), 0.03025),
    (asymptotics.push_slope(), 2.443),
    (asymptotics.push_slope(1, loss_ratio=0.5), 4.466),
    (asymptotics.pull_slope(), 1.443),
    (asymptotics.pull_slope(1, 0.5, legs=1), 3.909),
    (asymptotics.push_pull_slope(), 0.910),
    (asymptotics.push_pull_slope(0.5, legs=1), 2.281),
    (asymptotics.topology_aware_slope(), 3.885),
    (asymptotics.topology_aware_slope() / asymptotics.push_slope(), 1.59),
    (asymptotics.push_residue(256, 11, fan_out=2), 0.00173),
    (push_chain(256, 2).mean_missing(11)[-1], 0.00217),
    (asymptotics.push_rounds_bounds(64)[0], 9.04),
    (asymptotics.push_rounds_bounds(64)[1], 12.92),
    (branching.infect_and_die_extinction(4, loss_ratio=0.5), 0.0874),
    (branching.crash_extinction(2, crash_ratio=0.1), 0.1009),
    (branching.reach(2), 0.7968),
    (branching.reach(4, loss_ratio=0.5), 0.7968),
    (rumor.feedback_coin_residue(1), 0.2032),
    (rumor.feedback_coin_residue(2), 0.0595),
    (rumor.blind_coin_residue(1), 1.0),
    (rumor.blind_coin_residue(2), 0.2032),
    (rumor.infective(0.5, 1), 0.3069),
    (rumor.residue_of_traffic(3.3), 0.0369),
    (rumor.residue_of_limited_traffic(3.3), 0.0054),
    (rumor.push_counter_residue(1, 1000), 0.1745),
    (rumor.push_counter_residue(2, 1000), 0.0368),
    (demers_1987.rows(1)[4].residue, 0.0012),
    (srm_star.requests(64, c2=2), 32.5),
    (srm_star.published_requests(64, c2=2), 32.0),
    (srm_star.request_delay(64, c1=2, c2=2), 2.031),
    (srm_star.provoked(1000, 0.01), 0.99996),
]


@pytest.mark.parametrize(("value", "quoted"), WORKED)
def test_worked_number_of_a_docstring(value: float, quoted: float) -> None:
    digits = len(repr(quoted).split(".")[1])
    assert value == pytest.approx(quoted, abs=0.51 * 10**-digits)


@pytest.mark.parametrize("protocol", ["push", "pull", "push_pull"])
@pytest.mark.parametrize(("fan_out", "replacement"), [(1, False), (2, False), (2, True)])
def test_mean_field_takes_the_mean_step_of_the_exact_chain(
    protocol: str, fan_out: int, replacement: bool
) -> None:
    keywords = {"replacement": replacement, "loss_ratio": 0.3, "crashed": 4}
    chain = {"push": push_chain, "pull": pull_chain, "push_pull": push_pull_chain}[protocol](
        30,
        fan_out,
        **keywords,  # type: ignore[arg-type]
    )
    for infected in (1, 7, 25):
        step = mean_field.mean_field(
            protocol,
            30,
            1,
            fan_out,
            sources=infected,
            **keywords,  # type: ignore[arg-type]
        )
        assert step[1] == pytest.approx(chain.kernel[infected] @ np.arange(27), rel=1e-12)


def test_lossless_pull_raises_the_fraction_to_the_power_of_the_pulls_plus_one() -> None:
    curve = mean_field.mean_field("pull", 10**9, 1, 3, sources=0.7e9)
    assert 1 - curve[1] / 1e9 == pytest.approx(mean_field.pull_step(0.3, 3), rel=1e-6)


@pytest.mark.parametrize(
    ("slope", "times"),
    [
        (asymptotics.push_slope(2), lambda n: mean(push_chain(n, 2).rounds_to_all())),
        (
            asymptotics.push_slope(1, 0.5),
            lambda n: mean(push_chain(n, loss_ratio=0.5).rounds_to_all()),
        ),
        (
            asymptotics.pull_slope(1, 0.5, legs=1),
            lambda n: mean(pull_chain(n, loss_ratio=0.5, legs=1).rounds_to_all()),
        ),
        (
            asymptotics.pull_slope(1, 0.3),
            lambda n: mean(pull_chain(n, loss_ratio=0.3).rounds_to_all()),
        ),
        (
            asymptotics.push_pull_slope(0.5),
            lambda n: mean(push_pull_chain(n, loss_ratio=0.5).rounds_to_all()),
        ),
    ],
)
def test_slopes_are_approached_by_the_exact_chains(slope: float, times: object) -> None:
    measured = (times(512) - times(128)) / log(4)  # type: ignore[operator]
    assert measured == pytest.approx(slope, rel=0.06)


@pytest.mark.parametrize("nodes", [16, 100, 512])
def test_exact_mean_lies_within_the_published_bounds(nodes: int) -> None:
    low, high = asymptotics.push_rounds_bounds(nodes)
    assert low <= mean(push_chain(nodes).rounds_to_all()) <= high


@pytest.mark.parametrize(("fan_out", "low", "high"), [(1, 0.9, 1.1), (2, 1.1, 1.35), (4, 1.7, 2.3)])
@pytest.mark.parametrize("nodes", [64, 256, 512])
def test_residue_formula_is_off_by_the_factor_that_its_docstring_states(
    nodes: int, fan_out: int, low: float, high: float
) -> None:
    rounds = ceil(asymptotics.push_slope(fan_out) * log(nodes)) + 2
    chain = push_chain(nodes, fan_out, replacement=True)
    exact = chain.mean_missing(rounds)[-1]
    assert low <= exact / asymptotics.push_residue(nodes, rounds, fan_out) <= high


def test_everything_lost_takes_for_ever() -> None:
    assert asymptotics.push_slope(1, 1.0) == float("inf")
    assert asymptotics.pull_slope(1, 1.0) == float("inf")
    assert asymptotics.push_pull_slope(1.0) == float("inf")
    assert asymptotics.push_residue(100, 50, 1, 1.0) == 99


def generations(offspring: np.ndarray, depth: int, cap: int) -> float:
    """P(no one left after `depth` generations), from the sizes' distribution itself."""
    sizes = np.zeros(cap + 1)
    sizes[1] = 1.0
    for _ in range(depth):
        after = np.zeros(cap + 1)
        family = np.array([1.0])
        for size in range(cap + 1):
            after[: min(len(family), cap + 1)] += sizes[size] * family[: cap + 1]
            family = np.convolve(family, offspring)[: cap + 1]
        sizes = after
    return float(sizes[0])


def test_extinction_is_what_the_sizes_of_generations_give() -> None:
    # Families beyond the cap are dropped: each would die out with chance 0.0874^60.
    binomial = np.array([1, 4, 6, 4, 1]) / 16
    assert branching.infect_and_die_extinction(4, 0.5) == pytest.approx(
        generations(binomial, 40, 60), abs=1e-9
    )
    crash = np.array([0.2, 0.0, 0.0, 0.8])
    assert branching.crash_extinction(2, 0.2) == pytest.approx(generations(crash, 40, 60), abs=1e-9)


def test_extinction_by_the_quadratic_formula() -> None:
    assert branching.infect_and_die_extinction(2, 0.1) == pytest.approx((0.1 / 0.9) ** 2)
    assert branching.crash_extinction(1, 0.3) == pytest.approx(0.3 / 0.7)
    assert branching.infect_and_die_extinction(2, 0.1, sources=3) == pytest.approx(0.1**6 / 0.9**6)


def test_a_critical_or_subcritical_rumour_dies_out() -> None:
    assert branching.infect_and_die_extinction(2, 0.5) == 1.0
    assert branching.infect_and_die_extinction(1, 0.0) == 0.0
    assert branching.infect_and_die_extinction(1, 0.01) == 1.0
    assert branching.crash_extinction(1, 0.5) == 1.0
    assert branching.crash_extinction(2, 0.0, loss_ratio=0.9) == 0.0
    assert branching.reach(1.0) == 0.0


@pytest.mark.parametrize("k", [1, 2, 3])
def test_feedback_residue_is_where_the_infective_fraction_comes_back_to_zero(k: int) -> None:
    residue = rumor.feedback_coin_residue(k)
    assert rumor.infective(residue, k) == pytest.approx(0.0, abs=1e-12)
    assert rumor.infective(residue * 1.01, k) > 0.0


def test_feedback_residue_is_the_end_of_the_differential_equations() -> None:
    susceptible, active, step = 1 - 1e-6, 1e-6, 0.005
    while active > 1e-9:
        # Midpoint rule; the error at this step is below 1e-4.
        ds = -susceptible * active
        di = susceptible * active - (1 - susceptible) * active / 2
        s, i = susceptible + ds * step / 2, active + di * step / 2
        susceptible += -s * i * step
        active += (s * i - (1 - s) * i / 2) * step
    assert susceptible == pytest.approx(rumor.feedback_coin_residue(2), abs=1e-4)


@pytest.mark.parametrize(("receivers", "c2"), [(2, 1.5), (3, 2.0), (4, 3.0)])
def test_requests_are_what_a_grid_of_all_timers_gives(receivers: int, c2: float) -> None:
    steps = {2: 400, 3: 80, 4: 30}[receivers]
    total = 0
    for timers in product(range(steps), repeat=receivers):
        first, second = sorted(timers)[:2]
        late = steps / c2
        total += sum(t < (second if t == first else first) + late for t in timers)
    assert total / steps**receivers == pytest.approx(
        srm_star.requests(receivers + 1, c2), rel=2 / steps
    )


def test_short_timers_suppress_nothing() -> None:
    assert srm_star.requests(10, 1.0) == 9
    assert srm_star.requests(10, 0.5) == 9


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_field.mean_field("pusj", 8, 1),
        lambda: mean_field.mean_field("push", 8, 1, 8),
        lambda: mean_field.pull_step(1.5),
        lambda: branching.reach(-1),
        lambda: branching.infect_and_die_extinction(0),
        lambda: branching.crash_extinction(2, 1.1),
        lambda: rumor.feedback_coin_residue(0),
        lambda: rumor.infective(0.0, 1),
        lambda: rumor.residue_of_traffic(-1),
        lambda: rumor.residue_of_limited_traffic(-1),
        lambda: rumor.push_counter_residue(1, 1),
        lambda: demers_1987.rows(4),
        lambda: srm_star.requests(1, 2),
        lambda: srm_star.requests(5, 0),
        lambda: srm_star.provoked(1, 0.1),
    ],
)
def test_arguments_outside_the_domain_are_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r" is | has |must be "):
        call()  # type: ignore[operator]
