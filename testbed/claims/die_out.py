"""C7: an epidemic may die out, but only while it is small.

Loss alone never ends push that nobody stops: the source keeps trying. Where nodes stop after one
round, or crash on the way, a branching process says how likely the end is: q0 from one node, q0^m
from m of them.

On hosts: runs under loss that nobody stops; infect-and-die on 64 nodes; and SIGKILL for a fifth of
the hosts that are left in every round, at any moment of their round and whether they are infected
or not, so the prediction is the independent reference's. That the chance falls like q0^m is seen
from the source's own round: m nodes have the multicast from it, and it is silent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from testbed.judging import stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.selection import Arm, dissemination
from testbed.judging.stats import Estimate, Interval, Proportion
from testbed.judging.verdict import Finding
from testbed.simulator.outcome import Outcome
from testbed.tables import RunTables
from testbed.theory.branching import crash_extinction, infect_and_die_extinction

NEVER, STOPPING, CRASHING, DECAY = "loss alone", "infect and die", "crashes", "decay"
STOPPING_HOSTS, CRASHING_HOSTS = "infect and die: hosts", "crashes: hosts"
DECAY_HOSTS = "decay: hosts"
PROTOCOL = "push"
NODES, LOSS, CRASH = 1000, 0.5, 0.1
CRASHES = "kill all each_round 0.2"
"""How `runs.faults` words the crashes of the experiment early_death."""
CRASH_HOSTS_DIES = 0.114
"""For them, 64 nodes and b = 2 the reference dies out in 0.1141 +- 0.0018 of 30,000 draws."""
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
        STOPPING_HOSTS: Part(
            margin=Interval(0.055, 0.13),
            reason="0.092 at 64 nodes (synchronous engine; who is reached does not depend on the "
            "timing) and 0.087 in the limit; b = 3 (0.24) or no loss (0) lie outside",
            plot="early_death",
        ),
        CRASHING_HOSTS: Part(
            margin=Interval(0.07, 0.155),
            reason="0.114 by the reference; no crash (0), or crashes only at the start of a round "
            "(0.21), lie outside",
            plot="early_death",
        ),
        DECAY_HOSTS: Part(
            margin=Interval(0.5, 1.5),
            reason="of ln q0 from m = 1 to 2; a chance that does not fall with m would give 0",
            plot="early_death",
        ),
    },
    refuted_if="the interval of the share that dies out, or of its fall with m, lies outside the "
    "margin",
    evidence=("emulated", "simulated"),
    estimator="share of runs below a tenth of the nodes [Clopper-Pearson]; slope of its logarithm "
    "over m = 1, 2, 3 nodes at the start, on hosts over the nodes that the source's round reached; "
    "loss alone, on hosts: share of runs that left any node out",
    expect=(
        "forever, loss only: 0",
        "infect and die: 0.0123, 0.0010, 0.0001 for b = 2, 3, 4 at loss 0.1; 1, 0.236, 0.0874, "
        "0.0376 for b = 2..5 at loss 0.5",
        "crashes before sending, b = 2: 0.101, 0.207, 0.324, 0.618 for f = 0.1, 0.2, 0.3, 0.5",
        "crashes at any moment, of all nodes, b = 2: 0.11 for f = 0.2, of which 0.10 is the source "
        "before its first round",
    ),
    family="fault tolerance",
    experiments=("infect_and_die", "early_death", "half_the_packets_die"),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Extinction probabilities of the branching process, and the decay over ln q0."""
    return {
        NEVER: 0.0,
        STOPPING: infect_and_die_extinction(4, LOSS),
        CRASHING: crash_extinction(2, CRASH),
        DECAY: 1.0,
        STOPPING_HOSTS: infect_and_die_extinction(4, LOSS),
        CRASHING_HOSTS: CRASH_HOSTS_DIES,
        DECAY_HOSTS: 1.0,
    }


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    arms = dissemination(tables, stand_in.get(PROTOCOL, PROTOCOL))
    findings = assess(arms, lambda arm, infected: died_after(tables, arm, infected))
    missing = {STOPPING_HOSTS, CRASHING_HOSTS, DECAY_HOSTS} - {f.part for f in findings}
    because = "no such runs of push"
    return findings + CLAIM.not_run(*(p for p in CLAIM.parts if p in missing), because=because)


