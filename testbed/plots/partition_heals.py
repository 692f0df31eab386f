"""How a multicast spreads while nodes are cut off, or leave and come back.

The share of all nodes that have had the multicast, as a median with the band of 80% of the runs,
over the time in which the network is parted (grey) and the share of the nodes that are up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from testbed import plotting
from testbed.judging.selection import Arm, dissemination
from testbed.judging.spread import delays
from testbed.tables import RunTables

TITLE = "a multicast through faults"
NEEDS = "it needs runs under partitions or churn: the experiments partition_heals and churn"
CLAIMS: tuple[str, ...] = ()
BAND = (0.1, 0.9)
AFTERWARDS = 8
"""Periods drawn after the last fault."""
WORDS = {"forever": "push that goes on", "rounds": "push that stops after some rounds"}

Floats = NDArray[np.float64]


def draw(tables: Sequence[RunTables]) -> Figure | None:
    for one in tables:
        arms = [arm for arm in dissemination([one], "push") if _shown(arm)]
        if arms:
            return _figure(one, arms)
    return None


def _shown(arm: Arm) -> bool:
    if arm.healthy.empty:
        return False
    return any(word in str(arm.conditions["faults"]) for word in ("partition", "churn"))


def _figure(tables: RunTables, arms: Sequence[Arm]) -> Figure:
    nodes, c = max(arms[0].sizes), arms[0].conditions
    end = float(tables.runs["stop_ns"].sub(tables.runs["start_ns"]).max())
    end /= float(tables.runs["round_s"].iloc[0]) * 1e9
    steps = _steps(tables, arms[0])
    end = min(end, max((step["at"] for step in steps), default=end) + AFTERWARDS)
    figure, axes = plotting.canvas(width=7.8)
    entries: list[tuple[Any, str]] = []
    for place, arm in enumerate(arms):
        look = plotting.nth_look(place)
        times = np.linspace(0, end, 200)
        share = _share(tables, arm, nodes, times)
        (drawn,) = axes.plot(times, np.median(share, axis=0), look.line, color=look.colour)
        low, high = np.quantile(share, BAND, axis=0)
        axes.fill_between(times, low, high, color=look.colour, alpha=0.18, linewidth=0)
        whole = int((arm.healthy["residue"] == 0).sum())
        name = WORDS.get(str(arm.conditions["retention"]), str(arm.conditions["retention"]))
        entries.append((drawn, f"{name}: {whole} of {len(arm.healthy)} runs reach all"))
    entries += _mark(axes, steps, nodes, end)
    axes.set_xlim(0, end)
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("periods since the multicast")
    axes.set_ylabel("share of nodes that have had the multicast")
    plotting.legend(axes, "lower right", entries)
    plotting.title(figure, "", f"{TITLE}, N = {nodes}")
    plotting.footnote(
        figure,
        f"Lines: medians of {len(arms[0].healthy)} runs, bands: what 80% of them show at each "
        f"time. Faults: {c['faults']}. Conditions: {c['evidence']}, {c['topology']}, timing "
        f"{c['timing']}, fan-out b = {c['fan_out']}.",
    )
    return figure


def _steps(tables: RunTables, arm: Arm) -> list[Mapping[str, Any]]:
    """What happened in the first batch of an arm, times in periods."""
    runs = set(arm.rows["run"])
    round_s = float(arm.rows["round_s"].iloc[0])
    for timeline in tables.manifest.get("timelines", ()):
        if runs & set(timeline["runs"]):
            return [{**step, "at": step["at_s"] / round_s} for step in timeline["steps"]]
    return []


def _mark(
    axes: Axes, steps: Sequence[Mapping[str, Any]], nodes: int, end: float
) -> list[tuple[Any, str]]:
    """Draws when the network was parted and how many nodes were up; their entries."""
    entries: list[tuple[Any, str]] = []
    cuts = [step["at"] for step in steps if step["do"] == "cut"]
    joins = [step["at"] for step in steps if step["do"] == "join"]
    for cut in cuts:
        until = min([at for at in joins if at > cut], default=end)
        axes.axvspan(cut, until, color="#dddddd", zorder=0)
    if cuts:
        entries.append((Patch(facecolor="#dddddd", edgecolor="#888888"), "the network is parted"))
    if moves := [step for step in steps if step["do"] in ("kill", "restart")]:
        up, at, share = nodes, [0.0], [1.0]
        for step in moves:
            up += len(step["nodes"]) * (1 if step["do"] == "restart" else -1)
            at.append(step["at"])
            share.append(up / nodes)
        (drawn,) = axes.step(
            [*at, end], [*share, share[-1]], where="post", color=plotting.GREY, linewidth=1.2
        )
        entries.append((drawn, "nodes that are up (first batch)"))
    return entries


def _share(tables: RunTables, arm: Arm, nodes: int, times: Floats) -> Floats:
    """Share of all nodes that have had it at each time, a row a run."""
    mine = arm.healthy[arm.healthy["nodes"] == nodes]
    found = delays(tables)
    rows = [
        np.searchsorted(np.sort(group["delay"].to_numpy()), times, side="right") / nodes
        for _, group in found[found["run"].isin(mine["run"])].groupby("run")
    ]
    return np.asarray(rows, dtype=float)
