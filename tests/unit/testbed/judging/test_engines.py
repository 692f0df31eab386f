"""Samples for claims: drawn once, seeded by name, and listed."""

from __future__ import annotations

import json

import numpy as np

from testbed.judging.engines import PER_NODE, Engines, arm, conditions


def test_the_same_conditions_are_drawn_once() -> None:
    engines = Engines()
    assert engines.rounds(5, nodes=8) is engines.rounds(5, nodes=8)
    assert len(engines.drawn) == 1


def test_a_sample_does_not_depend_on_what_was_drawn_before() -> None:
    first, second = Engines(3), Engines(3)
    second.rounds(5, nodes=16)
    assert np.array_equal(first.rounds(5, nodes=8).infected, second.rounds(5, nodes=8).infected)


def test_another_seed_draws_other_runs() -> None:
    one, other = (Engines(seed).rounds(50, nodes=64).rounds_to_all for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_what_was_drawn_can_be_written_down_and_drawn_again() -> None:
    engines = Engines(9, factor=2)
    engines.star(3, group=8, c2=2.0)
    engines.rumor(3, nodes=8)
    engines.free(3, nodes=8)
    engines.rounds(3, nodes=2 * PER_NODE)
    rows = json.loads(json.dumps(engines.drawn))
    assert [row["engine"] for row in rows] == ["srm_star", "rumor", "reference", "counts"]
    assert all(row["runs"] == 6 and row["conditions"] for row in rows)
    assert len({row["seed"] for row in rows}) == 4


def test_targets_may_repeat_unless_said_otherwise() -> None:
    engines = Engines()
    engines.rounds(2, nodes=8)
    engines.rounds(2, nodes=8, replacement=False)
    assert [row["conditions"]["replacement"] for row in engines.drawn] == [True, False]


def test_an_arm_holds_the_times_by_size() -> None:
    times = {8: np.array([3.0, np.inf]), 16: np.array([4.0, 5.0])}
    made = arm(conditions(sizes=[8, 16]), times)
    assert made.sizes == [8, 16]
    assert made.values("rounds_to_all", 8).tolist() == [3.0, np.inf]
    assert made.conditions["evidence"] == "simulated" and made.protocol == "push"
