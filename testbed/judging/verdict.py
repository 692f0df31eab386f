"""From what was measured to a verdict: the rules that all claims share.

A claim's `judge` returns *findings*: an estimate, p for support and p for refutation, and reasons
that stand in the way. `settle` turns the findings of all claims into verdicts at once, since the
level that each is held to depends on the others: Holm's procedure runs over the registered family
of the claim, whatever part of it was run, once for support and once for refutation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from testbed.judging import stats

ALPHA = 0.05
"""Family-wise error rate of wrong support, and again of wrong refutation."""

SUPPORTED, REFUTED, INCONCLUSIVE = "supported", "refuted", "inconclusive"
NOT_RUN = "not run"
"""Of a claim that nothing was done to judge, with the reason: neither a verdict nor a failure."""

VERIFIED = "verified (model)"
"""The best that simulated evidence can give: agreement with the theory it was built from."""
MODELLED = ("simulated", "computed")
"""Evidence from a model: its samples, or what follows from it exactly. Arithmetic is none."""


@dataclass(frozen=True)
class Finding:
    """One part of a claim, measured under one set of conditions, not yet held to a level."""

    claim: str
    part: str
    statement: str
    source: str
    expected: str
    conditions: Mapping[str, Any] = field(default_factory=dict)
    predicted: float | stats.Interval = math.nan
    measured: stats.Measured | None = None
    unit: str = ""
    margin: stats.Interval | None = None
    """Between these bounds the claim holds; an infinite bound makes it one-sided."""
    p_support: float = 1.0
    p_refute: float = 1.0
    skipped: str = ""
    """Why nothing was done to judge it."""
    blocks: tuple[str, ...] = ()
    """Reasons against any verdict: the run is unfit to be judged."""
    doubts: tuple[str, ...] = ()
    """Reasons against support alone: a condition of the claim that is no test."""
    refutation: str = ""
    """What refutes the claim, when it is not the measured number alone."""
    notes: tuple[str, ...] = ()
    runs: int = 0
    voided: int = 0
    evidence: str = "emulated"
    check: bool = False
    """A cross-check of the testbed: no claim, not in the family, never `refuted`."""
    plot: str = ""
    details: tuple[Mapping[str, Any], ...] = ()
    """What the number is made of, a row each, for a table of the claim's own."""


@dataclass(frozen=True)
class Verdict:
    """One row of the table: a part of a claim under its conditions. JSON-able by `row`."""

    claim: str
    part: str
    conditions: Mapping[str, Any]
    statement: str
    source: str
    predicted: float | stats.Interval
    measured: float
    low: float
    high: float
    level: float
    """Of the interval low..high, adjusted for the family: 1 - 2 alpha of a one-sided test."""
    margin: stats.Interval | None
    p: float
    """Holm-adjusted p of support, to be compared with `ALPHA`."""
    p_refute: float
    unit: str
    runs: int
    voided: int
    evidence: str
    verdict: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    expected: str
    check: bool
    plot: str
    details: tuple[Mapping[str, Any], ...] = ()

    def row(self) -> dict[str, Any]:
        """Plain values, with None for what is not a finite number."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def settle(
    findings: Sequence[Finding],
    registered: Mapping[str, int],
    families: Mapping[str, str] | None = None,
    alphas: Mapping[str, float] | None = None,
) -> list[Verdict]:
    """Holds each finding to its level and words the verdict.

    `registered` counts the parts of every registered claim, checks left out. `families` names the
    family of a claim; claims that it does not name are one family. A claim that was run under
    several sets of conditions adds its further findings to its family. `alphas` are the error
    rates of families that have another one, since they were looked at before.
    """
    of = families or {}
    steps: dict[int, tuple[stats.Step, stats.Step]] = {}
    for family in dict.fromkeys(of.get(f.claim, "") for f in findings):
        members = [f for f in findings if of.get(f.claim, "") == family and not f.check]
        parts = {claim: n for claim, n in registered.items() if of.get(claim, "") == family}
        steps |= _steps(members, parts, (alphas or {}).get(family, ALPHA))
    return [_verdict(f, *steps.get(id(f), _alone(f))) for f in findings]


def _steps(
    tests: Sequence[Finding], registered: Mapping[str, int], alpha: float
) -> dict[int, tuple[stats.Step, stats.Step]]:
    """What Holm's procedure makes of the tests of one family, by the finding's id."""
    counts = {claim: sum(f.claim == claim for f in tests) for claim in {f.claim for f in tests}}
    family = sum(max(parts, counts.get(claim, 0)) for claim, parts in registered.items())
    family += sum(count for claim, count in counts.items() if claim not in registered)
    support = stats.holm([f.p_support for f in tests], family, alpha)
    refute = stats.holm([f.p_refute for f in tests], family, alpha)
    return dict(zip(map(id, tests), zip(support, refute, strict=True), strict=True))


def _alone(finding: Finding) -> tuple[stats.Step, stats.Step]:
    """A cross-check is held to the plain level: it guards the claim and is none itself."""
    support, refute = finding.p_support, finding.p_refute
    return (
        stats.Step(ALPHA, support, support <= ALPHA),
        stats.Step(ALPHA, refute, refute <= ALPHA),
    )


def _verdict(finding: Finding, support: stats.Step, refute: stats.Step) -> Verdict:
    word, reasons = _word(finding, support, refute)
    step = refute if word == REFUTED else support
    level = 1 - 2 * step.alpha
    measured = finding.measured
    low, high = measured.interval(level) if measured else stats.Interval(math.nan, math.nan)
    return Verdict(
        claim=finding.claim,
        part=finding.part,
        conditions=dict(finding.conditions),
        statement=finding.statement,
        source=finding.source,
        predicted=finding.predicted,
        measured=measured.value if measured else math.nan,
        low=low,
        high=high,
        level=level,
        margin=finding.margin,
        p=support.p,
        p_refute=refute.p,
        unit=finding.unit,
        runs=finding.runs,
        voided=finding.voided,
        evidence=finding.evidence,
        verdict=word,
        reasons=reasons,
        notes=finding.notes,
        expected=finding.expected,
        check=finding.check,
        plot=finding.plot,
        details=finding.details,
    )


def _word(finding: Finding, support: stats.Step, refute: stats.Step) -> tuple[str, tuple[str, ...]]:
    if finding.skipped:
        return NOT_RUN, (f"not run: {finding.skipped}",)
    if finding.blocks:
        return INCONCLUSIVE, finding.blocks
    if refute.rejected and not finding.check:
        what = finding.refutation or f"not {_bounds(finding.margin)}"
        return REFUTED, (f"{what}; p = {refute.p:.2g}",)
    if refute.rejected:
        what = finding.refutation or f"not {_bounds(finding.margin)}"
        return INCONCLUSIVE, (
            f"{what}: the agents or the network do not do what this check models, so they cannot "
            "support the claim",
        )
    if not support.rejected:
        return INCONCLUSIVE, (
            f"not shown to be {_bounds(finding.margin)}, p = {support.p:.2g}; "
            "more repeats narrow the interval",
            *finding.doubts,
        )
    if finding.doubts:
        return INCONCLUSIVE, finding.doubts
    return (VERIFIED if finding.evidence in MODELLED else SUPPORTED), ()


def _bounds(margin: stats.Interval | None) -> str:
    if margin is None:
        return "within its margin"
    if math.isinf(margin.low):
        return f"below {margin.high:g}"
    if math.isinf(margin.high):
        return f"above {margin.low:g}"
    return f"within {margin.low:.4g}..{margin.high:.4g}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value
