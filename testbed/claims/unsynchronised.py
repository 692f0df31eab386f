"""C18: the analysis holds without synchronised rounds: in order of growth, not in its constants.

With free-running timers a node that learns a multicast waits half a period on average, not a whole
one, and passes it on within the same round of its sender. Growth is at rate b and not ln(1+b):
O(log N) with a smaller factor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, arm, conditions
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import REFUTED, Finding
from testbed.theory.chain import mean
from testbed.theory.coupon_collector import mean_sends
from testbed.theory.push_chain import push_chain

FORM, CONSTANT, MESSAGES = "form", "constant", "messages"
SIZES = (8, 16, 32, 64, 128, 256)
NODES = 256
RUNS, FREE_RUNS = 4000, 400

CLAIM = Claim(
    id="C18",
    title="the analysis holds without synchronised rounds, but for its constants",
    statement=(
        "Push whose nodes' timers are not synchronised also reaches everyone in O(log N) periods, "
        "in the same number of periods and with the same number of messages."
    ),
    source='lecture, "Epidemic Multicast Analysis", as spoken: the rounds need not be '
    "synchronised; CLAIMS C18",
    assumptions=(
        "free: one timer of period 1 and random phase a node, untouched by infection",
        "compared to synchronous rounds at the same fan-out, without loss, nobody stops",
    ),
    parts={
        FORM: Part(
            margin=Interval(-math.inf, rules.EXPONENT_SUPPORTS),
            reason="as C1: log N has the exponent 0.25..0.35 over 8..256 nodes",
        ),
        CONSTANT: Part(
            margin=Interval(0.95, 1.05),
            reason="equal within 5%; free timers give 0.81 at 256 nodes and b = 1",
            expected=REFUTED,
        ),
        MESSAGES: Part(
            margin=Interval(0.95, 1.05),
            reason="of (N-1) H_(N-1): the coupon collector does not know when",
        ),
    },
    refuted_if="form: as C1; the others: the interval of the ratio lies outside 5%",
    evidence=("simulated",),
    estimator="as C1; mean T in free timing over the exact mean in synchronous rounds; messages "
    "to the last infection over the coupon collector's",
    expect=(
        "N = 256, b = 1, mean rounds to all: sync 14.67, restart 14.78, free 11.84, poisson 12.31, "
        "immediate 8.06",
        "growth a period: 1+b synchronous or restarted, e^b free",
    ),
    family="push analysis",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Of the continuous model: exponent of 2 ln n / b over `sizes`, ratio at the largest."""
    sizes, fan_out = conditions["sizes"], int(conditions["fan_out"])
    continuous = [Estimate(2 * math.log(n - 1) / fan_out, 1e-9) for n in sizes]
    return {
        FORM: stats.exponent(sizes, continuous).value if len(sizes) > 1 else math.nan,
        CONSTANT: continuous[-1].value / _synchronous(sizes[-1], fan_out),
        MESSAGES: 1.0,
    }


def model(engines: Engines) -> list[Finding]:
    samples = {n: engines.free(FREE_RUNS, nodes=n) for n in SIZES}
    stated = conditions(timing="free", sizes=list(SIZES))
    predicted = predict(stated)
    grown = arm(stated, {n: sample.rounds_to_all for n, sample in samples.items()})
    ratios = [stats.mean(sample.sends).scaled(1 / mean_sends(n)) for n, sample in samples.items()]
    largest = stats.mean(samples[NODES].rounds_to_all)
    ratio = largest.scaled(1 / _synchronous(NODES, 1))
    runs = engines.runs(FREE_RUNS)
    return [
        CLAIM.finding(FORM, grown, **rules.log_growth(grown).report(predicted[FORM])),
        CLAIM.modelled(
            CONSTANT,
            stated | {"sizes": [NODES]},
            ratio,
            predicted=predicted[CONSTANT],
            unit="mean T in free timing over that in synchronous rounds",
            refutation=f"free timers take {ratio.value:.2f} times the periods of synchronous ones",
            runs=runs,
        ),
        CLAIM.modelled(
            MESSAGES,
            stated,
            rules.pooled_ratio(ratios),
            predicted=1.0,
            unit="messages to the last infection, over (N-1) H_(N-1)",
            runs=runs * len(SIZES),
        ),
    ]


def _synchronous(nodes: int, fan_out: int) -> float:
    return mean(push_chain(nodes, fan_out, replacement=True).rounds_to_all())
