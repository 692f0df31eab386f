"""C6: half of the nodes failed is like half the group with half the fan-out.

Crashed from the start, and nobody knows: of the survivors' datagrams every second one goes to a
dead node. That is half the packets lost in a group of half the size, so a little faster than loss
alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.theory.chain import mean
from testbed.theory.push_chain import push_chain

REACH, HALVED, FASTER = "reach", "half the group", "against loss"
SIZES = (64, 128, 256)
RUNS = 2000

CLAIM = Claim(
    id="C6",
    title="50% of the nodes failed: as with n/2 nodes and half the fan-out",
    statement=(
        "When half of the nodes have failed, unknown to the others, push reaches all the "
        "survivors in the time that a group of half the size takes with half the fan-out, a little "
        "less than under 50% packet loss."
    ),
    source='lecture, "Fault-tolerance": 50% of nodes fail: n replaced with n/2, b with b/2; '
    "CLAIMS C6",
    assumptions=(
        "crashed before the start, the source excluded; targets are still drawn from all N",
        "nobody stops; failures on the way are C7",
    ),
    parts={
        REACH: Part(
            margin=Interval(rules.COMPLETE, math.inf),
            reason="as C1: 95% of the runs must reach every survivor",
        ),
        HALVED: Part(
            margin=Interval(0.95, 1.05),
            reason="a target is alive with (N/2-1)/(N-1), not 1/2: 1% at 64 nodes; the whole group "
            "instead of half would give 1.16",
        ),
        FASTER: Part(
            margin=Interval(1.5, 5.0),
            reason="ln 2 / ln(3/2) + 2 ln 2 = 3.1 rounds at every size for b = 1; half of it and "
            "more tells it from none",
        ),
    },
    refuted_if="reach: fewer than 95% of the runs reach all survivors; the others: the interval "
    "lies outside its margin",
    evidence=("simulated",),
    estimator="share of whole runs; mean T over that of N/2 nodes under 50% loss, geometric mean "
    "over the sizes; difference of mean T to 50% loss at equal N, mean over the sizes",
    expect=(
        "half the group: 1.00 for any b in synchronous rounds",
        "against loss: 3.1 rounds less for b = 1, at every size (ln n becomes ln n/2)",
    ),
    family="fault tolerance",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Share of whole runs, ratio to half the group, rounds gained: from the exact chain."""
    fan_out, sizes = int(conditions["fan_out"]), conditions["sizes"]
    failed = [_exact(n, fan_out, crashed=n // 2) for n in sizes]
    halved = [_exact(n // 2, fan_out, loss_ratio=0.5) for n in sizes]
    lossy = [_exact(n, fan_out, loss_ratio=0.5) for n in sizes]
    ratios = [Estimate(a / b, 0.0) for a, b in zip(failed, halved, strict=True)]
    gains = [b - a for a, b in zip(failed, lossy, strict=True)]
    return {
        REACH: 1.0,
        HALVED: rules.pooled_ratio(ratios).value,
        FASTER: sum(gains) / len(gains),
    }


def model(engines: Engines) -> list[Finding]:
    failed = {n: engines.rounds(RUNS, nodes=n, crashed=n // 2) for n in SIZES}
    times = {n: outcome.rounds_to_all for n, outcome in failed.items()}
    whole = sum(int((t < math.inf).sum()) for t in times.values())
    trials = sum(map(len, times.values()))
    stated = conditions(crashed_ratio=0.5, sizes=list(SIZES))
    predicted = predict(stated)
    reach = CLAIM.modelled(
        REACH,
        stated,
        stats.Proportion(whole, trials),
        predicted=1.0,
        unit="share of runs that reach every survivor",
        runs=trials,
    )
    if whole < trials:
        because = "some runs did not reach every survivor"
        return [reach, *CLAIM.not_run(HALVED, FASTER, because=because)]
    means = {n: stats.mean(t) for n, t in times.items()}
    ratios = [
        stats.ratio(
            means[n],
            stats.mean(engines.rounds(RUNS, nodes=n // 2, loss_ratio=0.5).rounds_to_all),
        )
        for n in SIZES
    ]
    lossy = [stats.mean(engines.rounds(RUNS, nodes=n, loss_ratio=0.5).rounds_to_all) for n in SIZES]
    share = 1 / len(SIZES)
    gained = stats.combine([share, -share] * len(SIZES), _paired(lossy, list(means.values())))
    return [
        reach,
        CLAIM.modelled(
            HALVED,
            stated,
            rules.pooled_ratio(ratios),
            predicted=predicted[HALVED],
            unit="mean T over that of N/2 nodes at 50% loss",
            runs=2 * trials,
        ),
        CLAIM.modelled(
            FASTER,
            stated,
            gained,
            predicted=predicted[FASTER],
            unit="rounds less than under 50% loss",
            runs=2 * trials,
        ),
    ]


def _paired(first: list[Estimate], second: list[Estimate]) -> list[Estimate]:
    return [each for pair in zip(first, second, strict=True) for each in pair]


def _exact(nodes: int, fan_out: int, *, crashed: int = 0, loss_ratio: float = 0.0) -> float:
    fan_out = min(fan_out, nodes - 1)
    chain = push_chain(nodes, fan_out, replacement=True, crashed=crashed, loss_ratio=loss_ratio)
    return mean(chain.rounds_to_all())
