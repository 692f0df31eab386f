"""C13: a centralized multicast costs its sender O(N), in messages and in time.

N-1 sends are true by construction. What has to be measured, the sender's time a packet and the
implosion of acknowledgements at it, needs the protocol on hosts with a finite rate; it is not here
yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines
from testbed.judging.stats import Interval
from testbed.judging.verdict import Finding

LOAD, LATENCY = "load", "latency"

CLAIM = Claim(
    id="C13",
    title="a centralized multicast costs the sender O(N)",
    statement=(
        "When the source itself sends to all others, it sends N-1 messages, gets N-1 "
        "acknowledgements, and the last receiver waits for a time in proportion to N."
    ),
    source='lecture, "Centralized"; CLAIMS C13',
    assumptions=("one sender with a finite rate, unicast to each receiver",),
    parts={
        LOAD: Part(
            margin=Interval(0.999, 1.001),
            reason="of N-1 sends a multicast: exact, the margin is for rounding only",
        ),
        LATENCY: Part(
            margin=Interval(0.9, 1.1),
            reason="of N times the time that the sender's link takes for a packet",
        ),
    },
    refuted_if="the sender sends other than N-1 messages; or the slope of the last delivery over N "
    "is not the time a packet takes, within 10%",
    evidence=("emulated",),
    estimator="sends of the source; slope of the last delivery's time over N",
    expect=("latency: 8 payload bytes / rate per receiver, whatever the round",),
    family="tree-based multicast",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """Both as ratios."""
    return {LOAD: 1.0, LATENCY: 1.0}


def model(engines: Engines) -> list[Finding]:
    return CLAIM.skipped(
        because="its protocol, one sender for all on links of finite rate, is not there yet"
    )
