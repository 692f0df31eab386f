"""Decision rules that several claims use: logarithmic growth, and agreement with an oracle.

The rules and their bounds are those of the registered claims; a claim file words them and says why
its margins are what they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from testbed.judging import growth, stats
from testbed.judging.selection import Arm
from testbed.simulator import reference

COMPLETE = 0.95
"""Share of the runs that must reach every node; one in twenty may be what a voided run is."""

EXPONENT_SUPPORTS, EXPONENT_REFUTES = 0.4, 0.5
"""A power law through log N has the exponent 0.25..0.35 at feasible sizes; sqrt N has 0.5."""

DELTA_AIC = 10.0
"""By which log N must beat sqrt N; 10 leaves the loser "essentially no support" [Burnham &
Anderson 2002, 2.6]."""

LEAST_SIZES, LEAST_SPAN = 5, 16
"""Sizes, and largest over smallest: on less than four doublings log N and sqrt N look alike."""


_FASTER = f"T grows faster than sqrt N: its exponent is above {EXPONENT_REFUTES:g}"


@dataclass(frozen=True)
class LogGrowth:
    """What the runs of an arm say about T = O(log N)."""

    exponent: stats.Estimate | None
    """Log-log slope of the mean time over the sizes; None when too few runs reached everyone."""
    complete: stats.Proportion
    p_support: float
    p_refute: float
    blocks: tuple[str, ...]
    doubts: tuple[str, ...]
    refutation: str
    notes: tuple[str, ...]

    def report(self, predicted: float) -> dict[str, Any]:
        """The fields of a finding: the exponent, or the share of whole runs when there is none."""
        shown: dict[str, Any] = {
            "predicted": predicted,
            "measured": self.exponent,
            "unit": "exponent of T in N",
        }
        if self.exponent is None and self.complete.trials:
            shown = {
                "predicted": 1.0,
                "measured": self.complete,
                "unit": "share of runs that reach every node",
                "margin": stats.Interval(COMPLETE, math.inf),
            }
        return shown | {
            "p_support": self.p_support,
            "p_refute": self.p_refute,
            "blocks": self.blocks,
            "doubts": self.doubts,
            "refutation": self.refutation,
            "notes": self.notes,
        }


def log_growth(arm: Arm) -> LogGrowth:
    """Judges the growth of `rounds_to_all`.

    Supported: more than `COMPLETE` of the runs reach everyone, the exponent is below
    `EXPONENT_SUPPORTS`, and log N beats sqrt N by `DELTA_AIC`. Refuted: fewer reach everyone, or
    the exponent is above `EXPONENT_REFUTES`.
    """
    times = {n: arm.values("rounds_to_all", n) for n in arm.sizes}
    finished = {n: t[np.isfinite(t)] for n, t in times.items()}
    complete = stats.Proportion(
        sum(map(len, finished.values())), sum(len(t) for t in times.values())
    )
    notes = [f"{complete.successes} of {complete.trials} runs reached every node"]
    blocks = list(arm.blocks())
    if len(times) < LEAST_SIZES or max(times) < LEAST_SPAN * min(times):
        blocks.append(
            f"sizes {arm.sizes}: needs {LEAST_SIZES} or more, the largest {LEAST_SPAN} times the "
            "smallest"
        )
    if blocks or any(len(t) < 2 for t in finished.values()):
        measured, doubts = None, ["too few runs reached every node to fit their times"]
        p_exponent = (1.0, 1.0)
    else:
        means = {n: stats.mean(t) for n, t in finished.items()}
        measured = stats.exponent(list(means), list(means.values()))
        doubts, fitted = _compare_laws(means)
        notes += fitted
        p_exponent = (measured.p_below(EXPONENT_SUPPORTS), measured.p_above(EXPONENT_REFUTES))
    p_complete = (complete.p_above(COMPLETE), complete.p_below(COMPLETE))
    incomplete = p_complete[1] <= p_exponent[1]
    return LogGrowth(
        exponent=measured,
        complete=complete,
        p_support=max(p_complete[0], p_exponent[0]),
        p_refute=min(1.0, 2 * min(p_complete[1], p_exponent[1])),
        blocks=tuple(blocks),
        doubts=tuple(doubts),
        refutation=f"T is infinite: only {notes[0]}" if incomplete else _FASTER,
        notes=tuple(notes),
    )


def _compare_laws(means: Mapping[int, stats.Estimate]) -> tuple[list[str], list[str]]:
    """Doubts and notes on which law of growth the mean times follow."""
    laws = growth.fit(list(means), list(means.values()))
    lead = laws["sqrt N"].aic - laws["log N"].aic
    best = sorted(laws.values(), key=lambda f: f.aic)[:3]
    notes = [
        f"log N beats sqrt N by dAIC {lead:.0f}",
        "weights: " + ", ".join(f"{f.law} {f.weight:.2f}" for f in best),
        _extrapolation(means),
    ]
    doubts = [f"log N beats sqrt N by dAIC {lead:.1f} only, not {DELTA_AIC:g}; more repeats decide"]
    return (doubts if lead <= DELTA_AIC else []), notes


def _extrapolation(means: Mapping[int, stats.Estimate], up_to: int = 64) -> str:
    """Fits a + b ln N to the small sizes and words how the largest comes out."""
    small, largest = [n for n in means if n <= up_to], max(means)
    if len(small) < 3 or largest <= up_to:
        return "no sizes to extrapolate between"
    law = growth.fit(small, [means[n] for n in small])["log N"]
    predicted = float(law.predict(np.array([float(largest)]))[0])
    return (
        f"log N fitted up to N={up_to} gives {predicted:.2f} at N={largest}, measured "
        f"{means[largest].value:.2f} +- {1.96 * means[largest].se:.2f}"
    )


def reference_runs(nodes: int) -> int:
    """Reference epidemics drawn for a size: their error of the mean stays under 1%."""
    return int(np.clip(100_000 // nodes, 200, 1000))


def has_reference(arm: Arm) -> bool:
    """Whether the independent reference models an arm: push that goes on, failing links at most."""
    c = arm.conditions
    free = c["timing"] == "free" and c["retention"] == "forever" and not c["faults"]
    return bool(arm.protocol in ("push", "topology_aware") and free and c["loss_ratio"] < 1)


def reference_sample(
    nodes: int, conditions: Mapping[str, Any], *, topology_aware: bool
) -> reference.Sample:
    """Epidemics that the independent reference draws under an arm's conditions."""
    return reference.sample(
        nodes,
        int(conditions["fan_out"]),
        runs=reference_runs(nodes),
        topology_aware=topology_aware,
        subnets=int(conditions["subnets"]),
        replacement=bool(conditions["replacement"]),
        loss_ratio=float(conditions["loss_ratio"]),
    )


def pooled_ratio(ratios: Sequence[stats.Estimate]) -> stats.Estimate:
    """The geometric mean of independent positive ratios, each size weighing the same."""
    middle = stats.combine([1 / len(ratios)] * len(ratios), [stats.log(r) for r in ratios])
    value = math.exp(middle.value)
    return stats.Estimate(value, value * middle.se, middle.df)


def against_oracle(
    arm: Arm, column: str, oracle: Callable[[int], stats.Estimate]
) -> dict[int, stats.Estimate]:
    """Measured mean over predicted mean, for each size in which runs finished."""
    ratios = {}
    for nodes in arm.sizes:
        values = arm.values(column, nodes)
        values = values[np.isfinite(values)]
        if len(values) >= 2 and values.mean() > 0:
            measured, predicted = stats.log(stats.mean(values)), stats.log(oracle(nodes))
            ratios[nodes] = _exp(stats.combine([1.0, -1.0], [measured, predicted]))
    return ratios


def _exp(estimate: stats.Estimate) -> stats.Estimate:
    value = math.exp(estimate.value)
    return stats.Estimate(value, value * estimate.se, estimate.df)
