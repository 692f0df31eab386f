"""C3: no node sends more than c b ln n messages in the c ln n rounds.

A deterministic bound under a rule that ends after R rounds: the source sends b R and nobody more.
What a multicast costs until everybody has it is another number, the coupon collector's (N-1)
H_(N-1) / N a node. Receiving is not bounded by it: in a round some node gets about ln n / ln ln n
messages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from testbed.judging import stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.theory.coupon_collector import mean_sends

BOUND, MEAN = "bound", "mean"
NODES, FAN_OUT, C = 256, 2, 2.0
RUNS, FREE_RUNS = 1000, 1000

CLAIM = Claim(
    id="C3",
    title="a node sends at most c b ln n messages",
    statement=(
        "When a multicast is gossiped for c ln n rounds, no node transmits it more than c b ln n "
        "times; up to the last infection a node transmits it (N-1) H_(N-1) / N times on average."
    ),
    source='lecture, "Analysis (contd.)": no more than cb log(n) gossip messages [lightweight]; '
    "CLAIMS C3",
    assumptions=(
        "gossip ends R = ceil(c ln n) rounds after the start (age), or after R own rounds (rounds)",
        "transmissions of the multicast; digests and receptions are not counted",
    ),
    parts={
        BOUND: Part(
            margin=Interval(-math.inf, 1.0 + 1e-9),
            reason="a deterministic bound: one message too many in any run refutes it",
        ),
        MEAN: Part(
            margin=Interval(0.95, 1.05),
            reason="5% of sampling error; a twelfth of the datagrams lost, or sent twice, leaves "
            "it",
        ),
    },
    refuted_if="bound: some node sends more than b R; mean: the interval of the ratio to the "
    "coupon collector's mean lies outside 5%",
    evidence=("simulated",),
    estimator="bound: the engine's count of datagrams over b times the rounds that its nodes were "
    "infected for, times the longest of these over R, the largest of all runs; mean: datagrams up "
    "to the last infection over (N-1) H_(N-1)",
    expect=(
        "retention age: equality for the source; retention rounds: b R for every node",
        "mean at completion: 6.10 at N = 256 under any timing and fan-out, 1/(1-loss) times that "
        "under loss; forever: unbounded in time",
    ),
    family="push analysis",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Both as ratios to their formulas."""
    return {BOUND: 1.0, MEAN: 1.0}


def model(engines: Engines) -> list[Finding]:
    last = math.ceil(C * math.log(NODES))
    outcome = engines.rounds(
        RUNS, keep_nodes=True, nodes=NODES, fan_out=FAN_OUT, max_rounds=last, sources=1
    )
    assert outcome.infected_round is not None
    own = np.where(outcome.infected_round >= 0, _end(outcome.sends)[:, None], 0)
    own -= np.maximum(outcome.infected_round, 0)
    implied = FAN_OUT * own.sum(axis=1)
    most = float((outcome.total_sends / implied * own.max(axis=1) / last).max())
    stated = conditions(fan_out=FAN_OUT, retention="age", sizes=[NODES])
    sends = engines.free(FREE_RUNS, nodes=NODES).sends
    each = stats.mean(sends).scaled(1 / mean_sends(NODES))
    return [
        CLAIM.modelled(
            BOUND,
            stated,
            Estimate(most, 0.0),
            predicted=1.0,
            unit=f"most messages of a node, over b R = {FAN_OUT * last}",
            runs=outcome.runs,
        ),
        CLAIM.modelled(
            MEAN,
            conditions(timing="free", sizes=[NODES]),
            each,
            predicted=1.0,
            unit="messages to the last infection, over (N-1) H_(N-1)",
            runs=len(sends),
            notes=(f"{each.value * mean_sends(NODES) / NODES:.2f} a node",),
        ),
    ]


def _end(sends: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The round in which each run ended: the last one that added messages."""
    return np.asarray((np.diff(sends, axis=1) > 0).sum(axis=1))
