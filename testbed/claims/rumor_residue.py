"""C17: rumor mongering misses a fraction of the nodes that falls exponentially with its patience k.

The differential equations give s = e^(-(k+1)(1-s)) for push with feedback and coin. They have no
cycles: in cycles several contacts reach a node at once, all of them useful, and less is missed. So
the exponent holds and the fractions do not. That s = e^(-m) for traffic m holds for any push
without a connection limit.

Hosts have no cycles: in free timing contacts come one at a time, and each knows whether it was
needed. There the fractions of the equations hold as well, with one part each of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.selection import Arm, dissemination
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import REFUTED, Finding
from testbed.simulator.rounds.rumor import RumorOutcome
from testbed.tables import RunTables
from testbed.theory.demers_1987 import SITES, rows
from testbed.theory.rumor import feedback_coin_residue

FORM, CONSTANT, TRAFFIC, TABLE = "form", "constant", "traffic", "published"
FREE_FORM, FREE_CONSTANT, FREE_TRAFFIC = "free: form", "free: constant", "free: traffic"
PROTOCOL = "rumor"
PATIENCE = (1, 2, 3)
RUNS = 400

CLAIM = Claim(
    id="C17",
    title="rumor mongering misses a fraction e^(-(k+1)(1-s))",
    statement=(
        "A rumour whose spreaders lose interest after about k unnecessary contacts misses a "
        "fraction s of the nodes with s = e^(-(k+1)(1-s)); at a traffic of m updates a node s = "
        "e^(-m) whatever the rule."
    ),
    source="Demers et al., PODC 1987, section 1.4; CLAIMS C17",
    assumptions=(
        "push, feedback, coin; uniform partners, no connection limit, no loss; 1000 sites",
        "cycles with a barrier: a contact is useful if its receiver was susceptible at their start",
        "published: push, feedback, counter, table 1",
    ),
    parts={
        FORM: Part(
            margin=Interval(0.9, 1.1),
            reason="of the exponent (k+1)(1-s); one step of k changes it by 25% and more",
        ),
        CONSTANT: Part(
            margin=Interval(0.9, 1.1),
            reason="of the equations' 0.203, 0.060 and 0.020; cycles give 0.176, 0.049 and 0.016",
            expected=REFUTED,
        ),
        TRAFFIC: Part(
            margin=Interval(0.97, 1.03),
            reason="of m in -ln s; a connection limit would give 1.58",
        ),
        TABLE: Part(
            margin=Interval(0.9, 1.1),
            reason="of the published residues, which have two digits and no error bars",
        ),
        FREE_FORM: Part(margin=Interval(0.9, 1.1), reason="as in cycles, of (k+1)(1-s)"),
        FREE_CONSTANT: Part(
            margin=Interval(0.9, 1.1),
            reason="of the equations' fractions; those of cycles are 0.87, 0.82 and 0.81 of them",
        ),
        FREE_TRAFFIC: Part(
            margin=Interval(0.95, 1.05),
            reason="of m in -ln s; hundreds of runs on hosts leave an error of 1%",
        ),
    },
    refuted_if="the interval of the ratio, geometric mean over k, lies outside its margin",
    evidence=("emulated", "simulated"),
    estimator="mean residue, and its logarithm, over runs; ratios by the delta method",
    expect=(
        "equations: 0.2032, 0.0595, 0.0198, 0.0070, 0.0025 for k = 1..5, feedback and coin",
        "blind and coin: e^(-k(1-s)); counter, in cycles: 0.175, 0.037, 0.011 (table 1)",
        "any push without a limit, any k: s = e^(-m)",
        "free timing, on hosts: the fractions of the equations",
    ),
    family="rumor mongering",
    experiments=("rumor_residue",),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """All as ratios to their formulas."""
    return dict.fromkeys(CLAIM.parts, 1.0)


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    """The parts in free timing, from runs on hosts of push with feedback and coin."""
    parts = (FREE_FORM, FREE_CONSTANT, FREE_TRAFFIC)
    arms = {}
    for arm in dissemination(tables, stand_in.get(PROTOCOL, PROTOCOL)):
        if (k := int(arm.options.get("k_counter", 0))) in PATIENCE and _is_of_the_claim(arm):
            arms[k] = arm
    if set(arms) != set(PATIENCE):
        return CLAIM.not_run(*parts, because=f"no runs of push, feedback and coin for k {PATIENCE}")
    size = min(min(arm.sizes) for arm in arms.values())
    frames = {
        part: CLAIM.finding(
            part,
            arms[1],
            runs=sum(arm.runs for arm in arms.values()),
            voided=sum(arm.voided for arm in arms.values()),
        )
        for part in parts
    }
    if blocks := tuple(text for arm in arms.values() for text in arm.blocks()):
        return [replace(frame, blocks=blocks) for frame in frames.values()]
    residue = {k: stats.mean(arm.values("residue", size)) for k, arm in arms.items()}
    traffic = {k: stats.mean(arm.values("updates", size)) for k, arm in arms.items()}
    if any(s.value <= 0 for s in residue.values()):
        return CLAIM.not_run(*parts, because="no run left a node out; take more nodes or runs")
    ratios = {
        FREE_FORM: [_exponent(residue[k], k) for k in PATIENCE],
        FREE_CONSTANT: [residue[k].scaled(1 / feedback_coin_residue(k)) for k in PATIENCE],
        FREE_TRAFFIC: [_minus_log_over(residue[k], traffic[k]) for k in PATIENCE],
    }
    words = ", ".join(f"k={k}: s = {s.value:.4f}" for k, s in residue.items())
    return [_held(frames[part], ratios[part], words) for part in parts]


def _is_of_the_claim(arm: Arm) -> bool:
    wanted = {"direction": "push", "feedback": True, "interest": "coin", "connection_limit": 0}
    asked = all(arm.options.get(name) == value for name, value in wanted.items())
    return asked and arm.conditions["timing"] == "free"


def _held(frame: Finding, ratios: Sequence[Estimate], words: str) -> Finding:
    """The geometric mean of ratios to their formulas, held to the margin of the part."""
    measured = rules.pooled_ratio(ratios)
    p_support, p_refute = stats.tested(measured, CLAIM.parts[frame.part].margin)
    stated = {**frame.conditions, "options": {**frame.conditions["options"], "k_counter": PATIENCE}}
    return replace(
        frame,
        conditions=stated,
        predicted=1.0,
        measured=measured,
        unit="over its formula, geometric mean over k",
        p_support=p_support,
        p_refute=p_refute,
        notes=(words,),
    )


def model(engines: Engines) -> list[Finding]:
    coin = {k: engines.rumor(RUNS, nodes=SITES, k=k, coin=True) for k in PATIENCE}
    counter = {k: engines.rumor(RUNS, nodes=SITES, k=k) for k in PATIENCE}
    published = {row.k: row.residue for row in rows(1)}
    residue = {k: stats.mean(outcome.residue) for k, outcome in coin.items()}
    limit = {k: feedback_coin_residue(k) for k in PATIENCE}
    exponent = [_exponent(residue[k], k) for k in PATIENCE]
    tables = [stats.mean(counter[k].residue).scaled(1 / published[k]) for k in PATIENCE]
    measured = {
        FORM: (exponent, "-ln s over (k+1)(1-s)", "coin"),
        CONSTANT: ([residue[k].scaled(1 / limit[k]) for k in PATIENCE], "s over the root", "coin"),
        TRAFFIC: ([_traffic(coin[k]) for k in PATIENCE], "-ln s over m", "coin"),
        TABLE: (tables, "s over table 1", "counter"),
    }
    words = ", ".join(f"k={k}: {s.value:.4f}, not {limit[k]:.4f}" for k, s in residue.items())
    return [
        CLAIM.modelled(
            part,
            conditions("rumor", retention=retention, k=list(PATIENCE), sizes=[SITES]),
            rules.pooled_ratio(ratios),
            predicted=1.0,
            unit=unit,
            runs=engines.runs(RUNS) * len(PATIENCE),
            refutation=f"in cycles the residue is another: {words}" if part == CONSTANT else "",
        )
        for part, (ratios, unit, retention) in measured.items()
    ]


def _exponent(residue: Estimate, k: int) -> Estimate:
    """-ln s / ((k+1)(1-s)), by the delta method in ln s alone: 1-s is near 1."""
    value = -math.log(residue.value) / ((k + 1) * (1 - residue.value))
    slope = (1 / residue.value + math.log(residue.value) / (1 - residue.value)) / (
        (k + 1) * (1 - residue.value)
    )
    return Estimate(value, abs(slope) * residue.se, residue.df)


def _traffic(outcome: RumorOutcome) -> Estimate:
    """-ln of the mean residue over the mean traffic."""
    return _minus_log_over(stats.mean(outcome.residue), stats.mean(outcome.traffic))


def _minus_log_over(residue: Estimate, traffic: Estimate) -> Estimate:
    exponent = Estimate(-math.log(residue.value), residue.se / residue.value, residue.df)
    return stats.ratio(exponent, traffic)
