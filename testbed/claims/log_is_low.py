"""C4: log N is low: 10, 20, 30, 32 and 128 for a thousand nodes up to all IPv6 addresses.

The slide's table is arithmetic, in base 2. That gossip over every IPv4 address is a matter of some
fifty rounds is sampled from the exact chain on the numbers of nodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from testbed.judging import stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.theory.asymptotics import push_rounds_bounds

FIGURES, ADDRESSES = "figures", "rounds: IPv4"
TABLE = {10**3: 10, 10**6: 20, 10**9: 30, 2**32: 32, 2**128: 128}
IPV4 = 2**32
RUNS = 60

CLAIM = Claim(
    id="C4",
    title="log N is low: 32 for all IPv4 addresses",
    statement=(
        "The logarithm to base 2 is about 10 for a thousand nodes, 20 for a million, 30 for a "
        "billion, 32 for all IPv4 and 128 for all IPv6 addresses; and push with fan-out 1 gets to "
        "every IPv4 address in a few times 10 rounds."
    ),
    source='lecture, "Why is log(N) low?"; CLAIMS C4; Doerr & Kuennemann, ANALCO 2014',
    assumptions=(
        "base 2; the rounds of push are log2 N + ln N and a constant, not log2 N alone",
        "rounds: synchronous, uniform choice, no loss, a sample of the exact chain",
    ),
    parts={
        FIGURES: Part(
            margin=Interval(-math.inf, 0.005),
            reason="the slide rounds to whole numbers: 9.97, 19.93 and 29.90 are within 0.5%",
        ),
        ADDRESSES: Part(
            margin=Interval(*push_rounds_bounds(IPV4)),
            reason="the proven bounds on the mean for 2^32 nodes, 53.1..57.0 rounds",
        ),
    },
    refuted_if="figures: one of them is off by more than 0.5%; rounds: the interval of the mean "
    "lies outside the proven bounds",
    evidence=("arithmetic", "simulated"),
    estimator="largest relative difference of the five figures; mean rounds to all of 2^32 nodes",
    expect=(
        "figures: 0.34%, that of log2 1000",
        "rounds: 32 + 22.2 + about 1.2 at b = 1, synchronous; fewer with a larger fan-out",
    ),
    family="push analysis",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """The largest relative difference, and the middle of the bounds on the rounds."""
    return {
        FIGURES: max(abs(math.log2(n) - figure) / figure for n, figure in TABLE.items()),
        ADDRESSES: sum(push_rounds_bounds(IPV4)) / 2,
    }


def model(engines: Engines, table: Mapping[int, float] = TABLE) -> list[Finding]:
    predicted = predict({})
    off = max(abs(math.log2(n) - figure) / figure for n, figure in table.items())
    rounds = engines.rounds(RUNS, nodes=IPV4).rounds_to_all
    return [
        CLAIM.modelled(
            FIGURES,
            {"base": 2},
            Estimate(off, 0.0),
            predicted=predicted[FIGURES],
            unit="largest relative difference",
            evidence="arithmetic",
        ),
        CLAIM.modelled(
            ADDRESSES,
            conditions(sizes=[IPV4]),
            stats.mean(rounds),
            predicted=predicted[ADDRESSES],
            unit="rounds to all of 2^32 nodes",
            runs=len(rounds),
        ),
    ]
