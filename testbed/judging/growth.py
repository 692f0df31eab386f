"""Which law a dissemination time grows with: the laws fitted, compared by Akaike's criterion.

Each law is fitted to the individual runs with the sampling variance of each size, which up to a
constant is chi-square on the means of the sizes [Burnham & Anderson 2002, 2.2]. With hundreds of
runs the small-sample correction does not matter; on five means it would decide everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from testbed.judging import stats

Floats = NDArray[np.float64]

_ONE = np.ones_like
AFFINE: dict[str, Callable[[Floats], Floats]] = {
    "log log N": lambda n: np.log(np.log(n)),
    "log N": np.log,
    "log^2 N": lambda n: np.log(n) ** 2,
    "N^0.25": lambda n: n**0.25,
    "sqrt N": np.sqrt,
    "N / log N": lambda n: n / np.log(n),
    "N": lambda n: n,
}
"""Laws a + b f(N); beside them a constant, and the power law c N^a."""

CONSTANT, POWER = "1", "N^a"


@dataclass(frozen=True)
class Fit:
    """One law's best fit: `weight` is its share of the evidence among all the laws fitted."""

    law: str
    coefficients: tuple[float, ...]
    chi_square: float
    aic: float
    weight: float
    predict: Callable[[Floats], Floats]


def fit(sizes: Sequence[int], means: Sequence[stats.Estimate]) -> dict[str, Fit]:
    """All laws, by name. Needs at least three sizes, each at least 2 (log log N)."""
    if len(sizes) < 3 or min(sizes) < 2:
        raise ValueError(f"laws of growth need three sizes of 2 or more, not {list(sizes)}")
    n = np.asarray(sizes, dtype=float)
    y = np.array([m.value for m in means])
    # Runs that all took the same whole number of rounds show no scatter, yet are not exact.
    sd = np.maximum([m.se for m in means], 1e-3 * np.abs(y))
    found = {CONSTANT: _affine(CONSTANT, _ONE, n, y, sd)}
    found |= {law: _affine(law, shape, n, y, sd) for law, shape in AFFINE.items()}
    found[POWER] = _power(n, y, sd)
    best = min(f.aic for f in found.values())
    total = sum(math.exp((best - f.aic) / 2) for f in found.values())
    return {
        law: Fit(
            law,
            f.coefficients,
            f.chi_square,
            f.aic,
            math.exp((best - f.aic) / 2) / total,
            f.predict,
        )
        for law, f in found.items()
    }


def _affine(law: str, shape: Callable[[Floats], Floats], n: Floats, y: Floats, sd: Floats) -> Fit:
    columns = [np.ones_like(n)] if law == CONSTANT else [np.ones_like(n), shape(n)]
    design = np.column_stack(columns)
    solution = np.linalg.lstsq(design / sd[:, None], y / sd, rcond=None)[0]

    def predict(at: Floats) -> Floats:
        value = np.full_like(at, solution[0])
        return value if law == CONSTANT else value + solution[1] * shape(at)

    return _scored(law, tuple(float(c) for c in solution), predict, n, y, sd)


def _power(n: Floats, y: Floats, sd: Floats) -> Fit:
    start = np.polyfit(np.log(n), np.log(np.maximum(y, 1e-9)), 1)
    scale, power = optimize.least_squares(
        lambda c: (c[0] * n ** c[1] - y) / sd, (math.exp(start[1]), start[0]), x_scale="jac"
    ).x
    return _scored(POWER, (float(scale), float(power)), lambda at: scale * at**power, n, y, sd)


def _scored(
    law: str,
    coefficients: tuple[float, ...],
    predict: Callable[[Floats], Floats],
    n: Floats,
    y: Floats,
    sd: Floats,
) -> Fit:
    chi_square = float((((y - predict(n)) / sd) ** 2).sum())
    return Fit(law, coefficients, chi_square, chi_square + 2 * len(coefficients), 0.0, predict)
