"""C13: what acknowledgements cost the sender, and its time a copy, as the group grows.

A central sender, and a tree whose nodes acknowledge to the source, each or gathered on the way up,
or ask for what they miss and say nothing otherwise (NAK). Three panels, as C13 has three parts:
copies that the source sends, datagrams without data that come back to it, and when the last node
has the multicast. Lines without points are what theory says; it has none for the time in a tree.
Variants of a way, and what was simulated, are points and lines of their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from testbed import metrics, plotting
from testbed.judging import stats, variants
from testbed.tables import RunTables
from testbed.theory import k_ary_tree

TITLE = "what acknowledgements cost the sender"
NEEDS = (
    "it needs streams without loss in three ways of acknowledging or more, at several sizes, such "
    "as the experiment ack_implosion"
)
CLAIMS = ("C13",)
LEVEL = 0.95
CENTRAL, EACH, GATHERED, NAK = (
    "centralized, each acknowledges",
    "tree, each acknowledges to the source",
    "tree, gathered on the way up",
    "tree, NAK",
)
WAYS = (CENTRAL, EACH, GATHERED, NAK)
"""In the order of their looks."""
LINE = ["way", "variant", "evidence"]
SHOWN = {
    "source_data_per_message": ("copies the sender sends", "copies per multicast"),
    "source_heard_control_per_message": (
        "answers that it hears",
        "datagrams per multicast",
    ),
    "t_last_ms": ("the last node has it", "milliseconds (mean)"),
}
"""Columns of the table by panel: its title, and its axis."""


def draw(tables: Sequence[RunTables]) -> Figure | None:
    numbers = table(tables)
    if numbers["way"].nunique() < 3 or numbers["nodes"].nunique() < 2:
        return None
    lines = numbers[LINE[:2]].drop_duplicates().itertuples(index=False, name=None)
    looks = plotting.looks(list(lines), WAYS)
    figure, panels = plotting.canvas(3, width=13.2, height=5.2, shared=False)
    for panel, (column, (title, axis)) in zip(panels, SHOWN.items(), strict=True):
        _draw_panel(panel, numbers, column, looks)
        panel.set_title(title)
        panel.set_ylabel(axis + (" (logarithmic)" if panel.get_yscale() == "log" else ""))
    entries = plotting.labelled(panels[0], numbers["evidence"])
    plotting.legend(figure, "outside upper right", entries, ncols=2)
    plotting.title(figure, "C13", TITLE)
    plotting.footnote(figure, _footnote(tables, numbers))
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a line and size: means, with intervals over three runs or more, and what theory says.

    Counts are per multicast. The time predicted of the central sender is its own mean over the
    sizes with the slope that a copy at its pace gives.
    """
    runs = _runs(tables)
    rows: list[dict[str, Any]] = []
    waits_ms: list[float] = []
    for way in WAYS:
        for name, cell in runs[runs["way"] == way].groupby([*LINE, "nodes"]):
            row: dict[str, Any] = {
                **dict(zip([*LINE, "nodes"], name, strict=True)),
                "runs": len(cell),
            }
            for column in SHOWN:
                row |= _mean(column, cell[column])
            rows.append(row | _counts(cell.iloc[0]))
            waits_ms.append(_copy_ms(cell) * row["nodes"])
    if not rows:
        return pd.DataFrame(columns=[*LINE, "nodes"])
    found = pd.DataFrame(rows)
    rest = (found["t_last_ms"] - waits_ms).groupby([found[name] for name in LINE])
    return found.assign(predicted_t_last_ms=waits_ms + rest.transform("mean"))


def _mean(column: str, values: pd.Series[float]) -> dict[str, float]:
    low, high = stats.mean(values).interval(LEVEL) if len(values) > 2 else (np.nan, np.nan)
    return {column: values.mean(), f"{column}_low": low, f"{column}_high": high}


