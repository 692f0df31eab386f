"""C15, C16: how many ask for one lost packet, and how many at once, as the group grows.

SRM in a star where all receivers lose the packet: with everything on, without suppression, and
without random delays. Beside it what theory expects: G-1 without, 1 + (G-1)/C2 with both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed import plotting
from testbed.judging import naks, stats
from testbed.judging.selection import Arm
from testbed.tables import RunTables
from testbed.theory import srm_star

TITLE = "requests for one packet that all receivers lost"
NEEDS = (
    "it needs streams of srm in which all receivers lose a multicast, and repairs that come before "
    "the second window, such as the experiment nak_implosion"
)
CLAIMS = ("C15", "C16")
LEVEL = 0.95
VARIANTS = {
    "": "SRM",
    "suppression": "without suppression",
    "randomness": "without random delays",
}
"""What is switched off, and what that is called; in the order of the looks."""
PEAKS: Mapping[str, Callable[[int, float], float]] = {
    "": lambda nodes, whole: whole,
    "randomness": lambda nodes, whole: nodes - 1.0,
    "suppression": lambda nodes, whole: math.nan,
}
"""The most within one delay, where a formula says it: that of requests, or all of them."""
PANELS = {"requests": "requests in all", "peak": "most within one network delay"}


def draw(tables: Sequence[RunTables]) -> Figure | None:
    numbers = table(tables)
    if numbers.empty:
        return None
    figure, axes = plotting.canvas(2, width=9.6)
    for panel, (column, says) in zip(axes, PANELS.items(), strict=True):
        _draw_panel(panel, numbers, column)
        panel.set_title(says)
    axes[0].set_ylabel("requests for one lost packet (mean)")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(loc="upper left", frameon=False, fontsize=10)
    plotting.title(figure, "C15, C16", TITLE)
    first = _arms(tables)[0]
    counts = sorted(set(numbers["losses"]))
    plotting.footnote(
        figure,
        f"Bars: {LEVEL:.0%} interval of the mean, n = {' or '.join(map(str, counts))} losses "
        f"a point. Lines: G-1, and 1 + (G-1)/C2 - C2^-(G-1). Conditions: {_conditions(first)}.",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a variant and size: means, intervals, and what theory expects."""
    rows = []
    for arm in _arms(tables):
        off = next(name for name in VARIANTS if naks.plain(arm, but=name))
        for nodes in arm.sizes:
            if len(arm.values("requests", nodes)) < 2:
                continue
            row: dict[str, Any] = {"variant": VARIANTS[off], "nodes": nodes}
            for column in PANELS:
                mean = stats.mean(arm.values(column, nodes))
                low, high = mean.interval(LEVEL)
                row |= {column: mean.value, f"{column}_low": low, f"{column}_high": high}
            whole = srm_star.requests(nodes, float(arm.options["c2"]))
            row |= {"losses": len(arm.values("requests", nodes))}
            row |= {"predicted_requests": nodes - 1.0 if off else whole}
            row |= {"predicted_peak": PEAKS[off](nodes, whole)}
            rows.append(row)
    return pd.DataFrame(rows)


def _arms(tables: Sequence[RunTables]) -> list[Arm]:
    """Arms with at most one of the two switched off, and repairs that come soon."""
    return [
        arm
        for arm in naks.lost_by_all(tables)
        if any(naks.plain(arm, but=name) for name in VARIANTS)
        and not naks.slow(arm)
        and len(arm.healthy)
    ]


def _draw_panel(axes: Axes, numbers: pd.DataFrame, column: str) -> None:
    aside = 0.008 * numbers["nodes"].max()
    shift = dict(zip(VARIANTS.values(), (0.0, -aside, aside), strict=True))
    for place, name in enumerate(VARIANTS.values()):
        rows = numbers[numbers["variant"] == name].sort_values("nodes")
        if rows.empty:
            continue
        look = plotting.nth_look(place)
        axes.plot(rows["nodes"], rows[f"predicted_{column}"], look.line, color=look.colour, lw=1.3)
        ends = [rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column]]
        axes.errorbar(
            rows["nodes"] + shift[name],
            rows[column],
            yerr=np.array(ends).clip(min=0),
            fmt=look.marker,
            color=look.colour,
            markersize=6,
            capsize=3,
            label=name,
        )
    axes.set_xticks(sorted(set(numbers["nodes"])))
    axes.set_xlim(0, numbers["nodes"].max() * 1.08)
    axes.set_xlabel("members of the group G")


def _conditions(arm: Arm) -> str:
    c = arm.conditions
    return (
        f"{c['evidence']}, {c['topology']}, C1 = {arm.options['c1']:g}, C2 = "
        f"{arm.options['c2']:g}, losses next to the source"
    )
