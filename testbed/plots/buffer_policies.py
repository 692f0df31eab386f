"""What each policy makes of packets that cannot carry everything.

A stream whose load, rate x period / (B x b), rises past 1: the share of the stream that arrives, in
all and of the highest and the lowest priority, how long it takes, how old a full buffer's losses
are, and how many places in packets low priorities take from higher ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from agents.parts.buffer import POLICIES
from testbed import metrics, plotting
from testbed.judging import stats, streams
from testbed.tables import RunTables
from testbed.theory.even_copies import even_copies

TITLE = "packets that cannot carry everything: what each policy makes of it"
NEEDS = "it needs streams of buffered_push at several loads, such as buffer_policies"
CLAIMS: tuple[str, ...] = ()
PROTOCOL = "buffered_push"
LEVEL = 0.95
ARM = ["policy", "load"]
PANELS = {
    "delivered": "what arrives, of all",
    "top_priority": "of the highest priority",
    "bottom_priority": "of the lowest priority",
    "delay_s": "when: mean of what arrives",
    "age_at_loss": "age of what full buffers lose",
    "inversions_share": "priority inversions",
}
"""Columns of the table, and the titles of their panels."""

LABELS = {
    "delivered": "delivered, of (node, multicast) pairs",
    "delay_s": "seconds",
    "age_at_loss": "rounds since the multicast",
    "inversions_share": "outranked by one left out, of B places",
}


def draw(tables: Sequence[RunTables]) -> Figure | None:
    numbers = table(tables)
    if numbers["load"].nunique() < 2:
        return None
    figure, panels = plotting.canvas(3, rows=2, width=13.0, height=8.0)
    shown = [policy for policy in POLICIES if policy in set(numbers["policy"])]
    for panel, (column, title) in zip(panels, PANELS.items(), strict=True):
        for policy in shown:
            _draw_series(panel, numbers[numbers["policy"] == policy], column, policy)
        panel.set_title(title)
        panel.set_ylabel(LABELS.get(column, LABELS["delivered"]))
        if column not in ("delay_s", "age_at_loss"):
            panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            panel.set_ylim(-0.02, 1.04)
        else:
            panel.set_ylim(bottom=0)
        _load_axis(panel, sorted(set(numbers["load"])))
    lines = {str(line.get_label()): line for line in panels[0].get_lines()}
    loads = np.geomspace(numbers["load"].min(), numbers["load"].max(), 100)
    bounds = [
        *panels[0].plot(loads, np.minimum(1, 1 / loads), color=plotting.INK, lw=1.2, ls=":"),
        *panels[0].plot(loads, [*map(even_copies, loads)], color=plotting.INK, lw=1.2, ls="--"),
    ]
    figure.legend(
        [*(lines[policy] for policy in shown), *bounds],
        [
            *(policy.replace("_", " ") for policy in shown),
            "no copy twice: 1 / load",
            "copies dealt evenly:\n1 - exp(-1 / load)",
        ],
        loc="outside right upper",
        frameon=False,
        fontsize=10,
    )
    plotting.title(figure, "", TITLE)
    plotting.footnote(figure, _footnote(tables, numbers))
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a policy and load: means over the healthy runs with their intervals."""
    runs = pd.concat([pd.DataFrame(columns=ARM), *map(_runs, tables)], ignore_index=True)
    rows = []
    for (policy, load), mine in runs.groupby(ARM, sort=True):
        row: dict[str, Any] = {"policy": policy, "load": load, "runs": len(mine)}
        row |= {name: mine[name].iloc[0] for name in ("packet_limit", "evidence")}
        for column in (*PANELS, "priority_inversions", "duplicates_per_message"):
            values = mine[column].dropna().astype(float)
            row[column] = values.mean() if len(values) else np.nan
            low = high = row[column]
            if len(values) > 1:
                low, high = stats.mean(list(values)).interval(LEVEL)
            row |= {f"{column}_low": low, f"{column}_high": high}
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ARM)


