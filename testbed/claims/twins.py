"""twins: runs on hosts are distributed as the simulator's, of the same protocol objects.

A check of the testbed, not of the lecture. An emulator without an independent prediction cannot
show that it is right, and a simulator that nothing is held against may be wrong in the same way as
the theory that it was built from. Two questions are asked of each protocol and statistic:

- *Do they differ?* A G-test for each size and loss, Holm's procedure over all of them. One that is
  rejected fails the check: agents, network or simulator do not do what the others do.
- *Do they agree?* "Not shown to differ" would be no evidence, so the mean over that of the twin,
  geometric mean over sizes and losses, must lie within its margin (two one-sided tests).

Emulation is late by a little where the simulator is not: a tick comes 0.1 to 2 ms after it is due
on the mean, and a datagram is read as late again (2 cores, periods of 250 and 500 ms). A node's
rounds do not wait for what is late, so delays do not add up; but who is infected after its own tick
instead of before loses a whole period, so that a mean lateness of d costs each hop about d. A hop
takes about a period, and d is up to 1% of one. A run whose p99 is a tenth of a period is voided;
three times the 1% seen, up to `STRETCH`, is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.judging import rules, stats
from testbed.judging.claim import Claim, Part
from testbed.judging.selection import LEAST_RUNS, Arm, dissemination
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import ALPHA, Finding, Verdict
from testbed.tables import RunTables

Floats = NDArray[np.float64]

SIMULATED = "simulated"
LEVEL = 0.95
PROTOCOLS = ("push", "pull", "push_pull", "topology_aware")
STRETCH = (0.0, 0.01, 0.02, 0.03)
"""Lateness that is no difference, as a share of the time: what C1 and its power allow for, too."""


@dataclass(frozen=True)
class Statistic:
    """What is compared: a metric, the margin of its mean, and what lateness does to it."""

    metric: str
    margin: Interval
    reason: str
    power: int
    """Of the stretch of time by which it is multiplied at most."""


STATISTICS = {
    "time": Statistic(
        "rounds_to_all",
        Interval(0.94, 1.06),
        "of the twin's: lateness adds up to 3%, and the sampling error of the runs is 0.9%",
        1,
    ),
    "sends": Statistic(
        "sends_to_last_infection",
        Interval(0.93, 1.07),
        "of the twin's: a count that lateness leaves alone under push, and whose sampling error is "
        "1.3%; who polls for ever polls longer when the time is",
        1,
    ),
    "crossings": Statistic(
        "core_crossings_per_round",
        Interval(0.92, 1.08),
        "of the twin's: counts over times, so that lateness lowers it; its sampling error is 1.5%",
        -1,
    ),
}


def _part(protocol: str, statistic: str) -> str:
    return f"{protocol}: {statistic}"


CLAIM = Claim(
    id="twins",
    title="hosts and simulator draw from the same distributions",
    statement=(
        "The time to the last infection, the sends until then and the core crossings per round of "
        "runs on hosts are distributed as those of the event engine, which drives the same "
        "protocol objects over the same paths in virtual time."
    ),
    source="G-test [Sokal & Rohlf 1981]; two one-sided tests [Schuirmann 1987]; CLAIMS section 4",
    assumptions=(
        "free timing, fan-out 1, nodes spread or poll for ever; end-to-end loss of 0 and 30%",
        "the runs of the two are drawn apart: other seeds, other phases, other sources",
    ),
    parts={
        _part(protocol, name): Part(
            margin=statistic.margin, reason=statistic.reason, plot="twins", check=True
        )
        for protocol in PROTOCOLS
        for name, statistic in STATISTICS.items()
    },
    refuted_if="it is a check, and fails when the G-test rejects at some size and loss, whatever "
    "stretch of the time up to 3% is granted; at 5% over all of them together",
    evidence=("emulated", "simulated"),
    estimator="G-test on up to eight quantile bins a size and loss, the largest p over the "
    "stretches; mean over mean, geometric mean over sizes and losses, delta method",
    expect=("the same, but for times 1% longer on hosts",),
    family="twins",
    experiments=("twins",),
    simulated={"twins": 2},
)


@dataclass(frozen=True)
class Cell:
    """One statistic at one size and loss, on hosts and simulated."""

    nodes: int
    loss_ratio: float
    runs: int
    twins: int
    emulated: float
    """The mean on hosts, and beside it the twin's."""
    simulated: float
    ratio: Estimate
    p: float
    """Against one distribution; after Holm's procedure over all cells."""

    def row(self) -> dict[str, Any]:
        low, high = self.ratio.interval(LEVEL)
        return asdict(self) | {"ratio": self.ratio.value, "low": low, "high": high}


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    """All as ratios to the twin."""
    return dict.fromkeys(CLAIM.parts, 1.0)


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    pairs = {
        protocol: pairs_of(dissemination(tables, stand_in.get(protocol, protocol)))
        for protocol in PROTOCOLS
    }
    cells = {
        _part(protocol, name): _cells(statistic, pairs[protocol])
        for protocol in PROTOCOLS
        for name, statistic in STATISTICS.items()
    }
    cells = _adjusted(cells)
    return [
        _finding(_part(protocol, name), statistic, pairs[protocol], cells[_part(protocol, name)])
        for protocol in PROTOCOLS
        for name, statistic in STATISTICS.items()
    ]


