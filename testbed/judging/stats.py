"""Estimates, intervals and tests that every claim shares.

The replicate is one run: nodes within a run depend on each other, so no function here takes them as
a sample. Each p is one-sided, against the hypothesis named in the docstring; the interval that goes
with a test at level alpha is the two-sided one at 1 - 2 alpha, so that the two never disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy import stats as sps
from statsmodels.stats.multitest import multipletests

Floats = NDArray[np.float64]

RESAMPLES = 5000
"""Bootstrap resamples; the Monte Carlo error of a 95% bound is then 1% of the interval's width."""


class Interval(NamedTuple):
    low: float
    high: float


class Measured(Protocol):
    """What a claim measures: a number, with an interval at any level."""

    @property
    def value(self) -> float: ...

    def interval(self, level: float) -> Interval: ...


@dataclass(frozen=True)
class Estimate:
    """A number that is Student distributed about the truth; `df` is infinite for a normal one."""

    value: float
    se: float
    df: float = math.inf

    def interval(self, level: float) -> Interval:
        """The central interval; `level` is 0..1."""
        normal = math.isinf(self.df)
        tail = (1 + level) / 2
        reach = self.se * float(special.ndtri(tail) if normal else special.stdtrit(self.df, tail))
        return Interval(self.value - reach, self.value + reach)

    def p_above(self, bound: float) -> float:
        """Against "the truth is at most `bound`"."""
        return self._tail(self.value - bound)

    def p_below(self, bound: float) -> float:
        """Against "the truth is at least `bound`"."""
        return self._tail(bound - self.value)

    def p_within(self, low: float, high: float) -> float:
        """Against "the truth lies outside low..high": two one-sided tests [Schuirmann 1987]."""
        return max(self.p_above(low), self.p_below(high))

    def p_outside(self, low: float, high: float) -> float:
        """Against "the truth lies within low..high"; doubled, since either side may reject."""
        return min(1.0, 2 * min(self.p_below(low), self.p_above(high)))

    def scaled(self, factor: float) -> Estimate:
        return Estimate(self.value * factor, self.se * abs(factor), self.df)

    def _tail(self, distance: float) -> float:
        if math.isnan(distance) or math.isnan(self.se):
            return 1.0
        if self.se == 0:
            return 0.0 if distance > 0 else 1.0
        z = -distance / self.se
        return float(special.ndtr(z) if math.isinf(self.df) else special.stdtr(self.df, z))


@dataclass(frozen=True)
class Proportion:
    """`successes` of `trials` independent runs, with the exact interval [Clopper-Pearson 1934]."""

    successes: int
    trials: int

    @property
    def value(self) -> float:
        return self.successes / self.trials if self.trials else math.nan

    def interval(self, level: float) -> Interval:
        if not self.trials:
            return Interval(0.0, 1.0)
        test = sps.binomtest(self.successes, self.trials)
        exact = test.proportion_ci(confidence_level=level, method="exact")
        return Interval(float(exact.low), float(exact.high))

    def p_above(self, bound: float) -> float:
        return self._p("greater", bound)

    def p_below(self, bound: float) -> float:
        return self._p("less", bound)

    def _p(self, side: str, bound: float) -> float:
        if not self.trials:
            return 1.0
        return float(sps.binomtest(self.successes, self.trials, bound, alternative=side).pvalue)


def tested(measured: Estimate | Proportion, margin: Interval) -> tuple[float, float]:
    """p against "outside the margin", and p against "within it"; an infinite bound asks nothing.

    Several finite bounds: the first is the larger p (two one-sided tests), the second the smaller
    one times their number, since either side may reject.
    """
    inside, outside = [0.0], []
    if math.isfinite(margin.low):
        inside.append(measured.p_above(margin.low))
        outside.append(measured.p_below(margin.low))
    if math.isfinite(margin.high):
        inside.append(measured.p_below(margin.high))
        outside.append(measured.p_above(margin.high))
    return max(inside), min(1.0, len(outside) * min(outside, default=1.0))


