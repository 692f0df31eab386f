"""C12: topology-aware choice loads the core router O(1) per round, and still takes O(log N) time.

Load: with every node of two subnets spreading, 2b datagrams cross the core per round at any size.
O(1) is a claim of equivalence: the rate must lie within 10% of 2b at *every* size. "No significant
slope" would be no evidence, and a margin on the slope would let log N pass.

Time: the multicast spreads through one subnet, waits for a datagram to cross, and spreads through
the other, so T grows like log N with a larger factor than under uniform choice. The factor tends to
1.5 in `free` timing (3/b against 2/b per ln N) and to 1.6 in synchronous rounds, but slowly: at
8..256 nodes it is 1.1..1.3. So T over T of uniform choice is held against what the reference draws
at the same sizes, not against the limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from testbed.claims import uniform_core_load
from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.selection import Arm, dissemination, saturated
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.tables import RunTables
from testbed.theory.topology_aware_crossings import topology_aware_crossings

PROTOCOL, UNIFORM = "topology_aware", "push"
TOPOLOGY = "two_subnets"
LOAD, TIME, SLOWDOWN = "load: constant", "time: form", "time: constant"

SLOWDOWN_FROM = 16
"""Smallest size of the slowdown: in two subnets of four the two phases are one."""

CLAIM = Claim(
    id="C12",
    title="topology-aware choice: core load O(1) a round, time O(log N)",
    statement=(
        "When a node in a subnet of n_i members picks each target inside it with probability "
        "1 - 1/n_i, the packets that cross the core router in a round do not depend on N, and all "
        "nodes still have the multicast after a number of rounds that grows like log N."
    ),
    source='lecture, "Topology-Aware Gossip": router load = O(1), dissemination time = '
    "O(log(N)); CLAIMS C12",
    assumptions=(
        "two equal subnets joined by one core router",
        "load: every node spreads (saturated rounds); per round, not per dissemination",
        "time: nodes spread for as long as it takes (retention forever)",
    ),
    parts={
        LOAD: Part(
            margin=Interval(0.9, 1.1),
            reason="of 2b, at every size: a load that grew like log N would double from 16 to 256 "
            "nodes",
            plot="core_load",
        ),
        TIME: Part(
            margin=Interval(-math.inf, rules.EXPONENT_SUPPORTS),
            reason="as C1; the reference gives 0.34 over 8..256 nodes",
            plot="dissemination_time",
        ),
        SLOWDOWN: Part(
            margin=Interval(0.9, 1.1),
            reason="of the slowdown that the reference draws, 1.2 over 16..256 nodes: choosing "
            "uniformly (1.0) lies outside",
            plot="dissemination_time",
        ),
    },
    refuted_if="load: at some size the interval of packets per round lies outside 10% of 2b; "
    "time, form: as C1; time, constant: the slowdown's interval lies outside 10% of the "
    "reference's",
    evidence=("emulated", "simulated"),
    estimator="load: as C11, the worst size; time: as C1; slowdown: the geometric mean over the "
    "sizes of mean T over that of uniform choice",
    expect=(
        "load: 2b a round for two subnets, m b for m subnets, at any size and timing; the worst of "
        "five sizes that err by 2% each is 3% to 4% off by chance alone, either way",
        "time: 2/ln(1+b) + 1/b per ln N in synchronous rounds, 3/b in free timing, for a fixed "
        "number of subnets",
        "slowdown, free, b = 2: 1.08 at 8 nodes, 1.27 at 256, towards 1.5",
    ),
    family="scaling",
    experiments=("core_load", "latency"),
    looks=(0.3, 0.6, 1.0),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Packets per round, and over `sizes` the exponent of T and the slowdown, by the reference."""
    sizes = conditions["sizes"]
    load = core_packets(int(conditions["fan_out"]))
    if conditions["timing"] != "free":  # the reference draws no other
        return {LOAD: load, TIME: math.nan, SLOWDOWN: math.nan}
    aware = {n: _reference_time(n, conditions, True) for n in sizes}
    larger = [n for n in sizes if n >= SLOWDOWN_FROM]
    ratios = [_ratio(aware[n], _reference_time(n, conditions, False)) for n in larger]
    return {
        LOAD: load,
        TIME: stats.exponent(sizes, list(aware.values())).value,
        SLOWDOWN: rules.pooled_ratio(ratios).value if ratios else math.nan,
    }


def core_packets(fan_out: int) -> float:
    """2b, whatever the size of the two subnets."""
    return topology_aware_crossings((1, 1), fan_out)


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    aware, uniform = (stand_in.get(name, name) for name in (PROTOCOL, UNIFORM))
    loads = [a for a in saturated(tables, aware) if a.conditions["topology"] == TOPOLOGY]
    spread = [a for a in dissemination(tables, aware) if _spreads(a)]
    baselines = [a for a in dissemination(tables, uniform) if _spreads(a)]
    findings = [assess_load(arm) for arm in loads]
    if not loads:
        missing = "no saturated run of topology_aware on two_subnets"
        findings += CLAIM.not_run(LOAD, because=missing)
    for arm in spread:
        pair = next((b for b in baselines if b.matches(arm)), None)
        findings += [assess_time(arm), assess_slowdown(arm, pair)]
    if not spread:
        missing = "no run of topology_aware on two_subnets that spreads for ever"
        findings += CLAIM.not_run(TIME, SLOWDOWN, because=missing)
    return findings


