"""Targets are uniform over a range without a smaller one, the excluded never being drawn."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from scipy.stats import chisquare

from agents.api import View
from agents.parts.targets import others, pick, pick_many


def test_every_other_node_is_drawn_equally_often() -> None:
    rng = Random(1)
    counts = Counter(pick(rng, range(10, 20), range(13, 14)) for _ in range(9000))
    assert set(counts) == set(range(10, 20)) - {13}
    assert chisquare(list(counts.values())).pvalue > 0.001


@pytest.mark.parametrize("without", [range(3), range(4, 6), range(7, 10), range(0)])
def test_all_of_the_rest_can_be_drawn(without: range) -> None:
    drawn = pick_many(Random(1), range(10), without, 10 - len(without), replacement=False)
    assert sorted(drawn) == [n for n in range(10) if n not in without]


def test_replacement_may_repeat_and_its_absence_never_does() -> None:
    rng = Random(2)
    group, me = range(4), range(1, 2)
    with_ = [pick_many(rng, group, me, 3, replacement=True) for _ in range(200)]
    without = [pick_many(rng, group, me, 3, replacement=False) for _ in range(200)]
    assert any(len(set(drawn)) < 3 for drawn in with_)
    assert all(len(set(drawn)) == 3 for drawn in without)


def test_draws_without_replacement_are_uniform_in_every_place() -> None:
    rng = Random(3)
    rows = [pick_many(rng, range(5), range(2, 3), 2, replacement=False) for _ in range(4000)]
    for place in (0, 1):
        counts = Counter(row[place] for row in rows)
        assert chisquare([counts[n] for n in (0, 1, 3, 4)]).pvalue > 0.001


def test_four_billion_nodes_cost_no_memory() -> None:
    assert 0 <= pick(Random(1), range(2**32), range(5, 6)) < 2**32
    assert len(pick_many(Random(1), range(2**32), range(5, 6), 3, replacement=False)) == 3


def test_more_targets_than_nodes_without_replacement_is_an_error() -> None:
    with pytest.raises(ValueError):
        pick_many(Random(1), range(3), range(1), 3, replacement=False)
    with pytest.raises(ValueError):
        pick(Random(1), range(1), range(1))


@pytest.mark.parametrize("me", [0, 3, 6])
def test_the_others_are_the_whole_group_without_the_node_itself(me: int) -> None:
    view = View(me, (range(me, me + 1), range(7)))
    assert sorted(others(Random(1), view, 6, replacement=False)) == [
        node for node in range(7) if node != me
    ]
