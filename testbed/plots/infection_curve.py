"""The share of infected nodes over time, with the predicted curves over it.

Runs differ mostly by when they take off, so the middle of them is drawn as a median, and the spread
as the band that holds 80% of the runs at each time. Over it: the lecture's continuous-time model,
which averages the slow and lucky starts away, and the median of the independent reference.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from testbed import plotting
from testbed.judging import rules
from testbed.judging.selection import Arm, dissemination
from testbed.measures.spread import delays
from testbed.tables import RunTables
from testbed.theory import logistic

TITLE = "how a multicast spreads"
NEEDS = "it needs disseminations, such as those of the experiment latency"
CLAIMS = ("C1", "C12")
PANELS = 3
BAND = (0.1, 0.9)

Floats = NDArray[np.float64]


def draw(tables: Sequence[RunTables]) -> Figure | None:
    protocols = sorted({str(p) for t in tables for p in t.runs["protocol"].unique()})
    every = [arm for p in protocols for arm in dissemination(tables, p)]
    if not every:
        return None
    nodes = max(n for arm in every for n in arm.sizes)
    every = [arm for arm in every if nodes in arm.sizes]
    found = [(arm, curves_of(tables, arm, nodes)) for arm in every]
    # No run that counts, or an engine that keeps no events: a panel would show predictions only.
    measured = [(arm, curves) for arm, curves in found if len(curves)]
    if not measured:
        return None
    arms = [arm for arm, _ in measured[:PANELS]]
    curves = [curve for _, curve in measured[:PANELS]]
    figure, axes = plotting.canvas(len(arms), width=max(7.4, 3.9 * len(arms)), height=4.6)
    panels = axes if isinstance(axes, list) else [axes]
    finite = [c[np.isfinite(c)] for c in curves]
    end = 1.1 * max(float(np.quantile(c, 0.999)) for c in finite) or 1.0
    for panel, arm, curve, name in zip(panels, arms, curves, plotting.names(arms), strict=True):
        look = plotting.look(arm.protocol, protocols)
        entries = _draw_panel(panel, arm, curve, nodes, end, look)
        plotting.legend(panel, "lower right", entries, handlelength=1.8, fontsize=9)
        panel.set_title(textwrap.fill(name, 36), fontsize=11)
    panels[0].set_ylabel("share of nodes that have the multicast")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    judged = all(arm.conditions["retention"] == "forever" and _calm(arm) for arm in arms)
    plotting.title(figure, ", ".join(CLAIMS) if judged else "", f"{TITLE}, N = {nodes}")
    counts = " and ".join(dict.fromkeys(str(len(curve)) for curve in curves))
    named = sorted({str(arm.conditions["faults"]) for arm in arms} - {""})
    faults = f"Faults: {'; or '.join(named)}. " if named else ""
    plotting.footnote(
        figure,
        f"n = {counts} runs a panel, each a multicast from one node. Band: what "
        f"{BAND[1] - BAND[0]:.0%} of the runs show at each time, without the slowest and the "
        f"fastest tenth. "
        f"{faults}Conditions: {plotting.conditions([arm.conditions for arm in arms])}."
        f"{plotting.left_out(len(every) - len(arms))}",
    )
    return figure


def curves_of(tables: Sequence[RunTables], arm: Arm, nodes: int) -> Floats:
    """A row a healthy run: when 1, 2, ... nodes had it, in periods; infinite when never."""
    wanted = arm.healthy[arm.healthy["nodes"] == nodes]
    rows = []
    for place, mine in wanted.groupby("directory"):
        found = delays(tables[int(str(place))])
        for _, group in found[found["run"].isin(mine["run"])].groupby("run"):
            row = np.full(nodes, np.inf)
            row[: len(group)] = np.sort(group["delay"].to_numpy())
            rows.append(row)
    return np.array(rows).reshape(-1, nodes)


def share_of(curves: Floats, times: Floats) -> Floats:
    """Share infected at each time, a row a run."""
    infected = [np.searchsorted(row, times, side="right") for row in curves]
    share: Floats = np.asarray(infected, dtype=float) / curves.shape[1]
    return share


def _draw_panel(
    axes: Axes, arm: Arm, curves: Floats, nodes: int, end: float, look: plotting.Look
) -> list[tuple[Any, str]]:
    """Draws one arm and what is predicted of it; returns the entries of the legend."""
    times = np.linspace(0, end, 300)
    axes.set(xlim=(0, end), ylim=(0, 1.03), xlabel="time (gossip periods)")
    entries: list[tuple[Any, str]] = []
    share = share_of(curves, times)
    low, high = np.quantile(share, BAND, axis=0)
    band = axes.fill_between(times, low, high, color=look.colour, alpha=0.2, lw=0)
    (line,) = axes.plot(times, np.median(share, axis=0), color=look.colour, lw=2.6)
    entries += [(line, "measured, median"), (band, "measured, 80% of runs")]
    loss = float(arm.conditions["loss_ratio"])
    if rules.has_reference(arm):
        aware = arm.protocol == "topology_aware"
        drawn = rules.reference_sample(nodes, arm.conditions, topology_aware=aware)
        middle = np.median(share_of(drawn.infected_at, times), axis=0)
        (line,) = axes.plot(times, middle, "--", color=plotting.INK, lw=1.4)
        entries.append((line, "reference, median"))
    forever = arm.conditions["retention"] == "forever"
    if arm.protocol == "push" and forever and loss < 1 and _calm(arm):
        fan_out = int(arm.conditions["fan_out"])
        model = logistic.infected(nodes, times, fan_out, loss) / nodes
        (line,) = axes.plot(times, model, ":", color=plotting.INK, lw=1.8)
        entries.append((line, "lecture's model"))
    return entries


def _calm(arm: Arm) -> bool:
    """Whether nothing fails but links: neither the reference nor the model knows of faults."""
    return not arm.conditions["faults"]