def _counts(run: pd.Series[Any]) -> dict[str, float]:
    """What theory says of the counts, N nodes in a complete K-ary tree.

    An inner node answers twice where answers are gathered: that it has the copy, and that all below
    it have it. With NAK a child says once that it is there.
    """
    nodes, options = int(run["nodes"]), json.loads(run["options"])
    children = inner = math.nan
    if options.get("tree") == "kary":
        children = k_ary_tree.most_children(nodes, options["k"])
        tops = range(1, children + 1)
        inner = sum(bool(k_ary_tree.below(nodes, options["k"], top)) for top in tops)
    heard = {CENTRAL: nodes - 1, EACH: nodes - 1, GATHERED: children + inner}
    heard |= {NAK: children / run["messages"]}
    return {
        "predicted_source_data_per_message": nodes - 1 if run["way"] == CENTRAL else children,
        "predicted_source_heard_control_per_message": heard[run["way"]],
    }


def _copy_ms(runs: pd.DataFrame) -> float:
    """How long the central sender sends a copy; nan for others, and for one without a pace."""
    rate = json.loads(runs["options"].iloc[0]).get("rate_mbit") or math.nan
    central = runs["way"].iloc[0] == CENTRAL
    return 8 * float(runs["data_bytes"].mean()) / (rate * 1e3) if central else math.nan


def _runs(tables: Sequence[RunTables]) -> pd.DataFrame:
    """Healthy streams without loss and faults whose receivers answer, with `LINE`."""
    frames = []
    for one in tables:
        runs = metrics.per_run(one).assign(evidence=one.evidence)
        runs = runs[(runs["kind"] == "stream") & (runs["loss_ratio"] == 0) & (runs["faults"] == "")]
        runs = runs[~runs["voided"].astype(bool)]
        ways = [_way(*each) for each in zip(runs["protocol"], runs["options"], strict=True)]
        runs = runs.assign(way=ways, t_last_ms=runs["t_last"] * runs["round_s"] * 1e3)
        frames.append(runs[runs["way"] != ""])
    named = variants.named(tables, frames, among="way", beside=("nodes",))
    return pd.concat(named, ignore_index=True)


def _way(protocol: str, options: str) -> str:
    stated = json.loads(options)
    if protocol == "centralized":
        return CENTRAL if stated.get("mode") == "ack" else ""
    repair = stated.get("repair", "none") if protocol == "tree" else "none"
    if repair == "none":
        return ""
    if repair == "nak":
        return NAK
    return GATHERED if stated["aggregate"] else EACH


def _draw_panel(axes: Axes, numbers: pd.DataFrame, column: str, looks: plotting.Looks) -> None:
    lines: Any = numbers.groupby(LINE, sort=False)
    for (way, variant, evidence), rows in lines:
        look = looks[way, variant]
        rows = rows[(rows[column] > 0) & np.isfinite(rows[column])]
        if rows.empty:
            continue
        axes.errorbar(
            rows["nodes"],
            rows[column],
            yerr=np.nan_to_num(plotting.bars(rows, column)),
            fmt=look.marker,
            color=look.colour,
            mfc=plotting.face(evidence, look),
            ms=7 - WAYS.index(way),  # those that lie on each other are seen
            capsize=3,
            label=plotting.called(way, variant),
        )
        axes.plot(rows["nodes"], rows[f"predicted_{column}"], look.line, color=look.colour, lw=1.3)
    sizes = sorted(set(numbers["nodes"]))
    if column == "t_last_ms":  # in proportion to N is a straight line
        axes.set_xlim(0, max(sizes) * 1.05)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("nodes N")
        return
    plotting.size_axis(axes, sizes)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))


def _footnote(tables: Sequence[RunTables], numbers: pd.DataFrame) -> str:
    runs = _runs(tables)
    return (
        f"n = {plotting.either(numbers['runs'])} streams a point, of "
        f"{plotting.either(runs['messages'])} multicasts each; bars: {LEVEL:.0%} interval of the "
        "mean, from three streams on. Lines: N-1; in a tree the root's children, two answers of "
        "each that has children itself, and with NAK one word of each a stream; on the right, for "
        "each node more, the time of a copy at the sender's pace. "
        f"{plotting.either(runs['evidence'], 'and')}, {plotting.either(runs['topology'])}, nothing "
        "is lost."
    )
