"""Wrong estimators, each with the check that must notice it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import special
from scipy import stats as sps

from testbed.judging import selection, stats
from testbed.metrics import rounds_to_all
from testbed.theory import coupon_collector
from tests.mutants.patching import put, wrapped


def _survivors(true: Any) -> Any:
    def periods(*given: Any) -> Any:
        found = true(*given)
        return found.where(np.isfinite(found), found[np.isfinite(found)].mean())

    return periods


def _lenient(self: Any, least: int = 1) -> tuple[str, ...]:
    return ()


def _plain(p_values: Any, family: int, alpha: float = 0.05) -> Any:
    return [stats.Step(alpha, float(p), bool(p <= alpha)) for p in p_values]


def _one_sided(self: Any, level: float) -> stats.Interval:
    reach = self.se * float(special.stdtrit(self.df, level))
    return stats.Interval(self.value - reach, self.value + reach)


def _normal(self: Any, level: float) -> stats.Interval:
    reach = self.se * float(special.ndtri((1 + level) / 2))
    return stats.Interval(self.value - reach, self.value + reach)


def _spread_of_runs(true: Any) -> Any:
    def mean(sample: Any) -> Any:
        found = true(sample)
        return replace(found, se=found.se * math.sqrt(len(sample)))

    return mean


def _wald(self: Any, level: float) -> stats.Interval:
    share = self.successes / self.trials
    reach = special.ndtri((1 + level) / 2) * math.sqrt(share * (1 - share) / self.trials)
    return stats.Interval(share - reach, share + reach)


def _point_inside(self: Any, low: float, high: float) -> float:
    return 0.0 if low < self.value < high else 1.0


def _all_cells(observed: Any, probabilities: Any, least: float = 5.0) -> float:
    expected = np.asarray(probabilities) * np.sum(observed)
    return float(sps.power_divergence(observed, expected, ddof=2, lambda_="log-likelihood").pvalue)


def _all_nodes_to_collect(true: Any) -> Any:
    return lambda nodes, *loss: true(nodes, *loss) * 1.15


ESTIMATORS = (
    (
        "runs that never ended get the mean of the others",
        "incomplete",
        wrapped(rounds_to_all, "periods_to", _survivors),
    ),
    ("voided runs count", "voided", put(selection.Arm, "blocks", _lenient)),
    ("claims are not adjusted for their number", "familywise", put(stats, "holm", _plain)),
    (
        "the quantile of a one-sided interval",
        "coverage",
        put(stats.Estimate, "interval", _one_sided),
    ),
    ("normal quantiles for four numbers", "coverage", put(stats.Estimate, "interval", _normal)),
    (
        "the spread of runs for the error of the mean",
        "coverage",
        wrapped(stats, "mean", _spread_of_runs),
    ),
    ("normal intervals for rare events", "rare", put(stats.Proportion, "interval", _wald)),
    (
        "an estimate inside the margin is support enough",
        "familywise",
        put(stats.Estimate, "p_within", _point_inside),
    ),
    ("degrees of freedom too few", "uniform p", put(stats, "g_test", _all_cells)),
    (
        "a prediction that is 15% too high",
        "C1 recorded",
        wrapped(coupon_collector, "mean_sends", _all_nodes_to_collect),
    ),
)
