"""C15, C16: how many ask for one lost packet, and how many at once, as the group grows.

SRM in a star where all receivers lose the packet: with everything on, without suppression, and
without random delays. Beside it what theory expects: G-1 without, 1 + (G-1)/C2 with both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

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
    lines = numbers[["variant", "differs"]].drop_duplicates().itertuples(index=False, name=None)
    looks = plotting.looks(list(lines), list(VARIANTS.values()))
    for panel, (column, says) in zip(axes, PANELS.items(), strict=True):
        _draw_panel(panel, numbers, column, looks)
        panel.set_title(says)
    axes[0].set_ylabel("requests for one lost packet (mean)")
    axes[0].set_ylim(bottom=0)
    entries = plotting.labelled(axes[0], numbers["evidence"])
    plotting.legend(axes[0], "upper left", entries)
    plotting.title(figure, "C15, C16", TITLE)
    arms = _arms(tables)
    plotting.footnote(
        figure,
        f"Bars: {LEVEL:.0%} interval of the mean, n = {plotting.either(numbers['losses'])} losses "
        f"a point. Lines: G-1, and 1 + (G-1)/C2 - C2^-(G-1). Conditions: {_conditions(arms)}.",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a variant and size: means, intervals, and what theory expects.

    `differs` says in what an arm differs from others of its variant, if there are any.
    """
    rows = []
    for off, arm, differs in _told(_arms(tables)):
        for nodes in arm.sizes:
            if len(arm.values("requests", nodes)) < 2:
                continue
            row: dict[str, Any] = {"variant": VARIANTS[off], "differs": differs, "nodes": nodes}
            row |= {"evidence": arm.conditions["evidence"]}
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


def _told(arms: Sequence[Arm]) -> Iterator[tuple[str, Arm, str]]:
    """What is switched off in each arm, and in what it differs from others of which that is so."""
    for off in VARIANTS:
        mine = [arm for arm in arms if naks.plain(arm, but=off)]
        for arm, differs in zip(mine, plotting.differences(mine), strict=True):
            yield off, arm, differs


def _draw_panel(axes: Axes, numbers: pd.DataFrame, column: str, looks: plotting.Looks) -> None:
    aside = 0.008 * numbers["nodes"].max()
    shift = dict(zip(VARIANTS.values(), (0.0, -aside, aside), strict=True))
    for (name, differs), look in looks.items():
        mine = (numbers["variant"] == name) & (numbers["differs"] == differs)
        rows = numbers[mine].sort_values("nodes")
        axes.plot(rows["nodes"], rows[f"predicted_{column}"], look.line, color=look.colour, lw=1.3)
        axes.errorbar(
            rows["nodes"] + shift[name],
            rows[column],
            yerr=plotting.bars(rows, column),
            fmt=look.marker,
            color=look.colour,
            mfc=plotting.face(rows["evidence"].iloc[0], look),
            markersize=6,
            capsize=3,
            label=plotting.called(name, differs),
        )
    axes.set_xticks(sorted(set(numbers["nodes"])))
    axes.set_xlim(0, numbers["nodes"].max() * 1.08)
    axes.set_xlabel("members of the group G")


def _conditions(arms: Sequence[Arm]) -> str:
    def said(name: str) -> str:
        return plotting.either(f"{arm.options[name]:g}" for arm in arms)

    evidence = plotting.either((arm.conditions["evidence"] for arm in arms), "and")
    topology = plotting.either(arm.conditions["topology"] for arm in arms)
    return (
        f"{evidence}, {topology}, C1 = {said('c1')}, C2 = {said('c2')}, losses next to the source"
    )
