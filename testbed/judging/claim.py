"""What a claim file registers before the first run: the claim, its parts and their margins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from testbed.judging.selection import Arm
from testbed.judging.stats import Estimate, Interval, Proportion, tested
from testbed.judging.verdict import SUPPORTED, Finding


@dataclass(frozen=True)
class Part:
    """One line of the verdict table: the *form* (order of growth), a *constant*, or a *check*."""

    margin: Interval
    """Between these bounds the part holds, in the unit that it is measured in."""
    reason: str
    """Why the margin is what it is."""
    plot: str = ""
    """Name of the plot that shows it, where there is one."""
    expected: str = SUPPORTED
    check: bool = False
    """A cross-check of agents and network: it guards the claim, and is none itself."""


@dataclass(frozen=True)
class Claim:
    """A registered claim; `id` is its number in the list of claims, such as C1."""

    id: str
    title: str
    statement: str
    source: str
    assumptions: tuple[str, ...]
    parts: Mapping[str, Part]
    refuted_if: str
    evidence: tuple[str, ...]
    """What it takes: emulated (runs of a network), simulated (runs of the event engine, or samples
    of `testbed.judging.engines`), computed (exact from a model), arithmetic."""
    estimator: str
    """What is measured, and how its interval is found."""
    expect: tuple[str, ...]
    """What theory expects under which conditions: the right answer depends on them."""
    family: str
    """The claims that share one error rate; see docs/decisions.md."""
    experiments: tuple[str, ...] = ()
    """The shipped experiments whose runs it is judged from; each says which variants run it."""
    simulated: Mapping[str, int] = field(default_factory=dict)
    """Those of them that are simulated as well, and how many runs for each on hosts."""

    looks: tuple[float, ...] = (1.0,)
    """Shares of the runs of a full validation after which it is judged, and over if that decides
    its family; the same for all claims of a family, see `testbed.judging.looks`."""

    @property
    def tests(self) -> int:
        """Parts that belong to the family which Holm's procedure runs over."""
        return sum(not part.check for part in self.parts.values())

    def finding(self, part: str, arm: Arm | None = None, **measured: Any) -> Finding:
        """A finding on one part, with what is registered of it and what the arm tells."""
        registered = self.parts[part]
        frame: dict[str, Any] = {"margin": registered.margin}
        if arm is not None:
            frame |= {
                "conditions": {
                    "protocol": arm.protocol,
                    **arm.conditions,
                    "options": arm.options,
                    "sizes": arm.sizes,
                },
                "runs": arm.runs,
                "voided": arm.voided,
                "evidence": arm.conditions["evidence"],
            }
        return Finding(
            claim=self.id,
            part=part,
            statement=self.statement,
            source=self.source,
            expected=registered.expected,
            check=registered.check,
            plot=registered.plot,
            **(frame | measured),
        )

    def modelled(
        self,
        part: str,
        conditions: Mapping[str, Any],
        measured: Estimate | Proportion,
        *,
        predicted: float,
        runs: int = 0,
        evidence: str = "simulated",
        **more: Any,
    ) -> Finding:
        """A finding from samples of an engine, held to the margin that the part registers."""
        p_support, p_refute = tested(measured, self.parts[part].margin)
        found: dict[str, Any] = {
            "conditions": {**conditions, "evidence": evidence},
            "measured": measured,
            "predicted": predicted,
            "p_support": p_support,
            "p_refute": p_refute,
            "runs": runs,
            "evidence": evidence,
        }
        return self.finding(part, **(found | more))

    def skipped(self, *parts: str, because: str) -> list[Finding]:
        """Findings for parts that are left alone, for a reason; without parts, one for all."""
        found = [self.finding(part, skipped=because) for part in parts or list(self.parts)[:1]]
        return found if parts else [replace(found[0], part="all", plot="", margin=None)]

    def not_run(self, *parts: str, because: str) -> list[Finding]:
        """Findings for parts of which there is no run to judge."""
        return [self.finding(part, blocks=(f"not run: {because}",)) for part in parts]
