"""C1: push gossip reaches everyone in O(log N) rounds.

The exponent of T in N is about 0.25..0.35 for log N at the sizes that can be emulated, so the rule
asks for an exponent below 0.4, and for log N to fit better than sqrt N, not for a "small" slope.

Emulated agents run in `free` timing, which has no closed form. Two checks stand beside the claim:
the sends up to the last infection, a coupon collector's count under any timing, and the times that
an independent reference draws. A check that fails means that agents or network are not what the
model describes: then C1 cannot be supported. It can still be refuted, since that the multicast did
not get to everybody, or took too long, needs no model to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.selection import Arm, dissemination
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import ALPHA, Finding
from testbed.tables import RunTables
from testbed.theory import coupon_collector

PROTOCOL = "push"
FORM, SENDS, TIME = "form", "check: sends", "check: time"

CLAIM = Claim(
    id="C1",
    title="push reaches everyone in O(log N) rounds",
    statement=(
        "When every node that has a multicast passes it on to b random others each round, all N "
        "nodes have it after a number of rounds that grows like log N."
    ),
    source='lecture, "Analysis (contd.)": within c log(n) rounds [low latency]; CLAIMS C1',
    assumptions=(
        "targets uniform over all other nodes, full membership",
        "nodes spread for as long as it takes (retention forever)",
        "no losses but the modelled ones",
    ),
    parts={
        FORM: Part(
            margin=Interval(-math.inf, rules.EXPONENT_SUPPORTS),
            reason="log N has the exponent 0.25..0.35 over 8..1024 nodes, sqrt N has 0.5; above "
            "0.5 the claim is refuted, in between it is open",
            plot="dissemination_time",
        ),
        SENDS: Part(
            margin=Interval(0.9, 1.1),
            reason="late timers leave the count alone, so 10% is sampling error; nodes that fall "
            "silent, lose a tenth of their datagrams or contact themselves leave it",
            plot="dissemination_time",
            check=True,
        ),
        TIME: Part(
            margin=Interval(0.9, 1.1),
            reason="latency and late timers may add 3%; another timing mode (restart, immediate) "
            "adds or takes away 20% and more",
            plot="dissemination_time",
            check=True,
        ),
    },
    refuted_if="fewer than 95% of the runs reach every node, or the exponent of T in N exceeds "
    "0.5, at the family's level",
    evidence=("emulated", "simulated"),
    estimator="log-log slope of the mean rounds to all over the sizes, unweighted; share of whole "
    "runs; Akaike's criterion between laws fitted to the runs",
    expect=(
        "b = 1: log2 N + ln N periods in synchronous rounds, nearer to 2 ln N in free timing; any "
        "b: 1/ln(1+b) + 1/b per ln N in synchronous rounds",
        "an exponent of 0.25..0.35 over 8..256 nodes: that is what log N looks like",
        "loss stretches the time by a constant factor (C5); nodes that stop may leave some out",
    ),
    family="scaling",
    experiments=("latency",),
    looks=(0.3, 0.6, 1.0),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """The exponent of T that the reference gives over `sizes`, and agreement with both oracles."""
    sizes = conditions["sizes"]
    if conditions["timing"] != "free":  # the reference draws no other
        return {FORM: math.nan, SENDS: 1.0, TIME: math.nan}
    times = [reference_time(n, conditions) for n in sizes]
    return {FORM: stats.exponent(sizes, times).value, SENDS: 1.0, TIME: 1.0}


def reference_time(nodes: int, conditions: Mapping[str, Any]) -> Estimate:
    return stats.mean(rules.reference_sample(nodes, conditions, topology_aware=False).rounds_to_all)


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    protocol = stand_in.get(PROTOCOL, PROTOCOL)
    arms = [
        arm for arm in dissemination(tables, protocol) if arm.conditions["retention"] == "forever"
    ]
    if not arms:
        because = f'no run of {protocol} whose option retention is "forever"'
        return CLAIM.not_run(FORM, because=because)
    return [finding for arm in arms for finding in assess(arm)]


def assess(arm: Arm) -> list[Finding]:
    """The findings on one arm: the claim, and its two checks."""
    grown = rules.log_growth(arm)
    checks = [_sends_check(arm, grown.blocks), _time_check(arm, grown.blocks)]
    failed = tuple(
        f"{check.part} is not passed" for check in checks if check and check.p_support > ALPHA
    )
    report = grown.report(predict({**arm.conditions, "sizes": arm.sizes})[FORM])
    form = CLAIM.finding(FORM, arm, **report | {"doubts": (*grown.doubts, *failed)})
    return [form, *(check for check in checks if check)]


def _sends_check(arm: Arm, blocks: tuple[str, ...]) -> Finding | None:
    """Sends up to the last infection against the coupon collector's count.

    Targets drawn without replacement within a round are no coupon collector's.
    """
    if not arm.conditions["replacement"]:
        return None
    loss = float(arm.conditions["loss_ratio"])
    return _check(
        arm,
        SENDS,
        "sends to the last infection, over (N-1) H_(N-1) / q",
        rules.against_oracle(
            arm,
            "sends_to_last_infection",
            lambda nodes: Estimate(coupon_collector.mean_sends(nodes, loss), 0.0),
        ),
        blocks,
    )


def _time_check(arm: Arm, blocks: tuple[str, ...]) -> Finding | None:
    """Times against the reference, which models `free` timing only."""
    if arm.conditions["timing"] != "free":
        return None
    ratios = rules.against_oracle(
        arm, "rounds_to_all", lambda nodes: reference_time(nodes, arm.conditions)
    )
    return _check(arm, TIME, "mean T, over the reference's", ratios, blocks)


def _check(
    arm: Arm, part: str, unit: str, ratios: Mapping[int, Estimate], blocks: tuple[str, ...]
) -> Finding:
    low, high = CLAIM.parts[part].margin
    if set(ratios) != set(arm.sizes):
        blocks = blocks or ("too few runs reached every node",)
        return CLAIM.finding(part, arm, predicted=1.0, unit=unit, blocks=blocks)
    pooled = rules.pooled_ratio(list(ratios.values()))
    return CLAIM.finding(
        part,
        arm,
        predicted=1.0,
        measured=pooled,
        unit=unit,
        p_support=pooled.p_within(low, high),
        p_refute=pooled.p_outside(low, high),
        blocks=blocks,
        notes=(", ".join(f"N={n}: {r.value:.2f}" for n, r in ratios.items()),),
    )