def _around(part: str, predicted: float) -> Interval:
    """A part's margin about a prediction, in the prediction's unit."""
    low, high = CLAIM.parts[part].margin
    return Interval(low * predicted, high * predicted)


def _spreads(arm: Arm) -> bool:
    return bool(arm.conditions["topology"] == TOPOLOGY and arm.conditions["retention"] == "forever")


def assess_load(arm: Arm) -> Finding:
    """Core packets per round within the margin of 2b at every size (intersection-union)."""
    blocks = list(arm.blocks(least=1))
    if len(arm.sizes) < rules.LEAST_SIZES or max(arm.sizes) < rules.LEAST_SPAN * min(arm.sizes):
        blocks.append(
            f"sizes {arm.sizes}: needs {rules.LEAST_SIZES} or more, the largest "
            f"{rules.LEAST_SPAN} times the smallest"
        )
    if blocks:
        return CLAIM.finding(LOAD, arm, blocks=tuple(blocks))
    predicted = core_packets(int(arm.conditions["fan_out"]))
    margin = _around(LOAD, predicted)
    loads = {n: uniform_core_load.load(arm, n) for n in arm.sizes}
    worst = max(loads, key=lambda n: abs(loads[n].value - predicted))
    rows = arm.healthy
    pooled = stats.rate(rows["core_packets"], rows["rounds"] * rows["runs"]).scaled(1 / predicted)
    outside = min(load.p_outside(*margin) for load in loads.values())
    return CLAIM.finding(
        LOAD,
        arm,
        predicted=predicted,
        measured=loads[worst],
        unit=f"core packets per round (the worst size, N={worst})",
        margin=margin,
        p_support=max(load.p_within(*margin) for load in loads.values()),
        p_refute=min(1.0, len(loads) * outside),
        notes=(
            ", ".join(f"N={n}: {load.value:.2f}" for n, load in loads.items()),
            f"all sizes together: {pooled.value:.3f} +- {1.96 * pooled.se:.3f} of 2b",
        ),
    )


def assess_time(arm: Arm) -> Finding:
    """The dissemination time grows like log N, by the rule of C1."""
    predicted = predict({**arm.conditions, "sizes": arm.sizes})[TIME]
    return CLAIM.finding(TIME, arm, **rules.log_growth(arm).report(predicted))


def assess_slowdown(arm: Arm, baseline: Arm | None) -> Finding:
    """T over T of uniform choice, pooled over the sizes, against the reference's."""
    if baseline is None:
        return CLAIM.finding(
            SLOWDOWN, arm, blocks=("not run: no runs of push under the same conditions",)
        )
    if arm.conditions["timing"] != "free":
        return CLAIM.finding(SLOWDOWN, arm, blocks=("the reference draws free timing only",))
    sizes = [n for n in arm.sizes if n >= SLOWDOWN_FROM and n in baseline.sizes]
    blocks = (*arm.blocks(), *baseline.blocks())
    pairs = {n: (_finite(arm, n), _finite(baseline, n)) for n in sizes}
    if not pairs or any(len(x) < 2 for pair in pairs.values() for x in pair):
        blocks = blocks or ("too few runs reached every node",)
    if blocks:
        return CLAIM.finding(SLOWDOWN, arm, blocks=blocks)
    ratios = {n: _ratio(stats.mean(a), stats.mean(b)) for n, (a, b) in pairs.items()}
    pooled = rules.pooled_ratio(list(ratios.values()))
    predicted = predict({**arm.conditions, "sizes": sizes})[SLOWDOWN]
    margin = _around(SLOWDOWN, predicted)
    return CLAIM.finding(
        SLOWDOWN,
        arm,
        predicted=predicted,
        measured=pooled,
        unit=f"T over T of {baseline.protocol}, N={sizes[0]}..{sizes[-1]}",
        margin=margin,
        p_support=pooled.p_within(*margin),
        p_refute=pooled.p_outside(*margin),
        notes=(", ".join(f"N={n}: {r.value:.2f}" for n, r in ratios.items()),),
    )


def _finite(arm: Arm, nodes: int) -> list[float]:
    return [t for t in arm.values("rounds_to_all", nodes) if math.isfinite(t)]


def _ratio(above: Estimate, below: Estimate) -> Estimate:
    log = stats.combine([1.0, -1.0], [stats.log(above), stats.log(below)])
    return Estimate(math.exp(log.value), math.exp(log.value) * log.se, log.df)


def _reference_time(nodes: int, conditions: Mapping[str, Any], aware: bool) -> Estimate:
    drawn = rules.reference_sample(nodes, conditions, topology_aware=aware)
    return stats.mean(drawn.rounds_to_all)
