"""C6: half of the nodes failed is like half the group with half the fan-out.

Crashed from the start, and nobody knows: of the survivors' datagrams every second one goes to a
dead node. That is half the packets lost in a group of half the size, so a little faster than loss
alone.

On hosts half of the agents are killed with SIGKILL before the start; timing is `free`, so the
constants are those of the independent reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines, conditions
from testbed.judging.selection import Arm, dissemination
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.tables import RunTables
from testbed.theory.chain import mean
from testbed.theory.push_chain import push_chain

REACH, HALVED, FASTER = "reach", "half the group", "against loss"
HALVED_FREE, FASTER_FREE = "half the group: free", "against loss: free"
PROTOCOL = "push"
HALF_DEAD = ("kill 0.5 at_round 0", "kill 0.5 at_s 0")
"""How `runs.faults` words half of the nodes killed before the start, the source spared."""
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
            plot="half_the_nodes_die",
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
        HALVED_FREE: Part(
            margin=Interval(0.9, 1.1),
            reason="the reference gives 1.02 at b = 2 over 32..128 nodes; the whole group instead "
            "of half would give 1.2",
            plot="half_the_nodes_die",
        ),
        FASTER_FREE: Part(
            margin=Interval(0.7, 2.5),
            reason="ln 2 / (b q) twice is 1.39 periods at b = 2 in continuous time, at every size; "
            "half of it and more tells it from none",
            plot="half_the_nodes_die",
        ),
    },
    refuted_if="reach: fewer than 95% of the runs reach all survivors; the others: the interval "
    "lies outside its margin",
    evidence=("emulated", "simulated"),
    estimator="share of whole runs; mean T over that of N/2 nodes under 50% loss, geometric mean "
    "over the sizes; difference of mean T to 50% loss at equal N, mean over the sizes",
    expect=(
        "half the group: 1.00 for any b in synchronous rounds",
        "against loss: 3.1 rounds less for b = 1, at every size (ln n becomes ln n/2)",
    ),
    family="fault tolerance",
    experiments=("half_the_nodes_die", "half_the_packets_die"),
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
        HALVED_FREE: 1.0,
        FASTER_FREE: _continuous_gain(fan_out),
    }


def _continuous_gain(fan_out: int) -> float:
    """Periods by which half the group is faster under 50% loss: 2 ln 2 / (b q)."""
    return 2 * math.log(2) / (0.5 * fan_out)


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    arms = [
        arm
        for arm in dissemination(tables, stand_in.get(PROTOCOL, PROTOCOL))
        if arm.conditions["retention"] == "forever" and arm.conditions["timing"] == "free"
    ]
    failed = [arm for arm in arms if arm.conditions["faults"] in HALF_DEAD]
    found = []
    for arm in failed:
        found += assess(arm, halved(arm, arms))
    because = "no run of push with half of the nodes killed before the start"
    return found or CLAIM.not_run(HALVED_FREE, FASTER_FREE, because=because)


def halved(failed: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The arm with half of the packets lost instead, all else being alike, if it is there."""
    alike = replace(failed, conditions={**failed.conditions, "faults": "", "loss_ratio": 0.5})
    return next((arm for arm in arms if arm.matches(alike)), None)


def assess(failed: Arm, lossy: Arm | None) -> list[Finding]:
    """The findings on runs with half of the nodes dead, and on those with half of the packets."""
    blocks = failed.blocks()
    times = failed.healthy["rounds_to_all"].to_numpy(dtype=float)
    whole = stats.Proportion(int(np.isfinite(times).sum()), len(times))
    low, _ = CLAIM.parts[REACH].margin
    found = [
        CLAIM.finding(
            REACH,
            failed,
            predicted=1.0,
            measured=whole,
            unit="share of runs that reach every survivor",
            p_support=whole.p_above(low),
            p_refute=whole.p_below(low),
            blocks=blocks,
        )
    ]
    sizes = [n for n in failed.sizes if lossy and n in lossy.sizes and n // 2 in lossy.sizes]
    if lossy is None or not sizes:
        because = "no runs under 50% loss of as many nodes, and of half as many"
        return found + CLAIM.not_run(HALVED_FREE, FASTER_FREE, because=because)
    blocks += lossy.blocks()
    if not whole.trials or whole.successes < whole.trials:
        blocks += ("a run did not reach every survivor, so its time is infinite",)
    if blocks:
        return found + [
            CLAIM.finding(part, failed, blocks=blocks) for part in (HALVED_FREE, FASTER_FREE)
        ]
    mean = {n: stats.mean(failed.values("rounds_to_all", n)) for n in sizes}
    under_loss = {n: stats.mean(lossy.values("rounds_to_all", n)) for n in lossy.sizes}
    ratios = {n: stats.ratio(mean[n], under_loss[n // 2]) for n in sizes}
    share = 1 / len(sizes)
    pairs = _paired([under_loss[n] for n in sizes], [mean[n] for n in sizes])
    gained = stats.combine([share, -share] * len(sizes), pairs)
    runs = failed.runs + lossy.runs
    return [
        *found,
        _judged(
            HALVED_FREE,
            failed,
            rules.pooled_ratio(list(ratios.values())),
            1.0,
            "mean T over that of N/2 nodes at 50% loss",
            runs,
            ", ".join(f"N={n}: {ratio.value:.2f}" for n, ratio in ratios.items()),
        ),
        _judged(
            FASTER_FREE,
            failed,
            gained,
            _continuous_gain(int(failed.conditions["fan_out"])),
            "periods less than under 50% loss",
            runs,
            ", ".join(f"N={n}: {under_loss[n].value - mean[n].value:.2f}" for n in sizes),
        ),
    ]


def _judged(
    part: str, arm: Arm, measured: Estimate, predicted: float, unit: str, runs: int, note: str
) -> Finding:
    low, high = CLAIM.parts[part].margin
    return CLAIM.finding(
        part,
        arm,
        predicted=predicted,
        measured=measured,
        unit=unit,
        p_support=measured.p_within(low, high),
        p_refute=measured.p_outside(low, high),
        runs=runs,
        notes=(note,),
    )


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