def mean(sample: ArrayLike) -> Estimate:
    """The mean of independent runs, for at least two of them; an infinite one has no error."""
    x = np.asarray(sample, dtype=float)
    if len(x) < 2:
        raise ValueError(f"a mean needs two runs or more to have an error, not {len(x)}")
    if np.isinf(x).any():
        return Estimate(math.inf, math.nan, len(x) - 1)
    return Estimate(float(x.mean()), float(x.std(ddof=1) / math.sqrt(len(x))), len(x) - 1)


def log(estimate: Estimate) -> Estimate:
    """The logarithm (base e) of a positive estimate, by the delta method."""
    if estimate.value <= 0:
        return Estimate(math.nan, math.nan)
    return Estimate(math.log(estimate.value), estimate.se / estimate.value, estimate.df)


def combine(weights: Sequence[float], estimates: Sequence[Estimate]) -> Estimate:
    """A weighted sum of independent estimates, with Welch's degrees of freedom [Welch 1947]."""
    parts = [(w * e.se) ** 2 for w, e in zip(weights, estimates, strict=True)]
    variance = sum(parts)
    loose = sum(p**2 / e.df for p, e in zip(parts, estimates, strict=True))
    return Estimate(
        value=sum(w * e.value for w, e in zip(weights, estimates, strict=True)),
        se=math.sqrt(variance),
        df=variance**2 / loose if loose > 0 else math.inf,
    )


def ratio(above: Estimate, below: Estimate) -> Estimate:
    """The ratio of two independent positive estimates, by the delta method on its logarithm."""
    difference = combine([1.0, -1.0], [log(above), log(below)])
    value = math.exp(difference.value)
    return Estimate(value, value * difference.se, difference.df)


def log_contrast(sample: ArrayLike, weights: Sequence[float]) -> Estimate:
    """A weighted sum of the logarithms of column means; a row is a run, its columns may depend.

    By the delta method, with the covariance of the columns. nan when a mean is not positive.
    """
    x, w = np.asarray(sample, dtype=float), np.asarray(weights, dtype=float)
    means = x.mean(axis=0)
    if means.min() <= 0:
        return Estimate(math.nan, math.nan)
    scaled = (x / means) @ w
    return Estimate(
        float(w @ np.log(means)), float(scaled.std(ddof=1) / math.sqrt(len(x))), len(x) - 1
    )


def slope(x: Sequence[float], estimates: Sequence[Estimate]) -> Estimate:
    """The least-squares slope of estimates over x, unweighted.

    Equal weights make it a fixed contrast: what it estimates does not move with the noise, as it
    does under weights when the line is not the truth. nan when x does not vary.
    """
    if len(set(x)) < 2:
        return Estimate(math.nan, math.nan)
    centred = np.asarray(x, dtype=float) - np.mean(x)
    return combine(list(centred / (centred**2).sum()), estimates)


def exponent(sizes: Sequence[float], estimates: Sequence[Estimate]) -> Estimate:
    """The power of N that positive estimates grow with: the slope in log-log axes."""
    return slope([math.log(n) for n in sizes], [log(e) for e in estimates])


def rate(counts: ArrayLike, exposures: ArrayLike) -> Estimate:
    """Events per unit of exposure, from several stretches counted one after the other.

    Each event is an independent draw, so the count is at most as scattered as a Poisson one; when
    five or more stretches scatter more than that, their own dispersion is taken instead.
    """
    n, t = np.asarray(counts, dtype=float), np.asarray(exposures, dtype=float)
    total, exposure = n.sum(), t.sum()
    if exposure <= 0:
        raise ValueError(f"a rate needs an exposure above 0, not {exposure}")
    spread = math.sqrt(dispersion(n, t) * max(total, 1.0))
    return Estimate(float(total / exposure), spread / float(exposure))


def dispersion(counts: ArrayLike, exposures: ArrayLike) -> float:
    """Pearson's index against a common Poisson rate, at least 1; 1 for fewer than five counts."""
    n, t = np.asarray(counts, dtype=float), np.asarray(exposures, dtype=float)
    if len(n) < 5 or n.sum() == 0:
        return 1.0
    expected = n.sum() * t / t.sum()
    return max(1.0, float(((n - expected) ** 2 / expected).sum() / (len(n) - 1)))


