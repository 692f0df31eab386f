"""C19: push-pull reaches everyone in log3 N + O(log log N) rounds.

Every round each node calls one other and news goes both ways, so the infected triple; from half on,
pulls square what is left. Sampled from the exact chain up to 2^30 nodes. With loss the end takes
O(log N) as pull's does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.theory.asymptotics import push_pull_slope
from testbed.theory.chain import mean
from testbed.theory.push_pull_chain import push_pull_chain

FORM, CONSTANT, LOSSY, SENDS = "form", "constant", "with loss", "transmissions"
SIZES = tuple(2**power for power in range(10, 31, 4))
SMALL, LOSS = 256, 0.5
RUNS, SMALL_RUNS = 60, 4000
MEDIAN_SIZES, MEDIAN_RUNS = tuple(2**power for power in (6, 8, 10, 12, 14, 16)), 40

CLAIM = Claim(
    id="C19",
    title="push-pull takes log3 N + O(log log N) rounds",
    statement=(
        "When every node calls a random other each round and news travels both ways, all have it "
        "after log3 N + O(log log N) rounds; with a rule that ends the calls, after O(N log log N) "
        "transmissions."
    ),
    source='lecture, "Push vs. Pull": push-pull; Karp et al., FOCS 2000; CLAIMS C19',
    assumptions=(
        "synchronous rounds, one call a node and round, everyone called answers",
        "loss: a push needs one datagram, a pull both (legs = 2)",
    ),
    parts={
        FORM: Part(
            margin=Interval(0.9, 1.1),
            reason="rounds per log3 N beyond log2 ln N; push gives 2.7 and pull 1.6",
        ),
        CONSTANT: Part(
            margin=Interval(0.9, 1.1),
            reason="of log3 N + log2 ln N; the exact mean is 2% above at 64 nodes",
        ),
        LOSSY: Part(
            margin=Interval(0.97, 1.03),
            reason="of the exact factor that 50% loss costs at 256 nodes",
        ),
        SENDS: Part(
            margin=Interval(-math.inf, 1.4),
            reason="exponent of the transmissions a node over ln ln N: 1 at most, the claim is an "
            "upper bound; ln N would give 1.9, an exponent of N itself could not tell them apart",
        ),
    },
    refuted_if="the interval of the slope, or of a ratio, lies outside its margin",
    evidence=("simulated",),
    estimator="least-squares slope of mean T - log2 ln N over log3 N, unweighted; mean T over the "
    "formula, geometric mean over the sizes; ratio of mean T with and without loss; "
    "slope of the mean log of transmissions a node over log ln ln N",
    expect=(
        "no loss: 5.99 and 7.63 rounds at N = 64 and 256",
        "50% loss: 1.81..1.85 times that with one lossy leg, 2.2 and more with two, growing with N "
        "to the ratio of the slopes",
    ),
    family="pull",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Slope 1 and ratios of 1."""
    return {FORM: 1.0, CONSTANT: 1.0, LOSSY: 1.0, SENDS: 1.0}


def model(engines: Engines) -> list[Finding]:
    times = {
        n: stats.mean(engines.rounds(RUNS, nodes=n, protocol="push_pull").rounds_to_all)
        for n in SIZES
    }
    stated = conditions("push_pull", sizes=list(SIZES))
    beyond = [Estimate(t.value - math.log2(math.log(n)), t.se, t.df) for n, t in times.items()]
    ratios = [t.scaled(1 / formula(n)) for n, t in times.items()]
    runs = engines.runs(RUNS) * len(SIZES)
    words = ", ".join(f"N=2^{round(math.log2(n))}: {t.value:.2f}" for n, t in times.items())
    return [
        CLAIM.modelled(
            FORM,
            stated,
            stats.slope([math.log(n, 3) for n in SIZES], beyond),
            predicted=1.0,
            unit="rounds less log2 ln N, per log3 N",
            runs=runs,
            notes=(words,),
        ),
        CLAIM.modelled(
            CONSTANT,
            stated,
            rules.pooled_ratio(ratios),
            predicted=1.0,
            unit="mean T over log3 N + log2 ln N",
            runs=runs,
        ),
        _lossy(engines),
        _terminated(engines),
    ]


def formula(nodes: int) -> float:
    """log3 N + log2 ln N."""
    return math.log(nodes, 3) + math.log2(math.log(nodes))


def _terminated(engines: Engines) -> Finding:
    """Transmissions until the median counter has silenced everybody; the calls are not counted."""
    told = {n: engines.median(MEDIAN_RUNS, nodes=n) for n in MEDIAN_SIZES}
    logs = [stats.mean(np.log(each.transmissions / n)) for n, each in told.items()]
    at = [math.log(math.log(math.log(n))) for n in MEDIAN_SIZES]
    words = ", ".join(
        f"N=2^{round(math.log2(n))}: {each.transmissions.mean() / n:.1f}"
        for n, each in told.items()
    )
    missed = sum(int((each.missed > 0).sum()) for each in told.values())
    return CLAIM.modelled(
        SENDS,
        conditions("push_pull", termination="median_counter", sizes=list(MEDIAN_SIZES)),
        stats.slope(at, logs),
        predicted=1.0,
        unit="exponent of the transmissions a node over ln ln N",
        runs=engines.runs(MEDIAN_RUNS) * len(MEDIAN_SIZES),
        notes=(f"transmissions a node: {words}; {missed} runs left a node out",),
    )


def _lossy(engines: Engines) -> Finding:
    lossy, clean = (
        engines.rounds(SMALL_RUNS, nodes=SMALL, protocol="push_pull", loss_ratio=loss)
        for loss in (LOSS, 0.0)
    )
    factor = stats.ratio(stats.mean(lossy.rounds_to_all), stats.mean(clean.rounds_to_all))
    exact = _exact(LOSS) / _exact(0.0)
    limit = push_pull_slope(LOSS) / push_pull_slope()
    return CLAIM.modelled(
        LOSSY,
        conditions("push_pull", loss_ratio=LOSS, legs=2, sizes=[SMALL]),
        factor.scaled(1 / exact),
        predicted=1.0,
        unit=f"factor of 50% loss, over {exact:.3f}",
        runs=lossy.runs + clean.runs,
        notes=(f"factor {factor.value:.3f}, towards {limit:.2f} for large N",),
    )


def _exact(loss_ratio: float) -> float:
    chain = push_pull_chain(SMALL, replacement=True, loss_ratio=loss_ratio)
    return mean(chain.rounds_to_all())
