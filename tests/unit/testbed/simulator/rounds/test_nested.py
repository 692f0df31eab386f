"""Topology-aware rounds against the enumeration of every choice, and against the formula.

As in test_engines.py: a right engine with fresh seeds fails a test with probability below 1e-3.
"""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from testbed.errors import UsageError
from testbed.judging.stats import g_test, same_distribution
from testbed.simulator.mixing import Mixing
from testbed.simulator.rounds import nested, uniform
from testbed.simulator.rounds.nested import Nested, two_subnets


def choices(levels: tuple[tuple[int, ...], ...], aware: bool) -> np.ndarray:
    """P[me, target], by the rule: outside every group of g members with probability 1/g."""
    nodes = sum(levels[0])
    table = np.zeros((nodes, nodes))
    for me in range(nodes):
        groups = [{me}]
        for level in levels:
            start = 0
            for size in level:
                if start <= me < start + size:
                    groups.append(set(range(start, start + size)))
                start += size
        groups.append(set(range(nodes)))
        if not aware:
            groups = [{me}, set(range(nodes))]
        for inner, outer in pairwise(groups):
            ring = outer - inner
            out = 0.0 if len(outer) == nodes else 1.0 / len(outer)
            for target in ring:
                table[me, target] = (1.0 / len(inner) - out) / len(ring)
    return table


LEVELS = [
    ((2, 2),),
    ((1, 3),),
    ((3, 5, 4),),
    ((2, 2, 4, 4), (4, 8)),
    ((2, 2, 3, 1), (4, 3, 1)),
]


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("aware", [True, False])
def test_targets_follow_the_rule_of_every_level(
    levels: tuple[tuple[int, ...], ...], aware: bool
) -> None:
    setting = Nested(levels=levels, aware=aware)
    table = choices(levels, aware)
    assert table.sum(axis=1) == pytest.approx(np.ones(setting.nodes))
    starts, sizes = nested._groups(setting)
    p_values = []
    for me in range(setting.nodes):
        targets = nested._targets(
            setting, np.random.default_rng(me), np.full(3000, me), starts, sizes
        )
        seen = np.bincount(targets, minlength=setting.nodes)
        assert (seen[table[me] == 0.0] == 0).all()
        p_values.append(g_test(seen[table[me] > 0], table[me][table[me] > 0]))
    assert min(p_values) > 1e-3 / len(p_values)


def exact_rounds(
    levels: tuple[tuple[int, ...], ...], aware: bool, loss_ratio: float, rounds: int
) -> np.ndarray:
    """P(all infected within t rounds), t = 0..rounds, from the chain on sets of infected nodes."""
    table = choices(levels, aware)
    nodes = len(table)
    everyone = frozenset(range(nodes))
    states = {frozenset([0]): 1.0}
    reached = [float(nodes == 1)]
    for _ in range(rounds):
        after: dict[frozenset[int], float] = {}
        for infected, chance in states.items():
            for targets in product(range(-1, nodes), repeat=len(infected)):
                weight = chance
                for me, target in zip(sorted(infected), targets, strict=True):
                    arrives = (1.0 - loss_ratio) * table[me, target]
                    weight *= loss_ratio if target < 0 else arrives
                if weight:
                    state = infected | (set(targets) - {-1})
                    after[state] = after.get(state, 0.0) + weight
        states = after
        reached.append(states.get(everyone, 0.0))
    return np.array(reached)


@pytest.mark.parametrize("levels", [((2, 2),), ((1, 3),), ((2, 1, 1), (3, 1))])
@pytest.mark.parametrize("loss_ratio", [0.0, 0.3])
def test_time_to_all_has_its_exact_distribution(
    levels: tuple[tuple[int, ...], ...], loss_ratio: float
) -> None:
    outcome, _ = nested.spread(Nested(levels=levels, loss_ratio=loss_ratio), 3000, seed=1)
    exact = exact_rounds(levels, True, loss_ratio, 15)
    cells = np.append(np.diff(exact, prepend=0.0), 1.0 - exact[-1])
    seen = np.bincount(np.minimum(outcome.rounds_to_all, 16).astype(int), minlength=17)
    assert g_test(seen, cells) > 1e-3 / 6


def test_uniform_targets_over_groups_are_the_uniform_engine() -> None:
    one, _ = nested.spread(Nested(levels=((20, 30),), aware=False, fan_out=2), 800, seed=2)
    other = uniform.spread(Mixing(nodes=50, fan_out=2, replacement=True), 800, seed=3)
    assert same_distribution(one.rounds_to_all, other.rounds_to_all) > 1e-3


@pytest.mark.parametrize(("subnets", "fan_out"), [(2, 1), (2, 2), (8, 1)])
def test_saturated_subnets_send_their_fan_out_across_in_each_round(
    subnets: int, fan_out: int
) -> None:
    setting = Nested(levels=((16,) * subnets,), fan_out=fan_out, saturated=True, max_rounds=500)
    _, crossings = nested.spread(setting, 4, seed=4)
    per_round = crossings[:, 1:, 0]
    sd = np.sqrt(subnets * fan_out * (1 - 1 / 16) / per_round.size)
    assert abs(per_round.mean() - subnets * fan_out) < 3.3 * sd


def test_sites_of_subnets_let_out_one_message_a_group_at_every_level() -> None:
    setting = Nested(levels=((8,) * 8, (32, 32)), saturated=True, max_rounds=1000)
    _, crossings = nested.spread(setting, 2, seed=5)
    assert crossings[:, 1:].mean(axis=(0, 1)) == pytest.approx([8, 2], rel=0.06)


def test_crossings_are_counted_before_loss() -> None:
    lossy = Nested(levels=two_subnets(20), loss_ratio=1.0, saturated=True, max_rounds=400)
    _, crossings = nested.spread(lossy, 2, seed=6)
    assert crossings.sum() / 800 == pytest.approx(2.0, rel=0.15)


def test_crashed_nodes_are_never_infected_and_the_rest_are() -> None:
    outcome, _ = nested.spread(Nested(levels=((20, 20),), crashed=12), 30, seed=7)
    assert outcome.alive == 28
    assert (outcome.infected[:, -1] == 28).all()


def test_the_same_seed_gives_the_same_runs_bit_for_bit() -> None:
    setting = Nested(levels=two_subnets(41), fan_out=2)
    one, crossed = nested.spread(setting, 10, 8)
    same, crossed_too = nested.spread(setting, 10, 8)
    assert (one.infected == same.infected).all()
    assert (crossed == crossed_too).all()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"levels": ((8,),)}, "two groups or more"),
        ({"levels": ()}, "two groups or more"),
        ({"levels": ((4, 4), (4, 5))}, "equal sums"),
        ({"levels": ((4, 0),)}, "positive"),
        ({"levels": ((4, 4, 4), (6, 6))}, "cut by"),
        ({"levels": ((4, 4),), "fan_out": 0}, "fan_out = 0"),
        ({"levels": ((4, 4),), "saturated": True}, "max_rounds"),
    ],
)
def test_a_setting_outside_its_domain_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Nested(**setting)