def bootstrap_mean(sample: ArrayLike, level: float = 0.95, seed: int = 1) -> Interval:
    """The BCa interval of a mean over runs [Efron 1987]; the mean itself when all are equal."""
    x = np.asarray(sample, dtype=float)
    if len(x) < 2 or np.ptp(x) == 0:
        return Interval(float(x.mean()), float(x.mean()))
    found = sps.bootstrap(
        (x,),
        np.mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        method="BCa",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


class Step(NamedTuple):
    """What Holm's procedure makes of one test: the level it is held to, its adjusted p."""

    alpha: float
    p: float
    rejected: bool


def holm(p_values: Sequence[float], family: int, alpha: float = 0.05) -> list[Step]:
    """Holm's step-down over a registered family [Holm 1979].

    `family` counts all registered tests; the ones that were not run stand as p = 1, so running a
    subset never makes a test easier.
    """
    tests = len(p_values)
    if family < tests:
        raise ValueError(f"a family of {family} cannot hold {tests} tests")
    if not tests:
        return []
    padded = [*p_values, *[1.0] * (family - tests)]
    rejected, adjusted, _, _ = multipletests(padded, alpha=alpha, method="holm")
    failed_from = int(rejected.sum())
    ranks = np.argsort(np.argsort(p_values, kind="stable"), kind="stable")
    return [
        Step(alpha / (family - min(int(rank), failed_from)), float(adjusted[i]), bool(rejected[i]))
        for i, rank in enumerate(ranks)
    ]


def g_test(observed: ArrayLike, probabilities: ArrayLike, least: float = 5.0) -> float:
    """p of counts under exact probabilities, by the likelihood ratio [Sokal & Rohlf 1981].

    Neighbouring cells are pooled until each expects `least` counts. 1.0 when one cell is left.
    """
    o, chance = np.asarray(observed, dtype=float), np.asarray(probabilities, dtype=float)
    counts, expected = pool(o, chance / chance.sum() * o.sum(), least)
    if len(counts) < 2:
        return 1.0
    return float(sps.power_divergence(counts, expected, lambda_="log-likelihood").pvalue)


def pool(observed: Floats, expected: Floats, least: float) -> tuple[Floats, Floats]:
    """Joins neighbouring cells from the left until each expects `least`; a rest joins the last."""
    cells: list[tuple[float, float]] = []
    o = e = 0.0
    for seen, wanted in zip(observed, expected, strict=True):
        o, e = o + seen, e + wanted
        if e >= least:
            cells.append((o, e))
            o = e = 0.0
    if (o or e) and cells:
        last = cells.pop()
        cells.append((last[0] + o, last[1] + e))
    elif not cells:
        cells.append((o, e))
    return np.array([c[0] for c in cells]), np.array([c[1] for c in cells])


def same_distribution(one: ArrayLike, other: ArrayLike) -> float:
    """p of two samples under one distribution, whatever it is.

    Both are binned at the quantiles of the two together, so that ties and infinite values count,
    and compared by a G-test: on one bin in ten values, eight at most, since more lose power.
    """
    a, b = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    both = np.concatenate([a, b])
    bins = max(2, min(8, min(len(a), len(b)) // 10))
    inner = np.quantile(both, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
    edges = np.unique(inner)
    table = np.array(
        [np.bincount(np.searchsorted(edges, s), minlength=len(edges) + 1) for s in (a, b)]
    )
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    return float(sps.chi2_contingency(table, lambda_="log-likelihood").pvalue)


def runs_for(sd: float, half_width: float, level: float = 0.95) -> int:
    """Runs that bring the interval of a mean to +- `half_width`.

    runs_for(1.33, 0.25) = 109: push, fan-out 1, in synchronous rounds
    """
    return math.ceil((float(sps.norm.ppf((1 + level) / 2)) * sd / half_width) ** 2)
