"""pbcast: Bimodal Multicast reaches almost none or almost all, as often as its exact law says.

Birman et al. draw how many nodes a multicast reaches: a first copy that is lost next to its source
reaches a few by gossip, any other nearly all, and what lies in between is rare. With rounds in step
the number reached has an exact law (`testbed.theory.pbcast`), so two questions are asked of runs:

- *in between*: how often is it neither? That is the claim, and a bound on a proportion.
- *distribution*: a check of agents and network. They fail it when a G-test of all counts rejects
  the law in some cell (Bonferroni over cells). "Not shown to differ" would be no evidence, so the
  mean number reached must lie within its margin of the law's, too (two one-sided tests).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from testbed.judging import rules, stats
from testbed.judging.bimodal import PROTOCOL, Floats, Histogram, histograms
from testbed.judging.claim import Claim, Part
from testbed.judging.selection import Arm, marked
from testbed.judging.stats import Interval, Proportion
from testbed.judging.verdict import ALPHA, Finding
from testbed.tables import RunTables
from testbed.theory import pbcast

BETWEEN, DISTRIBUTION = "in between", "distribution"
FEW, MOST = 0.25, 0.75
"""Shares of the nodes, ends included, between which is neither almost none nor almost all."""
ROUNDS, LOSS = (1, 3), 0.1
"""Of the experiment: rounds of gossip, and loss next to the source."""

CLAIM = Claim(
    id="pbcast",
    title="Bimodal Multicast reaches almost none or almost all",
    statement=(
        "A multicast of pbcast reaches almost none of the nodes, when its first copy is lost next "
        "to its source, or almost all of them; how many is distributed as an exact recurrence says."
    ),
    source="Birman et al., ACM TOCS 17(2), 1999; G-test [Sokal & Rohlf 1981]; two one-sided tests "
    "[Schuirmann 1987]",
    assumptions=(
        "rounds in step, a multicast's age counted from its origin's round, no limit of "
        "retransmission",
        "each datagram lost with 10% next to its sender, where a first copy is lost for all, and "
        "with 10% at its receiver",
        "a multicast is kept for 1 or 3 rounds: few, so that gossip leaves gaps to count",
    ),
    parts={
        BETWEEN: Part(
            margin=Interval(-np.inf, 0.01),
            reason="of the multicasts reach a quarter to three quarters of the nodes; the law says "
            "0.06% for 1 and 3 rounds at 32 nodes, and 17% for four rounds of gossip alone",
            plot="pbcast_histogram",
        ),
        DISTRIBUTION: Part(
            margin=Interval(0.95, 1.05),
            reason="of the law's mean: its sampling error over 600 runs a cell is 0.9%; without "
            "the loss next to the sender it would be 1.1",
            plot="pbcast_histogram",
            check=True,
        ),
    },
    refuted_if="in between: the interval of the share lies above 1%; the distribution is a check, "
    "and fails when the G-test rejects in some cell, at 5% over all cells",
    evidence=("emulated",),
    estimator="share of the multicasts that reach 25% to 75% of the nodes, Clopper-Pearson; G-test "
    "of all counts a cell; mean number reached over the law's, geometric mean over cells",
    expect=(
        "two modes: 10% of the multicasts reach one node or a few, 90% nearly all",
        "with the default of 10 rounds, or without loss next to the source, there is one mode",
    ),
    family="bimodal multicast",
    experiments=("pbcast_histogram",),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """The share in between at the largest size, mean over the experiment's rounds; a ratio."""
    shares = [
        between(
            pbcast.delivered(
                conditions["sizes"][-1],
                rounds,
                fan_out=conditions["fan_out"],
                loss_ratio=conditions["loss_ratio"],
                send_loss_ratio=LOSS,
            )
        )
        for rounds in ROUNDS
    ]
    return {BETWEEN: float(np.mean(shares)), DISTRIBUTION: 1.0}


