"""Several looks err no more often than one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from testbed import claims
from testbed.judging import stats
from testbed.judging.looks import portion, spending
from testbed.judging.verdict import ALPHA

LOOKS = (0.3, 0.6, 1.0)


def errs(levels: Sequence[float], *, runs: int = 60, trials: int = 4000, seed: int = 1) -> float:
    """How often some look rejects "the mean is at most 0" when it is 0, by a one-sided t-test."""
    rng = np.random.default_rng(seed)
    ends = [round(runs * look) for look in LOOKS]
    wrong = 0
    for _ in range(trials):
        x = rng.exponential(size=runs) - 1.0 if seed == 2 else rng.normal(size=runs)
        found = (stats.mean(x[:end]).p_above(0.0) for end in ends)
        wrong += any(p <= level for p, level in zip(found, levels, strict=True))
    return wrong / trials


def test_looks_that_spend_err_no_more_than_one_test_would() -> None:
    rate = errs(spending(LOOKS, ALPHA))
    assert rate <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / 4000) ** 0.5
    assert rate > ALPHA / 2, "Bonferroni's bound gives away less than half of the error rate"


def test_looks_at_the_full_level_err_twice_as_often() -> None:
    """What the spending is for: the same test fails without it."""
    assert errs([ALPHA] * 3) > 1.7 * ALPHA


@pytest.mark.parametrize("looks", [LOOKS, (1.0,), (0.5, 1.0), (0.2, 0.4, 0.6, 0.8, 1.0)])
def test_the_looks_spend_all_of_alpha_and_more_later(looks: tuple[float, ...]) -> None:
    levels = spending(looks, 0.05)
    assert sum(levels) == pytest.approx(0.05)
    assert levels == sorted(levels)


@pytest.mark.parametrize("looks", [(), (0.5,), (0.5, 0.5, 1.0), (0.6, 0.3, 1.0), (0.0, 1.0)])
def test_looks_that_do_not_rise_to_one_are_refused(looks: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rising shares"):
        spending(looks, 0.05)


@pytest.mark.parametrize("total", [1, 7, 100, 1499])
def test_the_portions_add_up(total: int) -> None:
    parts = [portion(total, LOOKS, place) for place in range(3)]
    assert sum(parts) == max(total, 3) and min(parts) >= 1


def test_worked_numbers() -> None:
    assert spending([1 / 3, 2 / 3, 1], 0.05) == pytest.approx([0.0019, 0.0130, 0.0352], abs=6e-5)
    assert portion(100, [0.25, 0.5, 1.0], 2) == 50


def test_the_claims_of_a_family_are_looked_at_together() -> None:
    looks: dict[str, set[tuple[float, ...]]] = {}
    for name in claims.names():
        claim = claims.load(name).CLAIM
        looks.setdefault(claim.family, set()).add(claim.looks)
    assert {family: len(found) for family, found in looks.items()} == dict.fromkeys(looks, 1)
