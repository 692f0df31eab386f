"""C11: uniform target choice loads the core router in proportion to N.

Counted while every node spreads, by the core router's kernel, both directions together. With two
equal subnets N/2 of the N-1 possible targets lie across the core, so b N^2 / (2 (N-1)) datagrams
cross it per round: b N/2 and a little. For the same reason the log-log slope is 0.979 over 16..256
nodes and not 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.selection import Arm, saturated
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.tables import RunTables
from testbed.theory.uniform_crossings import uniform_crossings, uniform_exponent

PROTOCOL = "push"
TOPOLOGY = "two_subnets"
FORM, CONSTANT = "form", "constant"

CLAIM = Claim(
    id="C11",
    title="uniform choice loads the core router O(N)",
    statement=(
        "When targets are picked at random from the whole group, the packets that cross the core "
        "router in a round grow in proportion to N."
    ),
    source='lecture, "Topology-Aware Gossip": core routers face O(N) load; CLAIMS C11',
    assumptions=(
        "two equal subnets joined by one core router",
        "every node spreads (saturated rounds)",
        "loss comes after the core, on the way into a host",
    ),
    parts={
        FORM: Part(
            margin=Interval(0.9, 1.1),
            reason="N / log N, the nearest law of growth below, has the exponent 0.75 over 16..256 "
            "nodes",
            plot="core_load",
        ),
        CONSTANT: Part(
            margin=Interval(0.97, 1.03),
            reason="contacts to oneself would change the rate by 1/N, so 3% pooled over the sizes "
            "tells the exact formula from its neighbours at the small ones",
            plot="core_load",
        ),
    },
    refuted_if="form: the interval of the exponent lies outside 0.9..1.1; constant: that of the "
    "ratio to the formula, pooled over the sizes, lies outside 0.97..1.03",
    evidence=("emulated", "simulated"),
    estimator="the router's count over rounds and multicasts, as a Poisson rate or by its own "
    "scatter if that is larger; log-log slope over the sizes, unweighted",
    expect=(
        "b N^2 / (2 (N-1)) a round for two equal subnets, whatever the timing: 128.5 at N = 256, b "
        "= 1; b N (1 - 1/m) and a little for m subnets",
        "an exponent of 0.979 over 16..256 nodes, since nobody contacts itself",
        "loss changes nothing: it comes after the core",
    ),
    family="scaling",
    experiments=("core_load",),
    looks=(0.3, 0.6, 1.0),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """The exponent over `sizes` for finite N, and a ratio to the formula of 1."""
    return {FORM: uniform_exponent(conditions["sizes"]), CONSTANT: 1.0}


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    arms = [
        arm
        for arm in saturated(tables, stand_in.get(PROTOCOL, PROTOCOL))
        if arm.conditions["topology"] == TOPOLOGY
    ]
    if not arms:
        return CLAIM.not_run(*CLAIM.parts, because="no saturated run of push on two_subnets")
    return [finding for arm in arms for finding in assess(arm)]


def assess(arm: Arm) -> list[Finding]:
    """The findings on one arm: form and constant."""
    blocks = list(arm.blocks(least=1))
    if len(arm.sizes) < rules.LEAST_SIZES:
        blocks.append(f"sizes {arm.sizes}: needs {rules.LEAST_SIZES} or more")
    if blocks:
        return [CLAIM.finding(part, arm, blocks=tuple(blocks)) for part in CLAIM.parts]
    loads = {n: load(arm, n) for n in arm.sizes}
    formula = {n: expected_load(arm, n) for n in arm.sizes}
    predicted = predict({"sizes": arm.sizes})
    exponent = stats.exponent(list(loads), list(loads.values()))
    rows = arm.healthy
    pooled = stats.rate(
        rows["core_packets"], rows["rounds"] * rows["runs"] * rows["nodes"].map(formula)
    )
    each = ", ".join(f"N={n}: {loads[n].value:.1f}, formula {formula[n]:.1f}" for n in loads)
    return [
        CLAIM.finding(
            part,
            arm,
            predicted=predicted[part],
            measured=measured,
            unit=unit,
            p_support=measured.p_within(*CLAIM.parts[part].margin),
            p_refute=measured.p_outside(*CLAIM.parts[part].margin),
            notes=(each,),
        )
        for part, measured, unit in (
            (FORM, exponent, "exponent of packets per round in N"),
            (CONSTANT, pooled, "packets per round over b N^2 / (2 (N-1))"),
        )
    ]


def load(arm: Arm, nodes: int) -> Estimate:
    """Core packets per round and multicast of one size."""
    rows = arm.healthy[arm.healthy["nodes"] == nodes]
    return stats.rate(rows["core_packets"], rows["rounds"] * rows["runs"])


def expected_load(arm: Arm, nodes: int) -> float:
    return uniform_crossings((nodes - nodes // 2, nodes // 2), int(arm.conditions["fan_out"]))
