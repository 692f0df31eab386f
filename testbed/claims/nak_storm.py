"""C16: SRM's random delays and backoff keep requests from coming in a storm.

A storm is what arrives within one delay. Without randomness all G-1 receivers ask at once. A window
of C2 d spreads them, and each backoff doubles it: the peak falls to 1 + (G-1)/(C2 2^i), still in
proportion to G. Suppression cuts the total, not the peak: those that ask within the first delay
could not know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.theory import srm_star

STORM, SPREAD, BACKOFF, SUPPRESSION = "storm", "random delays", "backoff", "suppression"
GROUP, C2 = 256, 2.0
BACKOFFS = (0, 1, 2, 3, 4)
RUNS = 400

CLAIM = Claim(
    id="C16",
    title="random delays and exponential backoff avoid NAK storms",
    statement=(
        "When all receivers lose a packet, random request delays lower the most requests within "
        "one network delay by the factor C2, and each backoff halves it again; without randomness "
        "all of them ask at once."
    ),
    source='lecture, "Tree-based Multicast Protocols": random delays and exponential backoff to '
    "avoid NAK storms; Floyd et al. 1997; CLAIMS C16",
    assumptions=(
        "a star of equal delays d in which all lose the packet and notice it together",
        "requests that come with backoff i: no repair has come until then",
    ),
    parts={
        STORM: Part(
            margin=Interval(0.999, 1.001),
            reason="of the G-1 receivers that ask within one delay when C2 = 0",
        ),
        SPREAD: Part(
            margin=Interval(0.95, 1.05),
            reason="of 1 + (G-1)/C2 requests within one delay",
        ),
        BACKOFF: Part(
            margin=Interval(0.9, 1.1),
            reason="the peak, less the first request, falls like 2^-i: exponent 1; linear backoff "
            "would give 0.6 over these",
        ),
        SUPPRESSION: Part(
            margin=Interval(0.95, 1.05),
            reason="of the total without suppression, G-1, over the total with it",
        ),
    },
    refuted_if="the interval of the peak, of its fall, or of the total lies outside its margin",
    evidence=("simulated",),
    estimator="mean over losses of the most requests in any stretch of one delay, over the "
    "formula; log-log slope of that peak, less 1, over the window",
    expect=(
        "C2 fixed: the peak is O(G); a smaller one needs C2 to grow with G, or more backoffs",
        "suppression off: G-1 requests in all, with the peak about what it was",
    ),
    family="tree-based multicast",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """All as ratios to their formulas."""
    return {STORM: 1.0, SPREAD: 1.0, BACKOFF: 1.0, SUPPRESSION: 1.0}


def model(engines: Engines) -> list[Finding]:
    receivers = GROUP - 1
    peaks = {
        i: stats.mean(engines.star(RUNS, group=GROUP, c2=C2, backoff=i).peak) for i in BACKOFFS
    }
    together = engines.star(RUNS, group=GROUP, c2=0.0, suppression=False).peak
    formula = [srm_star.requests(GROUP, C2 * 2.0**i) for i in BACKOFFS]
    ratios = [p.scaled(1 / f) for p, f in zip(peaks.values(), formula, strict=True)]
    above = [Estimate(p.value - 1, p.se, p.df) for p in peaks.values()]
    fall = stats.slope([i * math.log(2) for i in BACKOFFS], [stats.log(p) for p in above])
    alone = stats.mean(engines.star(RUNS, group=GROUP, c2=C2, suppression=False).sent)
    suppressed = stats.mean(engines.star(RUNS, group=GROUP, c2=C2).sent)
    cut = stats.ratio(alone, suppressed).scaled(srm_star.requests(GROUP, C2) / receivers)
    stated = {"protocol": "srm", "topology": "star", "c2": C2, "sizes": [GROUP]}
    words = ", ".join(f"i={i}: {p.value:.1f}" for i, p in peaks.items())
    measured = {
        STORM: (stats.mean(together).scaled(1 / receivers), "peak over G-1, without randomness"),
        SPREAD: (rules.pooled_ratio(ratios), "peak over 1 + (G-1)/(C2 2^i)"),
        BACKOFF: (fall.scaled(-1.0), "exponent of the peak's fall in the window"),
        SUPPRESSION: (cut, "requests without suppression over those with it, over the formula"),
    }
    return [
        CLAIM.modelled(
            part,
            stated,
            value,
            predicted=1.0,
            unit=unit,
            runs=engines.runs(RUNS),
            notes=(f"peak of {receivers} receivers: {words}",) if part == BACKOFF else (),
        )
        for part, (value, unit) in measured.items()
    ]
