"""C16: SRM's random delays and backoff keep requests from coming in a storm.

A storm is what arrives within one delay. Without randomness all G-1 receivers ask at once. A window
of C2 d spreads them, and each backoff doubles it: the peak falls to 1 + (G-1)/(C2 2^i), still in
proportion to G. Suppression cuts the total, not the peak: those that ask within the first delay
could not know. In runs, where the protocol itself asks: with the same losses, switch by switch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from testbed.judging import naks, rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines
from testbed.judging.selection import Arm
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.measures import srm_losses
from testbed.tables import RunTables
from testbed.theory import srm_star

STORM, SPREAD, BACKOFF, SUPPRESSION = "storm", "random delays", "backoff", "suppression"
RUN_STORM, RUN_SPREAD, RUN_SUPPRESSION, RUN_BACKOFF = (
    f"{part}: runs" for part in (STORM, SPREAD, SUPPRESSION, BACKOFF)
)
RUN_DELAY = "delay: runs"
GROUP, C2 = 256, 2.0
BACKOFFS = (0, 1, 2, 3, 4)
RUNS = 400

CLAIM = Claim(
    id="C16",
    title="random delays and exponential backoff avoid NAK storms",
    statement=(
        "When all receivers lose a packet, random request delays lower the most requests within "
        "one network delay by the factor C2, and each backoff halves it again; without randomness "
        "all of them ask at once. The first request comes after C1 + C2/G delays."
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
        RUN_STORM: Part(
            margin=Interval(0.95, 1.05),
            reason="of the G-1 receivers within one delay; half of them with random delays, C2 = 2",
            plot="nak_implosion",
        ),
        RUN_SPREAD: Part(
            margin=Interval(0.9, 1.1),
            reason="of 1 + (G-1)/C2; a loss scatters by 20 to 30%, and a validation has a hundred. "
            "Without random delays it would be 1.4 at 6 nodes and 1.8 at 24",
            plot="nak_implosion",
        ),
        RUN_SUPPRESSION: Part(
            margin=Interval(0.9, 1.1),
            reason="of G-1 over the formula; 1.4 to 1.8 off, were suppression without effect",
            plot="nak_implosion",
        ),
        RUN_DELAY: Part(
            margin=Interval(0.7, 1.3),
            reason="of the C2/G delays that the first request waits beyond C1, the price of the "
            "spread: 0 without random delays, half were timers drawn from half of the window. A "
            "loss scatters by as much as the mean; a timer that is 1 ms late adds 0.05 at 6 nodes "
            "and 0.2 at 24",
        ),
        RUN_BACKOFF: Part(
            margin=Interval(-math.inf, 0.25),
            reason="of the requests without backoff, from the second backoff on: the windows are "
            "4 and 8 times as wide then, and there are fewer of them",
            plot="nak_backoff",
        ),
    },
    refuted_if="the interval of the peak, of its fall, or of the total lies outside its margin",
    evidence=("emulated", "simulated"),
    estimator="runs: means over losses, geometric mean over the sizes; delay: mean over the losses "
    "of all sizes, (delay - C1) G/C2; engine: mean over losses of the most requests in any stretch "
    "of one delay, over the formula; log-log slope of that peak, less 1, over the window",
    expect=(
        "C2 fixed: the peak is O(G); a smaller one needs C2 to grow with G, or more backoffs",
        "suppression off: G-1 requests in all, with the peak about what it was",
    ),
    family="tree-based multicast",
    experiments=("nak_implosion", "nak_backoff"),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """All as ratios to their formulas."""
    return {**dict.fromkeys(CLAIM.parts, 1.0), RUN_BACKOFF: relieved(max(conditions["sizes"]))}


def relieved(group: int, until: float = 60.0) -> float:
    """Requests with backoff over those without, from the second backoff until the repair.

    Windows of C2 2^i from C1 2^i, one after the other, each with 1 + (G-1)/(C2 2^i) requests; the
    window ends at (C1 + C2) 2^i. Without backoff there is a new one every C1 + C2 delays.
    relieved(16) = 0.047
    """
    length, at = 4.0, srm_losses.LATE
    fewer, i = 0.0, 2
    while at < until:
        fewer += srm_star.requests(group, C2 * 2.0**i) * min(1.0, (until - at) / (length * 2**i))
        at += length * 2**i
        i += 1
    return fewer / (srm_star.requests(group, C2) * (until - srm_losses.LATE) / length)


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    arms = naks.lost_by_all(tables, stand_in.get(srm_losses.PROTOCOL, srm_losses.PROTOCOL))
    soon = [arm for arm in arms if not naks.slow(arm)]
    late = [arm for arm in arms if naks.slow(arm)]
    findings = [assess_storm(arm) for arm in soon if naks.plain(arm, but="randomness")]
    findings += [assess_spread(arm) for arm in soon if naks.plain(arm)]
    findings += [assess_delay(arm) for arm in soon if naks.plain(arm)]
    findings += [
        assess_pair(RUN_SUPPRESSION, arm, other)
        for arm in soon
        if naks.plain(arm)
        for other in soon
        if naks.plain(other, but="suppression") and alike(arm, other, "suppression")
    ]
    findings += [
        assess_pair(RUN_BACKOFF, arm, other)
        for arm in late
        if naks.plain(arm)
        for other in late
        if naks.plain(other, but="backoff") and alike(arm, other, "backoff")
    ]
    judged = {finding.part for finding in findings}
    wanted = (RUN_STORM, RUN_SPREAD, RUN_DELAY, RUN_SUPPRESSION, RUN_BACKOFF)
    missing = [part for part in wanted if part not in judged]
    return [*findings, *CLAIM.not_run(*missing, because="no run of srm in which all lost a packet")]


def alike(arm: Arm, other: Arm, but: str) -> bool:
    """Whether two arms differ in that switch alone, and perhaps in the sizes."""
    mine, theirs = ({**each.options, but: None} for each in (arm, other))
    return (mine, arm.conditions, arm.parameters) == (theirs, other.conditions, other.parameters)


def assess_storm(arm: Arm) -> Finding:
    """Without randomness all ask within one delay."""
    ratios = {n: stats.mean(arm.values("peak", n) / (n - 1)) for n in _judged(arm)}
    return _finding(RUN_STORM, arm, ratios, "most requests within one delay, over G-1")


def assess_spread(arm: Arm) -> Finding:
    """With it, a share of 1/C2 and one more."""
    ratios = {
        n: stats.mean(arm.values("peak", n)).scaled(1 / srm_star.requests(n, C2))
        for n in _judged(arm)
    }
    return _finding(RUN_SPREAD, arm, ratios, "most requests within one delay, over 1 + (G-1)/C2")


def assess_delay(arm: Arm) -> Finding:
    """From when its sender notices the loss to the first request, in distances, beyond C1.

    Of the whole delay C1 is most: a C2/G that is half as long would be 4% off.
    """
    c1, c2 = (float(arm.options[name]) for name in ("c1", "c2"))
    beyond = {n: (arm.values("delay", n) - c1) * n / c2 for n in _judged(arm)}
    pooled = stats.mean(np.concatenate(list(beyond.values()))) if beyond else None
    ratios = {n: stats.mean(values) for n, values in beyond.items()}
    return _finding(RUN_DELAY, arm, ratios, "delay beyond C1 over C2/G", pooled=pooled)


def assess_pair(part: str, arm: Arm, other: Arm) -> Finding:
    """What a switch changes: `arm` has it on, `other` off."""
    ratios = {}
    for n in set(_judged(arm)) & set(_judged(other)):
        if part == RUN_SUPPRESSION:
            above, below = other.values("requests", n), arm.values("requests", n)
            formula = srm_star.requests(n, C2) / (n - 1)
        else:
            above, below = arm.values("late", n), other.values("late", n)
            formula = 1.0
        ratios[n] = stats.ratio(stats.mean(above), stats.mean(below)).scaled(formula)
    unit = "requests with backoff over those without, from the second on"
    if part == RUN_SUPPRESSION:
        unit = "requests without suppression over those with it, over the formula"
    return _finding(part, arm, ratios, unit, blocks=other.blocks())


def _judged(arm: Arm) -> list[int]:
    """The sizes of an arm of which there are losses enough; none where it must not be judged."""
    return [] if arm.blocks() else arm.sizes


def _finding(
    part: str,
    arm: Arm,
    ratios: Mapping[int, Estimate],
    unit: str,
    blocks: tuple[str, ...] = (),
    pooled: Estimate | None = None,
) -> Finding:
    """`pooled` is what is judged of the sizes together; None: their geometric mean."""
    blocks = (*arm.blocks(), *blocks)
    if blocks or not ratios:
        return CLAIM.finding(part, arm, blocks=blocks or ("no sizes in common",))
    pooled = _pooled(list(ratios.values())) if pooled is None else pooled
    p_support, p_refute = stats.tested(pooled, CLAIM.parts[part].margin)
    return CLAIM.finding(
        part,
        arm,
        predicted=predict({"sizes": arm.sizes})[part],
        measured=pooled,
        unit=unit,
        p_support=p_support,
        p_refute=p_refute,
        notes=(", ".join(f"G={n}: {ratio.value:.2f}" for n, ratio in sorted(ratios.items())),),
    )


def _pooled(ratios: list[Estimate]) -> Estimate:
    return ratios[0] if len(ratios) == 1 else rules.pooled_ratio(ratios)


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