def between(by_number: Floats) -> float:
    """The sum over the numbers of nodes that are neither almost none nor almost all."""
    numbers = np.arange(len(by_number))
    nodes = len(by_number) - 1
    return float(by_number[(numbers >= FEW * nodes) & (numbers <= MOST * nodes)].sum())


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    found: list[Finding] = []
    protocol = stand_in.get(PROTOCOL, PROTOCOL)
    for evidence in dict.fromkeys(one.evidence for one in tables):
        alike = [one for one in tables if one.evidence == evidence]
        mine = [(one, each) for one in alike for each in histograms(one, protocol)]
        if mine:
            found += _findings(protocol, evidence, mine)
    because = f"no runs of {protocol} in step; `testbed validate {CLAIM.id}` makes them"
    return found or CLAIM.not_run(*CLAIM.parts, because=because)


def _findings(
    protocol: str, evidence: str, found: Sequence[tuple[RunTables, Histogram]]
) -> list[Finding]:
    """Both findings on the cells of one sort of evidence."""
    cells = [cell for _, cell in found]
    blocks = {
        text: None
        for one, cell in found
        for text in Arm(protocol, {}, marked(cell.runs, one, 0)).blocks()
    }
    frame: dict[str, Any] = {
        "conditions": _stated(protocol, cells) | {"evidence": evidence},
        "evidence": evidence,
        "runs": sum(len(cell.runs) for cell in cells),
        "voided": int(sum(cell.runs["voided"].sum() for cell in cells)),
    }
    if blocks:
        return [CLAIM.finding(part, blocks=tuple(blocks), **frame) for part in CLAIM.parts]
    total = sum(cell.multicasts for cell in cells)
    share = Proportion(sum(round(between(cell.counts.astype(float))) for cell in cells), total)
    p_support, p_refute = stats.tested(share, CLAIM.parts[BETWEEN].margin)
    means = rules.pooled_ratio([_mean(cell) for cell in cells])
    worst = min(cells, key=lambda cell: cell.p)
    p_differ = min(1.0, len(cells) * worst.p)
    at = f"{worst.cell['options']['buffer_rounds']} rounds, N={worst.nodes}"
    fails = f"not the exact distribution at {at}"
    return [
        CLAIM.finding(
            BETWEEN,
            **frame,
            predicted=sum(cell.multicasts * between(cell.exact) for cell in cells) / total,
            measured=share,
            unit=f"share of the multicasts that reach {FEW:.0%} to {MOST:.0%} of the nodes",
            p_support=p_support,
            p_refute=p_refute,
            doubts=(f"{DISTRIBUTION}: {fails}",) if p_differ <= ALPHA else (),
        ),
        CLAIM.finding(
            DISTRIBUTION,
            **frame,
            predicted=1.0,
            measured=means,
            unit="mean number of nodes reached over the exact law's",
            p_support=means.p_within(*CLAIM.parts[DISTRIBUTION].margin),
            p_refute=p_differ,
            refutation=fails,
            notes=(f"the least likely to be the exact law: {at}, p = {p_differ:.2g} (Bonferroni)",),
        ),
    ]


def _mean(cell: Histogram) -> stats.Estimate:
    """The mean number reached over that of the exact law."""
    numbers = np.arange(cell.nodes + 1)
    reached = stats.mean(np.repeat(numbers, cell.counts))
    return reached.scaled(1 / float(numbers @ cell.exact))


def _stated(protocol: str, cells: Sequence[Histogram]) -> dict[str, Any]:
    """What the cells have in common, and lists of what they have not."""
    of_each: dict[str, list[Any]] = {
        "topology": [cell.cell["topology"] for cell in cells],
        "timing": [cell.cell["timing"] for cell in cells],
        "fan_out": [cell.cell["options"]["fan_out"] for cell in cells],
        "buffer_rounds": [cell.cell["options"]["buffer_rounds"] for cell in cells],
        "loss_ratio": [cell.loss_ratio for cell in cells],
        "send_loss_ratio": [cell.send_loss_ratio for cell in cells],
    }
    stated: dict[str, Any] = {"protocol": protocol}
    for name, values in of_each.items():
        different = sorted(set(values))
        stated[name] = different if len(different) > 1 else different[0]
    return stated | {"sizes": sorted({cell.nodes for cell in cells})}
