"""C9: in pull gossip the fraction not infected goes from p to p^(k+1) in a round.

A node stays uninfected when it was, and all k that it asks are too. Tested round by round: given
how many are uninfected, the next number is binomial, so rounds of all runs can be pooled with the
fraction as covariate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.simulator.outcome import Outcome
from testbed.theory.hits import missed

EXPONENT, RATIO, LOSSY = "exponent", "recurrence", "with loss"
NODES, RUNS = 4096, 500
LEAST = 30
"""Uninfected nodes that a round must start with: below, the fraction itself is a rough number."""

CLAIM = Claim(
    id="C9",
    title="pull leaves p^(k+1) of a fraction p",
    statement=(
        "If a fraction p has not got the multicast and each of those nodes asks k random others, "
        "a fraction p^(k+1) is left after the round."
    ),
    source='lecture, "Pull Gossip: Analysis": p_{i+1} = p_i^(k+1); Demers et al. 1987; CLAIMS C9',
    assumptions=(
        "synchronous rounds, k distinct others asked, everyone asked answers",
        "rounds with p <= 1/2 and 30 or more uninfected nodes, N large",
        "with loss every pull succeeds with r = (1-loss)^legs: p (1 - r + r p)^k",
    ),
    parts={
        EXPONENT: Part(
            margin=Interval(0.97, 1.03),
            reason="of k + 1; asking k + 1 or k - 1 others changes it by a quarter and more",
        ),
        RATIO: Part(
            margin=Interval(0.98, 1.02),
            reason="of the number that the exact binomial leaves, which differs from N p^(k+1) "
            "by 1/s",
        ),
        LOSSY: Part(
            margin=Interval(0.98, 1.02),
            reason="of the number left under 50% loss of each datagram, both legs; one leg would "
            "leave a third less",
        ),
    },
    refuted_if="the interval of the exponent, or of the ratio to the recurrence, lies outside its "
    "margin",
    evidence=("simulated",),
    estimator="exponent: the a for which the sum of N p^a over all rounds is what was left, its "
    "error from the scatter between runs; recurrence: number left over the number expected",
    expect=(
        "no loss: k + 1 for any k",
        "loss e of each datagram, both legs: p (e' + (1-e') p)^k, e' = 1 - (1-e)^2; one leg: e'=e",
    ),
    family="pull",
)


class Steps(NamedTuple):
    """Rounds of pull, one entry a round: whose run, uninfected before and after."""

    run: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """All three as ratios to theory."""
    return {EXPONENT: 1.0, RATIO: 1.0, LOSSY: 1.0}


def model(engines: Engines) -> list[Finding]:
    findings = []
    for k in (1, 2):
        steps = _steps(_pull(engines, k, 0.0))
        stated = conditions("pull", fan_out=k, sizes=[NODES]) | {"replacement": False}
        findings += [
            CLAIM.modelled(
                EXPONENT,
                stated,
                _exponent(steps).scaled(1 / (k + 1)),
                predicted=1.0,
                unit="exponent of p, over k + 1",
                runs=int(steps.run.max()) + 1,
                notes=(f"{len(steps.run)} rounds",),
            ),
            CLAIM.modelled(
                RATIO,
                stated,
                _ratio(steps, _left(steps.before, k, 1.0)),
                predicted=1.0,
                unit="nodes left over those expected",
                runs=int(steps.run.max()) + 1,
            ),
        ]
    steps = _steps(_pull(engines, 1, 0.5))
    stated = conditions("pull", loss_ratio=0.5, legs=2, sizes=[NODES]) | {"replacement": False}
    findings.append(
        CLAIM.modelled(
            LOSSY,
            stated,
            _ratio(steps, _left(steps.before, 1, 0.25)),
            predicted=1.0,
            unit="nodes left over those expected with loss",
            runs=int(steps.run.max()) + 1,
        )
    )
    return findings


def _pull(engines: Engines, k: int, loss_ratio: float) -> Outcome:
    return engines.rounds(
        RUNS, nodes=NODES, protocol="pull", fan_out=k, replacement=False, loss_ratio=loss_ratio
    )


def _steps(outcome: Outcome) -> Steps:
    left = (outcome.alive - outcome.infected).astype(float)
    run, at = np.nonzero((left[:, :-1] >= LEAST) & (left[:, :-1] <= NODES / 2))
    return Steps(run, left[run, at], left[run, at + 1])


def _left(before: NDArray[np.float64], k: int, success: float) -> NDArray[np.float64]:
    """Expected number left: each stays with the chance that no pull of its k helps."""
    levels, place = np.unique(before, return_inverse=True)
    stays: NDArray[np.float64] = missed(NODES - 1, NODES - levels, k, success)
    return before * stays[place]


def _exponent(steps: Steps) -> Estimate:
    """Solves sum(after) = sum(N p^a); its error by the scores of whole runs."""
    p = steps.before / NODES

    def excess(a: float) -> float:
        return float((steps.after - NODES * p**a).sum())

    value = float(optimize.brentq(excess, 0.1, 20.0))
    score = np.bincount(steps.run, steps.after - NODES * p**value)
    slope = float((NODES * p**value * np.log(p)).sum())
    return Estimate(value, math.sqrt(float((score**2).sum())) / abs(slope), len(score) - 1)


def _ratio(steps: Steps, expected: NDArray[np.float64]) -> Estimate:
    value = float(steps.after.sum() / expected.sum())
    score = np.bincount(steps.run, steps.after - value * expected)
    error = math.sqrt(float((score**2).sum())) / float(expected.sum())
    return Estimate(value, error, len(score) - 1)
