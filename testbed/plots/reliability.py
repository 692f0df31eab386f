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
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from agents.parts.retention import round_limit
from testbed import metrics, plotting
from testbed.judging import stats
from testbed.simulator import reference
from testbed.tables import RunTables

TITLE = "nodes that push never reaches"
NEEDS = 'it needs disseminations with retention "rounds", such as the experiment reliability'
CLAIMS: tuple[str, ...] = ()
LEVEL = 0.95


def draw(tables: Sequence[RunTables]) -> Figure | None:
    cells = [cell for one in tables for cell in _cells(one)]
    if not cells:
        return None
    figure, axes = plotting.canvas()
    losses = sorted({cell["loss_ratio"] for cell in cells})
    sizes = sorted({cell["nodes"] for cell in cells})
    entries: dict[str, Any] = {}
    for cell in cells:
        place = sizes.index(cell["nodes"])
        at = losses.index(cell["loss_ratio"]) + 0.22 * (place - (len(sizes) - 1) / 2)
        entries |= _draw_cell(axes, cell, at, plotting.nth_look(place))
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
    counts = sorted({len(cell["residue"]) for cell in cells})
    plotting.footnote(
        figure,
        f"Dots: runs, n = {' or '.join(map(str, counts))} a group. Bars: {LEVEL:.0%} interval of "
        f"the mean (bootstrap by run). A node stops after this many of its own rounds: {limits}. "
        f"Conditions: {plotting.conditions(cells[0], loss_ratio=False)}.",
    )
    return figure


def _tick(loss: float, cells: Sequence[dict[str, Any]]) -> str:
    """The loss, and below it how many runs reached every node."""
    residues = np.concatenate([c["residue"] for c in cells if c["loss_ratio"] == loss])
    return f"{loss:.0%}\nall reached in {(residues == 0).sum()} of {len(residues)} runs"


def _cells(tables: RunTables) -> list[dict[str, Any]]:
    """The cells of push that stop after some rounds, with the residue of their healthy runs."""
    runs = metrics.per_run(tables)
    wanted = (runs["retention"] == "rounds") & (runs["protocol"] == "push")
    wanted &= (runs["sources"] != "all") & (runs["kind"] != "stream") & ~runs["voided"].astype(bool)
    return [
        {
            **{str(name): value for name, value in rows.iloc[0].items()},
            "evidence": tables.evidence,
            "residue": rows["residue"].to_numpy(float),
            "limit": round_limit(
                float(json.loads(rows["options"].iloc[0])["c"]), int(rows["nodes"].iloc[0])
            ),
        }
        for _, rows in runs[wanted].groupby("cell")
    ]


def _draw_cell(axes: Axes, cell: dict[str, Any], at: float, look: plotting.Look) -> dict[str, Any]:
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
    entries: dict[str, Any] = {f"N = {cell['nodes']}, measured mean": bars}
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
