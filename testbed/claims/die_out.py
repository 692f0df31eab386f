"""C7: an epidemic may die out, but only while it is small.

Loss alone never ends push that nobody stops: the source keeps trying. Where nodes stop after one
round, or crash on the way, a branching process says how likely the end is: q0 from one node, q0^m
from m of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from testbed.judging import stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.stats import Estimate, Interval, Proportion
from testbed.judging.verdict import Finding
from testbed.simulator.outcome import Outcome
from testbed.theory.branching import crash_extinction, infect_and_die_extinction

NEVER, STOPPING, CRASHING, DECAY = "loss alone", "infect and die", "crashes", "decay"
NODES, LOSS, CRASH = 1000, 0.5, 0.1
SMALL = 0.1
"""Reached by less than this share, a multicast died out; what survives reaches over half."""
RUNS, DECAY_RUNS = 4000, 8000

CLAIM = Claim(
    id="C7",
    title="dying out is possible, improbable, and early",
    statement=(
        "With failures an epidemic may die out, though it is improbable; once m nodes are "
        "infected the chance falls like q0^m. Packet loss alone never ends it while nodes go on."
    ),
    source='lecture, "Fault-tolerance": possible, but improbable, once a few nodes are infected; '
    "Harris 1963; CLAIMS C7",
    assumptions=(
        "infect and die: a node gossips in one round only, to distinct targets; 50% loss",
        "crashes: an infected node fails with probability 0.1 at the start of each round",
        "died out: fewer than a tenth of the nodes were ever infected",
    ),
    parts={
        NEVER: Part(
            margin=Interval(-math.inf, 0.005),
            reason="the truth is 0; the bound is what 4000 runs can show at the family's level",
        ),
        STOPPING: Part(
            margin=Interval(0.0587, 0.1161),
            reason="0.0874 +- 0.0287, which 400 runs would tell apart; a thousand nodes are "
            "not the limit, and add 0.004",
        ),
        CRASHING: Part(
            margin=Interval(0.0723, 0.1297),
            reason="0.101 +- 0.0287 likewise; no retrying (0.19) or no crash (0) lies outside",
        ),
        DECAY: Part(
            margin=Interval(0.75, 1.25),
            reason="of ln q0 for each further node at the start; a chance that does not fall "
            "with m would give 0",
        ),
    },
    refuted_if="the interval of the share that dies out, or of its fall with m, lies outside the "
    "margin",
    evidence=("simulated",),
    estimator="share of runs below a tenth of the nodes [Clopper-Pearson]; slope of its logarithm "
    "over m = 1, 2, 3 nodes at the start",
    expect=(
        "forever, loss only: 0",
        "infect and die: 0.0123, 0.0010, 0.0001 for b = 2, 3, 4 at loss 0.1; 1, 0.236, 0.0874, "
        "0.0376 for b = 2..5 at loss 0.5",
        "crashes before sending, b = 2: 0.101, 0.207, 0.324, 0.618 for f = 0.1, 0.2, 0.3, 0.5",
    ),
    family="fault tolerance",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Extinction probabilities of the branching process, and the decay over ln q0."""
    return {
        NEVER: 0.0,
        STOPPING: infect_and_die_extinction(4, LOSS),
        CRASHING: crash_extinction(2, CRASH),
        DECAY: 1.0,
    }


def model(engines: Engines) -> list[Finding]:
    predicted = predict({})
    unit = "share of runs that die out"
    stopping = {"retention": "infect_and_die", "replacement": False}
    cases: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        (NEVER, conditions(loss_ratio=LOSS), {"loss_ratio": LOSS}),
        (
            STOPPING,
            conditions(fan_out=4, loss_ratio=LOSS) | stopping,
            {"fan_out": 4, "loss_ratio": LOSS, "own_rounds": 1, "replacement": False},
        ),
        (
            CRASHING,
            conditions(fan_out=2, crash_ratio=CRASH, replacement=False),
            {"fan_out": 2, "crash_ratio": CRASH, "replacement": False},
        ),
    )
    findings = []
    for part, stated, settings in cases:
        outcome = engines.rounds(RUNS, nodes=NODES, **settings)
        findings.append(
            CLAIM.modelled(
                part,
                stated | {"sizes": [NODES]},
                _died(outcome),
                predicted=predicted[part],
                unit=unit,
                runs=outcome.runs,
                notes=(_gap(outcome),),
            )
        )
    return [*findings, _decay(engines)]


def _decay(engines: Engines) -> Finding:
    """ln of the share that dies out falls by ln q0 with each further node at the start."""
    fan_out, starts = 3, (1, 2, 3)
    outcomes = [
        engines.rounds(
            DECAY_RUNS,
            nodes=NODES,
            fan_out=fan_out,
            loss_ratio=LOSS,
            own_rounds=1,
            replacement=False,
            sources=m,
        )
        for m in starts
    ]
    stated = conditions(
        fan_out=fan_out, loss_ratio=LOSS, retention="infect_and_die", sizes=[NODES]
    ) | {"replacement": False}
    shares = [_died(outcome) for outcome in outcomes]
    if any(share.successes == 0 for share in shares):
        return CLAIM.not_run(DECAY, because="too few runs die out to fit their fall")[0]
    fall = stats.slope(starts, [_log(share) for share in shares])
    step = math.log(infect_and_die_extinction(fan_out, LOSS))
    return CLAIM.modelled(
        DECAY,
        stated,
        fall.scaled(1 / step),
        predicted=1.0,
        unit=f"fall of ln(share that dies out) per node at the start, over ln q0 = {step:.3f}",
        runs=sum(outcome.runs for outcome in outcomes),
        notes=(", ".join(f"m={m}: {s.value:.4f}" for m, s in zip(starts, shares, strict=True)),),
    )


def _died(outcome: Outcome) -> Proportion:
    return Proportion(int((1.0 - outcome.residue < SMALL).sum()), outcome.runs)


def _gap(outcome: Outcome) -> str:
    reach = 1.0 - outcome.residue
    small, large = reach[reach < SMALL], reach[reach >= SMALL]
    return (
        f"reach: at most {small.max() if len(small) else 0:.3f} where it died out, at least "
        f"{large.min() if len(large) else 1:.3f} elsewhere"
    )


def _log(share: Proportion) -> Estimate:
    """ln of a share, by the delta method."""
    error = math.sqrt((1 - share.value) / share.successes)
    return Estimate(math.log(share.value), error)