def _runs(tables: RunTables) -> pd.DataFrame:
    """Healthy runs of the protocol with the columns of the table, a row each."""
    streamed = streams.streams(tables)
    if not (streamed["protocol"] == PROTOCOL).any():
        return pd.DataFrame(columns=ARM)
    runs = metrics.per_run(tables)
    runs = runs[(runs["protocol"] == PROTOCOL) & ~runs["voided"].astype(bool)]
    runs = runs[(runs["kind"] == "stream") & (runs["faults"] == "")].set_index("run", drop=False)
    if runs.empty:
        return pd.DataFrame(columns=ARM)
    options = pd.DataFrame([_options(tables, cell) for cell in runs["cell"]], index=runs.index)
    rate = _senders(runs) / runs["interval_s"].astype(float)
    packets_s = options["packet_limit"] * options["fan_out"] / runs["round_s"]
    found = runs.assign(
        policy=options["policy"],
        packet_limit=options["packet_limit"],
        load=(rate / packets_s).round(3),
        evidence=tables.evidence,
        delivered=runs["delivery_ratio"],
        delay_s=runs["t_ave"] * runs["round_s"],
        inversions_share=runs["priority_inversions"] / options["packet_limit"],
    )
    levels = options["priority_levels"]
    for name, level in (("top_priority", levels - 1), ("bottom_priority", levels * 0)):
        found[name] = _delivered(tables, levels, level)
    return found


def _options(tables: RunTables, cell: int) -> Mapping[str, Any]:
    cells = tables.manifest["experiment"]["cells"]
    options: Mapping[str, Any] = next(each for each in cells if each["index"] == cell)["options"]
    return options


def _senders(runs: pd.DataFrame) -> pd.Series[float]:
    words = runs["sources"].replace({"one": "1"})
    return words.where(words != "all", runs["nodes"]).astype(float)


def _delivered(
    tables: RunTables, levels: pd.Series[int], level: pd.Series[int]
) -> pd.Series[float]:
    """The share of the pairs of one priority that were delivered, by run."""

    def of_level(frame: pd.DataFrame) -> pd.DataFrame:
        mine = frame[frame["run"].isin(levels.index)]
        priority = mine["sequence"] % mine["run"].map(levels)
        return mine[priority == mine["run"].map(level)]

    due = of_level(streams.wanted(tables)).groupby("run")["hosts"].sum()
    came = of_level(streams.pairs(tables)).groupby("run").size()
    share: pd.Series[float] = came.reindex(due.index, fill_value=0) / due
    return share


def _draw_series(axes: Axes, rows: pd.DataFrame, column: str, policy: str) -> None:
    look = plotting.nth_look(POLICIES.index(policy))
    rows = rows[rows[column].notna()]
    below, above = rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column]
    (line,) = axes.plot(rows["load"], rows[column], look.line, color=look.colour, lw=1.7)
    line.set(marker=look.marker, markersize=6, label=policy)
    bars: Any = np.array([below, above]).clip(min=0)
    axes.errorbar(
        rows["load"], rows[column], yerr=bars, fmt="none", ecolor=look.colour, capsize=2.5, lw=1
    )


def _load_axis(axes: Axes, loads: Sequence[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(loads) / 1.15, max(loads) * 1.15)
    axes.set_xticks(list(loads))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda load, _: f"{load:.2f}".rstrip("0").rstrip("."))
    )
    axes.axvline(1.0, color=plotting.GREY, lw=0.8)
    axes.tick_params("x", labelsize=9.5)
    axes.set_xlabel("load: rate P / (B b), logarithmic")


def _footnote(tables: Sequence[RunTables], numbers: pd.DataFrame) -> str:
    first = next(one for one in tables if not _runs(one).empty)
    run = _runs(first).iloc[0]
    options = _options(first, run["cell"])
    counts = sorted(set(numbers["runs"]))
    limits = [f"{limit:g}" for limit in sorted(set(numbers["packet_limit"]))]
    return (
        f"Bars: {LEVEL:.0%} interval of the mean, n = {' or '.join(map(str, counts))} streams a "
        f"point. {numbers['evidence'].iloc[0]}, {run['topology']}, N = {run['nodes']}, timing "
        f"{run['timing']}, loss {float(run['loss_ratio']):.0%}; {_senders(_runs(first)).iloc[0]:g} "
        f"sources with a multicast every {run['interval_s']:g} s each, of "
        f"{options['priority_levels']} priorities in turn; period P = {run['round_s']:g} s, "
        f"b = {options['fan_out']}, B = {', '.join(limits)} rumours a packet, retention "
        f"{options['retention']}; a buffer of M = {options['buffer_limit']} evicts by "
        f"{options['eviction'].replace('_', ' ')}. No point: nothing was lost. "
        "The last multicasts of a stream have the packets to themselves: short streams lie higher."
    )
