"""What each policy makes of packets that cannot carry everything.

A stream whose load, rate x period / (B x b), rises past 1: the share of the stream that arrives, in
all and of the highest and the lowest priority, how long it takes, how old a full buffer's losses
are, and how many places in packets low priorities take from higher ones. Variants of a policy, and
what was simulated, are lines of their own.
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
from testbed.judging import stats, variants
from testbed.measures import streams
from testbed.tables import RunTables
from testbed.theory.even_copies import even_copies

TITLE = "packets that cannot carry everything: what each policy makes of it"
NEEDS = "it needs streams of buffered_push at several loads, such as buffer_policies"
CLAIMS: tuple[str, ...] = ()
PROTOCOL = "buffered_push"
LEVEL = 0.95
LINE = ["policy", "variant", "evidence"]
ARM = [*LINE, "load", "packet_limit"]
LOAD = ("policy", "packet_limit", "interval_s", "round_s", "sources")
"""What a line is, and what moves along it."""
STATED = ("packet_limit", "priority_levels", "buffer_limit", "eviction")
"""Options that the table or the footnote needs."""
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
    lines = numbers[LINE[:2]].drop_duplicates().itertuples(index=False, name=None)
    looks = plotting.looks(sorted(lines, key=lambda line: POLICIES.index(line[0])), POLICIES)
    for panel, (column, title) in zip(panels, PANELS.items(), strict=True):
        for (policy, variant), look in looks.items():
            mine = (numbers["policy"] == policy) & (numbers["variant"] == variant)
            for evidence, rows in numbers[mine].groupby("evidence"):
                _draw_series(panel, rows, column, look, str(evidence))
        panel.set_title(title)
        panel.set_ylabel(LABELS.get(column, LABELS["delivered"]))
        if column not in ("delay_s", "age_at_loss"):
            panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            panel.set_ylim(-0.02, 1.04)
        else:
            panel.set_ylim(bottom=0)
        _load_axis(panel, sorted(set(numbers["load"])))
    entries = plotting.labelled(panels[0], numbers["evidence"])
    loads = np.geomspace(numbers["load"].min(), numbers["load"].max(), 100)
    bounds = {
        "no copy twice: 1 / load": np.minimum(1, 1 / loads),
        "copies dealt evenly:\n1 - exp(-1 / load)": [*map(even_copies, loads)],
    }
    for (label, bound), style in zip(bounds.items(), (":", "--"), strict=True):
        (line,) = panels[0].plot(loads, bound, color=plotting.INK, lw=1.2, ls=style)
        entries.append((line, label))
    plotting.legend(figure, "outside right upper", entries)
    plotting.title(figure, "", TITLE)
    plotting.footnote(figure, _footnote(_named(tables), numbers))
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row an `ARM`: means over the healthy runs with their intervals."""
    rows = []
    for arm, mine in _named(tables).groupby(ARM, sort=True):
        row: dict[str, Any] = {**dict(zip(ARM, arm, strict=True)), "runs": len(mine)}
        for column in (*PANELS, "priority_inversions", "duplicates_per_message"):
            values = mine[column].dropna().astype(float)
            row[column] = values.mean() if len(values) else np.nan
            low = high = row[column]
            if len(values) > 1:
                low, high = stats.mean(list(values)).interval(LEVEL)
            row |= {f"{column}_low": low, f"{column}_high": high}
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ARM)


def _named(tables: Sequence[RunTables]) -> pd.DataFrame:
    """The runs of all directories, with `ARM`."""
    frames = variants.named(tables, [*map(_runs, tables)], among="policy", beside=LOAD)
    return pd.concat(frames, ignore_index=True)


def _runs(tables: RunTables) -> pd.DataFrame:
    """Healthy runs of the protocol with the columns of the table, a row each."""
    streamed = streams.streams(tables)
    if not (streamed["protocol"] == PROTOCOL).any():
        return pd.DataFrame(columns=[*ARM, "cell"])
    runs = metrics.per_run(tables)
    runs = runs[(runs["protocol"] == PROTOCOL) & ~runs["voided"].astype(bool)]
    runs = runs[(runs["kind"] == "stream") & (runs["faults"] == "") & (runs["interval_s"] > 0)]
    runs = runs.set_index("run", drop=False)
    if runs.empty:
        return pd.DataFrame(columns=[*ARM, "cell"])
    options = pd.DataFrame([_options(tables, cell) for cell in runs["cell"]], index=runs.index)
    rate = _senders(runs) / runs["interval_s"].astype(float)
    packets_s = options["packet_limit"] * options["fan_out"] / runs["round_s"]
    found = runs.assign(
        policy=options["policy"],
        **{name: options[name] for name in STATED},
        senders=_senders(runs),
        load=(rate / packets_s).round(3),
        evidence=tables.evidence,
        delivered=runs["delivery_ratio"],
        delay_s=runs["t_ave"] * runs["round_s"],
        inversions_share=runs["priority_inversions"] / options["packet_limit"],
    )
    levels = options["priority_levels"]
    for name, level in (("top_priority", levels - 1), ("bottom_priority", levels * 0)):
        found[name] = _delivered(tables, levels, level)
    return found[found["load"] > 0]


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


def _draw_series(
    axes: Axes, rows: pd.DataFrame, column: str, look: plotting.Look, evidence: str
) -> None:
    name = plotting.called(*rows[LINE[:2]].iloc[0]).replace("_", " ")
    rows = rows[rows[column].notna()]
    (line,) = axes.plot(rows["load"], rows[column], look.line, color=look.colour, lw=1.7)
    line.set(marker=look.marker, markersize=6, mfc=plotting.face(evidence, look), label=name)
    bars = plotting.bars(rows, column)
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


def _footnote(runs: pd.DataFrame, numbers: pd.DataFrame) -> str:
    def said(name: str, form: str = "") -> str:
        return plotting.either(format(value, form) for value in runs[name])

    limits = [f"{limit:g}" for limit in sorted(set(numbers["packet_limit"]))]
    return (
        f"Bars: {LEVEL:.0%} interval of the mean, n = {plotting.either(numbers['runs'])} streams a "
        f"point. {plotting.either(numbers['evidence'], 'and')}, {said('topology')}, N = "
        f"{said('nodes')}, timing {said('timing')}, loss {said('loss_ratio', '.0%')}; "
        f"{said('senders', 'g')} sources with a multicast every {said('interval_s', 'g')} s each, "
        f"of {said('priority_levels')} priorities in turn; period P = {said('round_s', 'g')} s, "
        f"b = {said('fan_out')}, B = {', '.join(limits)} rumours a packet, retention "
        f"{said('retention')}; a buffer of M = {said('buffer_limit')} evicts by "
        f"{said('eviction').replace('_', ' ')}. No point: nothing was lost. "
        "The last multicasts of a stream have the packets to themselves: short streams lie higher."
    )