def assess(arms: Sequence[Arm], after: Callable[[Arm, int], Proportion]) -> list[Finding]:
    """The findings on arms; `after` tells who died out of the runs whose source reached so many."""
    never: list[Arm] = []
    findings = []
    for arm in arms:
        c = arm.conditions
        lossy = not c["faults"] and float(c["loss_ratio"]) == LOSS
        part = ""
        if lossy and c["retention"] == "forever":
            never.append(arm)
        elif lossy and c["retention"] == "infect_and_die" and c["fan_out"] == 4:
            part = STOPPING_HOSTS
        elif lossy and c["retention"] == "infect_and_die" and c["fan_out"] == 3:
            findings.append(_decay_on_hosts(arm, {m: after(arm, m) for m in (1, 2)}))
        elif c["faults"] == CRASHES and c["retention"] == "forever" and c["fan_out"] == 2:
            part = CRASHING_HOSTS
        if part:
            unit = "share of runs that die out"
            findings.append(_share(part, arm, died_out(arm), unit, arm.blocks()))
    return [*_never(never), *findings]


def died_out(arm: Arm) -> Proportion:
    reach = arm.healthy["reach"]
    return Proportion(int((reach < SMALL).sum()), len(reach))


def _left_out(arm: Arm) -> Proportion:
    return Proportion(int((arm.healthy["reach"] < 1).sum()), len(arm.healthy))


def _never(arms: Sequence[Arm]) -> list[Finding]:
    """Loss alone: all fan-outs and sizes of one evidence together."""
    found = []
    for evidence in dict.fromkeys(arm.conditions["evidence"] for arm in arms):
        mine = [arm for arm in arms if arm.conditions["evidence"] == evidence]
        shares = [_left_out(arm) for arm in mine]
        share = Proportion(sum(s.successes for s in shares), sum(s.trials for s in shares))
        blocks = tuple(dict.fromkeys(text for arm in mine for text in arm.blocks()))
        finding = _share(NEVER, mine[0], share, "share of runs that left any node out", blocks)
        found.append(replace(finding, runs=sum(arm.runs for arm in mine)))
    return found


def _share(part: str, arm: Arm, share: Proportion, unit: str, blocks: tuple[str, ...]) -> Finding:
    p_support, p_refute = stats.tested(share, CLAIM.parts[part].margin)
    return CLAIM.finding(
        part,
        arm,
        predicted=predict({})[part],
        measured=share,
        unit=unit,
        p_support=p_support,
        p_refute=p_refute,
        blocks=blocks,
    )


def _decay_on_hosts(arm: Arm, shares: Mapping[int, Proportion]) -> Finding:
    """How much less often a multicast dies out that the source has brought to 2 nodes, not 1."""
    step = math.log(infect_and_die_extinction(3, LOSS))
    unit = f"fall of ln(share that dies out) from m = 1 to 2, over ln q0 = {step:.3f}"
    blocks = arm.blocks()
    if any(share.successes == 0 for share in shares.values()):
        blocks = blocks or ("too few runs die out to tell their fall; more repeats",)
    if blocks:
        return CLAIM.finding(DECAY_HOSTS, arm, predicted=1.0, unit=unit, blocks=blocks)
    fall = stats.combine([1.0, -1.0], [_log(shares[2]), _log(shares[1])]).scaled(1 / step)
    p_support, p_refute = stats.tested(fall, CLAIM.parts[DECAY_HOSTS].margin)
    return CLAIM.finding(
        DECAY_HOSTS,
        arm,
        predicted=1.0,
        measured=fall,
        unit=unit,
        p_support=p_support,
        p_refute=p_refute,
        notes=(", ".join(f"m={m}: {s.successes} of {s.trials}" for m, s in shares.items()),),
    )


def died_after(tables: Sequence[RunTables], arm: Arm, infected: int) -> Proportion:
    """Runs that died out of those in which the source itself brought the multicast to so many."""
    died = trials = 0
    for place, rows in arm.healthy.groupby("directory"):
        deliveries = tables[int(str(place))].deliveries
        first = deliveries[deliveries["hop"] == 1].groupby("run")["host"].nunique()
        mine = rows[rows["run"].map(first).fillna(0) == infected]
        died += int((mine["reach"] < SMALL).sum())
        trials += len(mine)
    return Proportion(died, trials)


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
