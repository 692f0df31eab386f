"""Laws of growth told apart."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from testbed.judging import growth
from testbed.judging.stats import Estimate

SIZES = (8, 16, 32, 64, 128, 256)


def means(law: Callable[[float], float], error: float = 0.02) -> list[Estimate]:
    return [Estimate(law(n), error * law(n)) for n in SIZES]


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("1", lambda n: 5.0),
        ("log log N", lambda n: 1 + 4 * math.log(math.log(n))),
        ("log N", lambda n: 1 + 2 * math.log(n)),
        ("log^2 N", lambda n: 1 + math.log(n) ** 2),
        ("sqrt N", lambda n: 1 + math.sqrt(n)),
        ("N / log N", lambda n: 1 + n / math.log(n)),
        ("N", lambda n: 3 + n),
        ("N^a", lambda n: 0.5 * n**0.7),
    ],
)
def test_the_true_law_has_the_most_weight(name: str, law: Callable[[float], float]) -> None:
    laws = growth.fit(SIZES, means(law, error=0.005))
    assert max(laws.values(), key=lambda f: f.weight).law == name
    assert laws[name].chi_square == pytest.approx(0, abs=1e-6)


def test_weights_sum_to_one() -> None:
    laws = growth.fit(SIZES, means(lambda n: 1 + math.log(n)))
    assert sum(f.weight for f in laws.values()) == pytest.approx(1)


def test_a_fit_predicts_what_it_was_fitted_to() -> None:
    law = growth.fit(SIZES, means(lambda n: 1 + 2 * math.log(n)))["log N"]
    assert law.coefficients == pytest.approx((1, 2))
    assert law.predict(np.array([1024.0]))[0] == pytest.approx(1 + 2 * math.log(1024))


def test_runs_without_scatter_do_not_break_the_fit() -> None:
    laws = growth.fit(SIZES, [Estimate(math.log2(n), 0.0) for n in SIZES])
    assert laws["log N"].weight > 0.9


def test_two_sizes_are_too_few() -> None:
    with pytest.raises(ValueError, match="three sizes"):
        growth.fit((8, 16), means(lambda n: n)[:2])