def pairs_of(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Each arm of hosts with its twin."""
    twins = [arm for arm in arms if arm.conditions["evidence"] == SIMULATED]
    return [
        (arm, twin)
        for arm in arms
        if arm.conditions["evidence"] != SIMULATED
        for twin in twins
        if replace(twin, conditions={**twin.conditions, "evidence": "emulated"}).matches(arm)
    ]


def _cells(statistic: Statistic, pairs: Sequence[tuple[Arm, Arm]]) -> list[Cell]:
    """A cell for each size and loss in which enough runs finished."""
    found = []
    for arm, twin in pairs:
        for nodes in arm.sizes:
            mine, other = (_finite(each.values(statistic.metric, nodes)) for each in (arm, twin))
            if min(len(mine), len(other)) >= LEAST_RUNS:
                found.append(
                    Cell(
                        nodes=nodes,
                        loss_ratio=float(arm.conditions["loss_ratio"]),
                        runs=len(mine),
                        twins=len(other),
                        emulated=float(mine.mean()),
                        simulated=float(other.mean()),
                        ratio=stats.ratio(stats.mean(mine), stats.mean(other)),
                        p=same(mine, other, statistic.power),
                    )
                )
    return found


def same(mine: Floats, other: Floats, power: int = 1) -> float:
    """p against "the same but for a stretch of the time": the largest over what is granted."""
    return max(stats.same_distribution(mine, other * (1 + s) ** power) for s in STRETCH)


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _adjusted(cells: Mapping[str, Sequence[Cell]]) -> dict[str, list[Cell]]:
    """Holm's procedure over the cells of all parts."""
    every = [cell for part in cells.values() for cell in part]
    steps = iter(stats.holm([cell.p for cell in every], len(every), ALPHA))
    return {part: [replace(c, p=next(steps).p) for c in mine] for part, mine in cells.items()}


def _finding(
    part: str, statistic: Statistic, pairs: Sequence[tuple[Arm, Arm]], cells: Sequence[Cell]
) -> Finding:
    if not pairs:
        protocol = part.partition(":")[0]
        because = f"no runs of {protocol} with simulated twins; `testbed validate twins` makes them"
        return CLAIM.not_run(part, because=because)[0]
    first, _ = pairs[0]
    frame = CLAIM.finding(part, first, runs=sum(arm.runs for arm, _ in pairs))
    losses = sorted(float(arm.conditions["loss_ratio"]) for arm, _ in pairs)
    stated = {**frame.conditions, "evidence": "emulated and simulated", "loss_ratio": losses}
    frame = replace(
        frame,
        conditions=stated,
        voided=sum(arm.voided for arm, _ in pairs),
        details=tuple(cell.row() for cell in cells),
    )
    blocks = list(dict.fromkeys(text for arm, _ in pairs for text in arm.blocks()))
    if wanting := sum(len(arm.sizes) for arm, _ in pairs) - len(cells):
        blocks.append(f"{wanting} cells have fewer than {LEAST_RUNS} runs that reached every node")
    if blocks:
        return replace(frame, blocks=tuple(blocks))
    pooled = rules.pooled_ratio([cell.ratio for cell in cells])
    worst = min(cells, key=lambda cell: cell.p)
    at = f"N={worst.nodes}, loss {worst.loss_ratio:.0%}"
    return replace(
        frame,
        predicted=1.0,
        measured=pooled,
        unit=f"mean {statistic.metric} over the twin's, all sizes and losses",
        p_support=pooled.p_within(*statistic.margin),
        p_refute=worst.p,
        refutation=f"not the twin's distribution at {at}",
        notes=(f"the least likely to be one distribution: {at}, p = {worst.p:.2g} (Holm)",),
    )


def table(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """A head and a row for each protocol, size and loss: hosts / simulator, p of one distribution.

    The p are those after Holm's procedure; below 0.05 the two are not distributed alike.
    """
    rows: dict[tuple[str, int, float], dict[str, str]] = {}
    for verdict in verdicts:
        protocol, _, name = verdict.part.partition(": ")
        for cell in verdict.details:
            key = protocol, cell["nodes"], cell["loss_ratio"]
            means = f"{cell['emulated']:.4g} / {cell['simulated']:.4g}"
            rows.setdefault(key, {"runs": f"{cell['runs']} / {cell['twins']}"})[name] = (
                f"{means}, p {cell['p']:.2g}"
            )
    names = ("runs", *STATISTICS)
    return [
        ["protocol", "nodes", "loss", *names],
        *(
            [protocol, str(nodes), f"{loss:.0%}", *(row.get(name, "") for name in names)]
            for (protocol, nodes, loss), row in rows.items()
        ),
    ]
