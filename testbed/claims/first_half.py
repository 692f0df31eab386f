"""C8: the first half takes O(log N) rounds in all forms of gossip.

No form can be faster in order: with b messages a round an infected node makes at most 1 + b of
itself, so push needs log_(1+b) (N/2) rounds. For pull the bound holds on average only, as many may
ask one node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, arm, conditions
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.theory.chain import mean
from testbed.theory.pull_chain import pull_chain
from testbed.theory.push_chain import push_chain
from testbed.theory.push_pull_chain import push_pull_chain

FORM, BOUND, EXACT = "form", "bound", "constant"
SIZES = (16, 32, 64, 128, 256, 512)
RUNS = 400
CHAINS = {"push": push_chain, "pull": pull_chain, "push_pull": push_pull_chain}

CLAIM = Claim(
    id="C8",
    title="the first half takes O(log N) rounds in every form",
    statement=(
        "Push, pull and push-pull all take a number of rounds that grows like log N until half of "
        "the nodes have the multicast, and push can't do it in fewer than log_(1+b) (N/2)."
    ),
    source='lecture, "Pull Gossip: Analysis": in all forms O(log(N)) rounds before about N/2 '
    "processes get the gossip; CLAIMS C8",
    assumptions=(
        "synchronous rounds, no relaying within a round (immediate timing breaks the bound in "
        "periods, not in hops)",
        "no limit on the pulls that a node answers",
    ),
    parts={
        FORM: Part(
            margin=Interval(-math.inf, rules.EXPONENT_SUPPORTS),
            reason="as C1; exact exponents over 16..512 nodes are 0.22..0.25",
        ),
        EXACT: Part(
            margin=Interval(0.95, 1.05),
            reason="of the exact chain's mean at the same sizes; one round more or less is 10% "
            "and more",
        ),
        BOUND: Part(
            margin=Interval(-math.inf, 0.5),
            reason="runs of push below the bound: none can be, in synchronous rounds",
        ),
    },
    refuted_if="form: as C1, for any of the three; constant: the interval of the ratio to the "
    "exact chain lies outside 5%; bound: any run of push is faster",
    evidence=("simulated",),
    estimator="as C1, on the rounds to half; mean over the exact chain's, geometric mean over the "
    "sizes; number of runs below the bound",
    expect=(
        "synchronous, b = k = 1, N = 64 and 256: push 6.07 and 8.04, pull 6.29 and 8.37, push-pull "
        "4.02 and 5.31 rounds",
        "the mean number infected is the same for push and pull at every round; their times differ",
    ),
    family="push analysis",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """The exponent of the exact means over `sizes`, the ratio to them, and no run too fast."""
    exact = [_exact(conditions.get("protocol", "push"), n) for n in conditions["sizes"]]
    exponent = stats.exponent(conditions["sizes"], [Estimate(t, 1e-9) for t in exact])
    return {FORM: exponent.value, EXACT: 1.0, BOUND: 0.0}


def model(engines: Engines) -> list[Finding]:
    findings = []
    for protocol in CHAINS:
        stated = conditions(protocol, sizes=list(SIZES))
        predicted = predict(stated)
        times = {n: engines.rounds(RUNS, nodes=n, protocol=protocol).rounds_to_half for n in SIZES}
        grown = arm(stated, times)
        report = rules.log_growth(grown).report(predicted[FORM])
        findings.append(
            CLAIM.finding(FORM, grown, **report | {"unit": "exponent of the rounds to half in N"})
        )
        ratios = [stats.mean(t).scaled(1 / _exact(protocol, n)) for n, t in times.items()]
        runs = sum(map(len, times.values()))
        findings.append(
            CLAIM.modelled(
                EXACT,
                stated,
                rules.pooled_ratio(ratios),
                predicted=1.0,
                unit="mean rounds to half, over the exact chain's",
                runs=runs,
            )
        )
        if protocol == "push":
            fast = sum(int((t < math.log2(n / 2)).sum()) for n, t in times.items())
            findings.append(
                CLAIM.modelled(
                    BOUND,
                    stated,
                    Estimate(float(fast), 0.0),
                    predicted=0.0,
                    unit="runs that beat log2 (N/2)",
                    runs=runs,
                )
            )
    return findings


@lru_cache(maxsize=64)
def _exact(protocol: str, nodes: int) -> float:
    return mean(CHAINS[protocol](nodes, replacement=True).rounds_to_half())
