"""C13: a centralized multicast costs its sender O(N), in messages and in time.

Measured in runs of the protocol on a stream without loss: copies that the source sends, the
acknowledgements that it hears, and by how much one more receiver delays the last one, against the
time that a packet takes at the sender's pace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testbed import metrics
from testbed.judging import rules, selection, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.selection import Arm
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.tables import RunTables

LOAD, IMPLOSION, LATENCY = "load", "implosion", "latency"
PROTOCOL = "centralized"
SIZES, SPAN = 3, 8

CLAIM = Claim(
    id="C13",
    title="a centralized multicast costs the sender O(N)",
    statement=(
        "When the source itself sends to all others, it sends N-1 messages, gets N-1 "
        "acknowledgements, and the last receiver waits for a time in proportion to N."
    ),
    source='lecture, "Centralized"; CLAIMS C13',
    assumptions=(
        "one sender with a finite rate, unicast to each receiver; nothing is lost",
        "the rate is the pace of the protocol (rate_mbit), not that of a link",
    ),
    parts={
        LOAD: Part(
            margin=Interval(0.999, 1.001),
            reason="of N-1 sends a multicast: exact, the margin is for rounding only",
            plot="ack_implosion",
        ),
        IMPLOSION: Part(
            margin=Interval(0.999, 1.001),
            reason="of N-1 acknowledgements that the source hears a multicast: exact as well",
            plot="ack_implosion",
        ),
        LATENCY: Part(
            margin=Interval(0.9, 1.1),
            reason="of the time that the sender takes for a packet, for each receiver more",
            plot="ack_implosion",
        ),
    },
    refuted_if="the sender sends other than N-1 messages or hears other than N-1 answers, "
    "or the slope of the last delivery over N is not the time a packet takes, within 10%",
    evidence=("emulated", "simulated"),
    estimator="sends and acknowledgements of the source over N-1, geometric mean over the sizes; "
    "least-squares slope of the mean time of the last delivery over N",
    expect=("latency: 8 * 136 bytes / 0.5 Mbit/s = 2.2 ms a receiver, whatever the round",),
    family="tree-based multicast",
    experiments=("ack_implosion",),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """All three as ratios."""
    return {LOAD: 1.0, IMPLOSION: 1.0, LATENCY: 1.0}


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    frames = [selection.marked(metrics.per_run(t), t, i) for i, t in enumerate(tables)]
    streams = [f[(f["kind"] == "stream") & (f["loss_ratio"] == 0.0)] for f in frames]
    protocol = stand_in.get(PROTOCOL, PROTOCOL)
    found = [
        finding
        for arm in selection.arms(streams, protocol)
        if arm.options.get("mode") == "ack" and arm.options.get("rate_mbit")
        for finding in assess(arm)
    ]
    because = f"no stream of {protocol} without loss, acknowledged and at a finite rate"
    return found or CLAIM.not_run(*CLAIM.parts, because=because)


def assess(arm: Arm) -> list[Finding]:
    """The three parts on one arm."""
    blocks = arm.blocks()
    if len(arm.sizes) < SIZES or max(arm.sizes) < SPAN * min(arm.sizes):
        blocks += (f"sizes {arm.sizes}: needs {SIZES}, the largest {SPAN} times the smallest",)
    if blocks:
        return [CLAIM.finding(part, arm, blocks=blocks) for part in CLAIM.parts]
    return [
        _ratio(arm, LOAD, "source_data_per_message", "copies the source sends"),
        _ratio(arm, IMPLOSION, "source_heard_control_per_message", "acknowledgements it hears"),
        _slope(arm),
    ]


def _ratio(arm: Arm, part: str, column: str, words: str) -> Finding:
    means = {n: stats.mean(arm.values(column, n)) for n in arm.sizes}
    measured = rules.pooled_ratio([mean.scaled(1 / (n - 1)) for n, mean in means.items()])
    return _held(arm, part, measured, f"{words} a multicast, over N-1", means)


def _slope(arm: Arm) -> Finding:
    """Seconds for each receiver more, over the seconds that a packet takes."""
    rate = float(arm.options["rate_mbit"]) * 1e6
    packet_s = 8 * float(arm.healthy["data_bytes"].mean()) / rate
    round_s = float(arm.healthy["round_s"].iloc[0])
    means = {n: stats.mean(arm.values("t_last", n)).scaled(round_s) for n in arm.sizes}
    slope = stats.slope(arm.sizes, list(means.values())).scaled(1 / packet_s)
    return _held(arm, LATENCY, slope, f"slope of the last delivery, over {packet_s:.3g} s", means)


def _held(
    arm: Arm, part: str, measured: Estimate, unit: str, means: Mapping[int, Estimate]
) -> Finding:
    margin = CLAIM.parts[part].margin
    return CLAIM.finding(
        part,
        arm,
        predicted=1.0,
        measured=measured,
        unit=unit,
        p_support=measured.p_within(*margin),
        p_refute=measured.p_outside(*margin),
        notes=(", ".join(f"N={n}: {mean.value:.4g}" for n, mean in means.items()),),
    )
