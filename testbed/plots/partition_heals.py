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

from testbed import plotting
from testbed.judging.selection import Arm, dissemination
from testbed.plots.infection_curve import curves_of, share_of
from testbed.tables import RunTables

TITLE = "a multicast through faults"
NEEDS = "it needs runs under partitions or churn: the experiments partition_heals and churn"
CLAIMS: tuple[str, ...] = ()
BAND = (0.1, 0.9)
SHOWN = 4
AFTERWARDS = 8
"""Periods drawn after the last fault."""
WORDS = {"forever": "push that goes on", "rounds": "push that stops after some rounds"}


def draw(tables: Sequence[RunTables]) -> Figure | None:
    every = [arm for arm in dissemination(tables, "push") if _shown(arm)]
    if not every:
        return None
    # One timeline is drawn, of one size: that of the first.
    nodes, faults = max(every[0].sizes), every[0].conditions["faults"]
    alike = [arm for arm in every if arm.conditions["faults"] == faults]
    found = [(arm, curves) for arm in alike if len(curves := curves_of(tables, arm, nodes))]
    if not found:
        return None
    found = found[:SHOWN]
    arms = [arm for arm, _ in found]
    steps, end = _steps(tables, arms[0], nodes), max(map(_length, arms))
    end = min(end, max((step["at"] for step in steps), default=end) + AFTERWARDS)
    times = np.linspace(0, end, 200)
    figure, axes = plotting.canvas(width=7.8)
    entries: list[tuple[Any, str]] = []
    told = plotting.differences(arms)
    for place, (arm, curves) in enumerate(found):
        look, share = plotting.nth_look(place), share_of(curves, times)
        (drawn,) = axes.plot(times, np.median(share, axis=0), look.line, color=look.colour)
        low, high = np.quantile(share, BAND, axis=0)
        axes.fill_between(times, low, high, color=look.colour, alpha=0.18, linewidth=0)
        runs = arm.healthy[arm.healthy["nodes"] == nodes]
        whole = int((runs["residue"] == 0).sum())
        entries.append((drawn, f"{_name(arm, told[place])}: {whole} of {len(runs)} runs reach all"))
    entries += _mark(axes, steps, nodes, end)
    axes.set_xlim(0, end)
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("periods since the multicast")
    axes.set_ylabel("share of nodes that have had the multicast")
    plotting.legend(axes, "lower right", entries)
    plotting.title(figure, "", f"{TITLE}, N = {nodes}")
    conditions = plotting.conditions([arm.conditions for arm in arms], ("retention",))
    plotting.footnote(
        figure,
        f"Lines: medians of {plotting.either(len(curves) for _, curves in found)} runs, bands: "
        f"what 80% of them show at each time. Faults: {faults}. Conditions: {conditions}."
        f"{plotting.left_out(len(every) - len(arms))}",
    )
    return figure


def _shown(arm: Arm) -> bool:
    if arm.healthy.empty:
        return False
    return any(word in str(arm.conditions["faults"]) for word in ("partition", "churn"))


def _name(arm: Arm, told: str) -> str:
    """What a line is called: by how it retains, where that is all that lines differ in."""
    retention = str(arm.conditions["retention"])
    return WORDS.get(retention, retention) if told in ("", retention) else f"push ({told})"


def _length(arm: Arm) -> float:
    """The longest run, in periods."""
    lengths = (arm.rows["stop_ns"] - arm.rows["start_ns"]) / (arm.rows["round_s"] * 1e9)
    return float(lengths.max())


def _steps(tables: Sequence[RunTables], arm: Arm, nodes: int) -> list[Mapping[str, Any]]:
    """What happened in the first batch of an arm and size, times in periods.

    Without what waited for a share of the nodes: in the manifest it has no time.
    """
    first = arm.rows[arm.rows["nodes"] == nodes].iloc[0]
    for timeline in tables[first["directory"]].manifest.get("timelines", ()):
        if first["run"] in timeline["runs"]:
            timed = [step for step in timeline["steps"] if step.get("infected") is None]
            return [{**step, "at": step["at_s"] / first["round_s"]} for step in timed]
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
        at, share, dead = [0.0], [1.0], set[int]()
        for step in moves:
            some = set(step["nodes"])
            dead = dead | some if step["do"] == "kill" else dead - (some or dead)
            at.append(step["at"])
            share.append(1 - len(dead) / nodes)
        (drawn,) = axes.step(
            [*at, end], [*share, share[-1]], where="post", color=plotting.GREY, linewidth=1.2
        )
        entries.append((drawn, "nodes that are up (first batch)"))
    return entries
