"""Occupancy draws against the distribution by adding ball after ball.

Each test makes up to 6 comparisons at 1e-3 / 6: a right sampler fails it with a fresh seed with
probability below 1e-3.
"""

from __future__ import annotations

import numpy as np
import pytest

from testbed.judging.stats import g_test
from testbed.simulator import occupancy


def exact(balls: int, cells: int) -> np.ndarray:
    hit = np.zeros(cells + 1)
    hit[0] = 1.0
    number = np.arange(cells + 1)
    for _ in range(balls):
        stay = hit * number / cells
        hit = stay + np.concatenate([[0.0], (hit * (cells - number) / cells)[:-1]])
    return hit


def seen(balls: int, cells: int, draws: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(1)
    values = [occupancy.distinct(rng, balls, cells) for _ in range(draws)]
    return np.bincount(values, minlength=cells + 1)


@pytest.mark.parametrize(("balls", "cells"), [(1, 5), (7, 4), (30, 60), (60, 30), (9, 1)])
def test_balls_placed_one_by_one_are_exact(balls: int, cells: int) -> None:
    assert g_test(seen(balls, cells), exact(balls, cells)) > 1e-3 / 5


@pytest.mark.parametrize(
    ("balls", "cells"), [(40, 30), (50, 400), (300, 60), (500, 60), (100, 100), (2000, 90)]
)
def test_balls_placed_by_poisson_numbers_are_exact(
    balls: int, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small numbers go the way that is meant for large ones, through several rounds of it.
    monkeypatch.setattr(occupancy, "_FEW", 16)
    assert g_test(seen(balls, cells), exact(balls, cells)) > 1e-3 / 6


def test_a_total_above_the_number_of_balls_is_drawn_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(occupancy, "_FEW", 16)
    monkeypatch.setattr(occupancy, "_BELOW", 0.3)
    assert g_test(seen(100, 60), exact(100, 60)) > 1e-3


def test_few_cells_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancy, "_FEW", 20)
    assert g_test(seen(50, 18), exact(50, 18)) > 1e-3


def test_no_balls_hit_nothing_and_many_balls_hit_everything() -> None:
    rng = np.random.default_rng(2)
    assert occupancy.distinct(rng, 0, 10) == 0
    assert occupancy.distinct(rng, 10**12, 10**5) == 10**5


def test_ten_thousand_million_balls_hit_the_expected_number_of_cells() -> None:
    rng = np.random.default_rng(3)
    cells, balls = 2**32, 10**10
    empty = np.exp(-balls / cells)
    mean = cells * (1 - empty)
    sd = np.sqrt(cells * empty * (1 - (1 + balls / cells) * empty))
    draws = np.array([occupancy.distinct(rng, balls, cells) for _ in range(200)])
    # 4.4 standard errors: 1e-5 for a right sampler.
    assert abs(draws.mean() - mean) < 4.4 * sd / np.sqrt(200)
    assert 0.75 < draws.std() / sd < 1.3
