"""The share of nodes that a multicast never reaches, against datagram loss.

Nodes stop spreading after a number of their own rounds, so some multicasts end with nodes left out.
Beside each run and the mean: the mean that the independent reference draws when every node is
silent after as many rounds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from agents.parts.retention import round_limit
from testbed import metrics, plotting
from testbed.judging import stats, variants
from testbed.simulator import reference
from testbed.tables import RunTables

TITLE = "nodes that push never reaches"
NEEDS = 'it needs disseminations with retention "rounds", such as the experiment reliability'
CLAIMS: tuple[str, ...] = ()
LEVEL = 0.95


GROUP = ["variant", "evidence", "nodes"]
"""What stands side by side at each loss."""


def draw(tables: Sequence[RunTables]) -> Figure | None:
    cells = _cells(tables)
    if not cells:
        return None
    figure, axes = plotting.canvas()
    losses = sorted({cell["loss_ratio"] for cell in cells})
    groups = sorted({tuple(cell[name] for name in GROUP) for cell in cells})
    entries: dict[str, Any] = {}
    for cell in cells:
        place = groups.index(tuple(cell[name] for name in GROUP))
        aside = min(0.22, 0.8 / len(groups)) * (place - (len(groups) - 1) / 2)
        name = f"N = {cell['nodes']}" + f", {cell['variant']}" * bool(cell["variant"])
        name += plotting.from_where(cell["evidence"], (each["evidence"] for each in cells))
        at = losses.index(cell["loss_ratio"]) + aside
        entries |= _draw_cell(axes, cell, at, plotting.nth_look(place), name)
    axes.set_xticks(range(len(losses)), [_tick(loss, cells) for loss in losses])
    axes.set_xlim(-0.5, len(losses) - 0.5)
    axes.set_xlabel("datagrams lost, end to end")
    axes.set_ylabel("residue: nodes never reached")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.set_ylim(bottom=0)
    plotting.legend(axes, "upper left", [(artist, label) for label, artist in entries.items()])
    plotting.title(figure, "", TITLE)
    limits = ", ".join(
        f"{c} at N = {n}" for n, c in sorted({(c["nodes"], c["limit"]) for c in cells})
    )
    plotting.footnote(
        figure,
        f"Dots: runs, n = {plotting.either(len(cell['residue']) for cell in cells)} a group. Bars: "
        f"{LEVEL:.0%} interval of the mean (bootstrap by run). A node stops after this many of its "
        f"own rounds: {limits}. Conditions: {plotting.conditions(cells, ('loss_ratio',))}.",
    )
    return figure


def _tick(loss: float, cells: Sequence[dict[str, Any]]) -> str:
    """The loss, and below it how many runs reached every node."""
    residues = np.concatenate([c["residue"] for c in cells if c["loss_ratio"] == loss])
    return f"{loss:.0%}\nall reached in {(residues == 0).sum()} of {len(residues)} runs"


def _cells(tables: Sequence[RunTables]) -> list[dict[str, Any]]:
    """Push that stops after some rounds, nothing failing but datagrams: cells of healthy runs."""
    frames = []
    for one in tables:
        runs = metrics.per_run(one).assign(evidence=one.evidence)
        wanted = (runs["retention"] == "rounds") & (runs["protocol"] == "push")
        wanted &= (runs["sources"] != "all") & (runs["kind"] != "stream") & (runs["faults"] == "")
        frames.append(runs[wanted & ~runs["voided"].astype(bool)])
    runs = pd.concat(variants.named(tables, frames, beside=("nodes", "loss_ratio")))
    return [
        {
            **{str(name): value for name, value in rows.iloc[0].items()},
            "residue": rows["residue"].to_numpy(float),
            "limit": round_limit(
                float(json.loads(rows["options"].iloc[0])["c"]), int(rows["nodes"].iloc[0])
            ),
        }
        for _, rows in runs.groupby([*GROUP, "loss_ratio"])
    ]


def _draw_cell(
    axes: Axes, cell: dict[str, Any], at: float, look: plotting.Look, name: str
) -> dict[str, Any]:
    """Draws one cell at a place on the axis; returns its entries of the legend."""
    residue = cell["residue"]
    jitter = at + np.random.default_rng(1).uniform(-0.06, 0.06, len(residue))
    axes.plot(jitter, residue, ".", color=look.colour, alpha=0.35, markersize=5, zorder=1)
    middle = residue.mean()
    low, high = stats.bootstrap_mean(residue, LEVEL)
    bars = axes.errorbar(
        at,
        middle,
        yerr=[[middle - low], [high - middle]],
        fmt=look.marker,
        color=look.colour,
        markersize=7,
        capsize=4,
        zorder=3,
    )
    entries: dict[str, Any] = {f"{name}, measured mean": bars}
    if cell["timing"] == "free":
        drawn = reference.sample(
            int(cell["nodes"]),
            int(cell["fan_out"]),
            runs=500,
            replacement=bool(cell["replacement"]),
            loss_ratio=float(cell["loss_ratio"]),
            rounds=cell["limit"],
        )
        predicted = float(np.isinf(drawn.infected_at).mean())
        (cross,) = axes.plot(at, predicted, "x", color=plotting.INK, ms=8, mew=1.8, zorder=4)
        entries["predicted mean (independent reference)"] = cross
    return entries
