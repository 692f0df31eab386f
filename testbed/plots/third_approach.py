"""All protocols side by side on one network and one stream: what arrives, when, and at what cost.

The lecture's slide: a central sender and trees pay at one node, SRM and RMTP in control packets
that grow with the group, gossip a little everywhere. Panels of costs are in log-log axes, so growth
is a slope; the table beside the figure has it as an exponent, with its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from testbed import metrics, plotting
from testbed.judging import stats, streams
from testbed.judging.stats import Estimate
from testbed.tables import RunTables

TITLE = "the same stream by every protocol"
NEEDS = "it needs streams of two protocols or more, such as the experiment third_approach"
CLAIMS: tuple[str, ...] = ()
LEVEL = 0.95
ARM = ["protocol", "loss_ratio", "nodes"]
LINE = 0.075
"""Height of a line of small text in a panel, as a share of the panel's."""

COSTS = {
    "control": "control datagrams",
    "source": "datagrams of the sender",
    "core": "packets at the core",
}
"""Columns of the table that are drawn against the group's size."""

COUNTS = (
    *("data", "control", "source_data", "source_control", "duplicates"),
    *("core_data", "core_control"),
)


def draw(tables: Sequence[RunTables]) -> Figure | None:
    numbers = table(tables)
    if numbers.empty or numbers["protocol"].nunique() < 2:
        return None
    protocols = sorted(set(numbers["protocol"]))
    looks = {protocol: plotting.look(protocol, protocols) for protocol in protocols}
    losses, sizes = sorted(set(numbers["loss_ratio"])), sorted(set(numbers["nodes"]))
    # The middle loss: without any, nothing needs repair, and at the highest some have given up.
    loss = losses[len(losses) // 2]
    figure, panels = plotting.canvas(3, rows=2, width=13.4, height=8.6)
    _draw_arrived(panels[0], numbers[numbers["nodes"] == sizes[-1]], looks)
    panels[0].set_title(f"what arrives, N = {sizes[-1]}")
    _draw_delays(panels[1], tables, sizes[-1], loss, looks)
    panels[1].set_title(f"when, N = {sizes[-1]}, loss {loss:.0%}")
    mine = numbers[numbers["loss_ratio"] == loss]
    _draw_series(panels[2], mine, "t_last_s", looks)
    panels[2].set_title(f"to the last node, loss {loss:.0%}")
    panels[2].set_ylabel("seconds (mean)")
    for panel, (cost, label) in zip(panels[3:], COSTS.items(), strict=True):
        _draw_series(panel, mine, cost, looks)
        _write_exponents(panel, mine, cost, looks)
        panel.set_title(f"{label}, loss {loss:.0%}")
        panel.set_ylabel("per multicast")
    lines = {str(line.get_label()): line for line in panels[2].get_lines()}
    figure.legend(
        [lines[protocol] for protocol in protocols],
        [plotting.words(protocol) for protocol in protocols],
        loc="outside right upper",
        frameon=False,
        fontsize=10,
    )
    plotting.title(figure, "", TITLE)
    plotting.footnote(figure, _footnote(tables, numbers))
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a (protocol, loss, nodes): means over the healthy runs, and exponents of the costs.

    Counts are per multicast; `*_exponent` is the log-log slope of a cost over the sizes of the
    protocol at that loss, with its interval, where there are three sizes and the cost is over zero.
    """
    rows = [row for one in tables for row in _rows(one)]
    if not rows:
        return pd.DataFrame(columns=ARM)
    found = pd.DataFrame(rows).sort_values(ARM, ignore_index=True)
    for cost in COSTS:
        growth = {
            arm: _exponent(mine, cost) for arm, mine in found.groupby(["protocol", "loss_ratio"])
        }
        of_arm = pd.MultiIndex.from_frame(found[["protocol", "loss_ratio"]])
        for place, part in enumerate(("", "_low", "_high")):
            values = [growth[arm][place] for arm in of_arm]
            found[f"{cost}_exponent{part}"] = values
    return found


def _rows(tables: RunTables) -> list[dict[str, Any]]:
    if _runs(tables).empty:
        return []
    runs = metrics.per_run(tables)
    runs = runs[runs["run"].isin(_runs(tables)["run"])]
    batches = metrics.per_batch(tables)
    batches = batches[~batches["voided"].astype(bool)]
    pairs = streams.pairs(tables)
    names = [f"{name}_per_message" for name in COUNTS[:5]]
    rows = []
    for cell, mine in runs.groupby("cell"):
        core = batches[batches["cell"] == cell]
        waited = pairs[pairs["run"].isin(mine["run"])]["delay_s"]
        first = mine.iloc[0]
        row: dict[str, Any] = {name: first[name] for name in ARM}
        row |= {"evidence": tables.evidence, "runs": len(mine)}
        row |= {"multicasts": int(first["messages"])}
        row |= {name: mine[name].mean() for name in ("delivery_ratio", "atomicity", *names)}
        row |= {
            f"core_{kind}_per_message": core[f"core_{kind}_per_message"].mean()
            for kind in ("data", "control")
        }
        row |= {"median_s": waited.median(), "p95_s": waited.quantile(0.95)}
        row["t_last_s"] = (mine["t_last"] * mine["round_s"]).mean()
        costs = {
            "control": mine["control_per_message"],
            "source": mine["source_data_per_message"] + mine["source_control_per_message"],
            "core": core["core_data_per_message"] + core["core_control_per_message"],
        }
        for name, values in costs.items():
            row |= {name: values.mean(), f"{name}_se": values.sem() if len(values) > 1 else np.nan}
        rows.append(row)
    return rows


def _runs(tables: RunTables) -> pd.DataFrame:
    """Healthy streams in which nothing fails but datagrams."""
    runs = streams.streams(tables)
    return runs[(runs["faults"] == "") & ~runs["voided"].astype(bool)]


def _exponent(mine: pd.DataFrame, cost: str) -> tuple[float, float, float]:
    """The growth of a cost over the sizes, and its interval; NaN where it has none, as where a
    size has a single count."""
    if len(mine) < 3 or not (mine[cost] > 0).all():
        return (np.nan,) * 3
    means = [
        Estimate(float(value), float(se))
        for value, se in zip(mine[cost], mine[f"{cost}_se"].fillna(0.0), strict=True)
    ]
    growth = stats.exponent(list(mine["nodes"]), means)
    if mine[f"{cost}_se"].isna().any():  # the streams of a size ran at once: one count for all
        return growth.value, np.nan, np.nan
    return (growth.value, *growth.interval(LEVEL))


def _draw_arrived(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, plotting.Look]) -> None:
    losses = sorted(set(rows["loss_ratio"]))
    for place, (protocol, look) in enumerate(looks.items()):
        mine = rows[rows["protocol"] == protocol]
        shift = 0.6 * (place / max(1, len(looks) - 1) - 0.5)
        at = [losses.index(loss) + shift for loss in mine["loss_ratio"]]
        axes.plot(at, mine["delivery_ratio"], look.marker, color=look.colour, ms=7)
    axes.set_xticks(range(len(losses)), [f"{loss:.0%}" for loss in losses])
    axes.set_xlim(-0.5, len(losses) - 0.5)
    axes.set_xlabel("datagrams lost, end to end")
    axes.set_ylabel("delivered, of all (node, multicast) pairs")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(min(0.9, float(rows["delivery_ratio"].min()) - 0.02), 1.01)


def _draw_delays(
    axes: Axes,
    tables: Sequence[RunTables],
    nodes: int,
    loss: float,
    looks: Mapping[str, plotting.Look],
) -> None:
    """The share of pairs delivered by each time; a curve that ends low lost the rest."""
    for protocol, look in looks.items():
        waited, pairs = [np.empty(0)], 0.0
        for one in tables:
            runs = _runs(one)
            runs = runs[(runs["protocol"] == protocol) & (runs["nodes"] == nodes)]
            runs = runs[runs["loss_ratio"] == loss]
            mine = streams.pairs(one)
            waited.append(mine[mine["run"].isin(runs["run"])]["delay_s"].to_numpy(float))
            due = streams.wanted(one)
            pairs += due[due["run"].isin(runs["run"])]["hosts"].sum()
        times = np.sort(np.concatenate(waited))
        if len(times):
            share = np.arange(1, len(times) + 1) / pairs
            axes.step(times, share, look.line, color=look.colour, lw=1.8, where="post")
    axes.set_xscale("log")
    axes.set_xlabel("seconds since the multicast (logarithmic)")
    axes.set_ylabel("share of pairs delivered")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(0, 1.02)


def _draw_series(
    axes: Axes, rows: pd.DataFrame, column: str, looks: Mapping[str, plotting.Look]
) -> None:
    for protocol, look in looks.items():
        mine = rows[(rows["protocol"] == protocol) & (rows[column] > 0)]
        (line,) = axes.plot(mine["nodes"], mine[column], look.line, color=look.colour, lw=1.6)
        line.set(marker=look.marker, markersize=6, label=protocol)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    sizes = sorted(set(rows["nodes"]))
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set_xlabel("nodes N (logarithmic)")


def _write_exponents(
    axes: Axes, rows: pd.DataFrame, cost: str, looks: Mapping[str, plotting.Look]
) -> None:
    """Each protocol's growth exponent at the end of its line, moved apart where lines meet."""
    last = rows.sort_values("nodes").groupby("protocol").tail(1).set_index("protocol")
    ends = last[(last[cost] > 0) & last[f"{cost}_exponent"].notna()].sort_values(cost)
    low, high = axes.get_ylim()
    places = plotting.apart(np.log(ends[cost] / low) / np.log(high / low), LINE)
    for protocol, place in zip(ends.index, places, strict=True):
        axes.text(
            1.02,
            place,
            f"$N^{{{ends.loc[protocol, f'{cost}_exponent']:.2f}}}$",
            color=looks[protocol].colour,
            transform=axes.transAxes,
            va="center",
            fontsize=9,
        )


def _footnote(tables: Sequence[RunTables], numbers: pd.DataFrame) -> str:
    runs = pd.concat([_runs(one) for one in tables], ignore_index=True)
    first = runs.iloc[0]
    counts = sorted(set(numbers["runs"]))
    return (
        f"n = {' or '.join(map(str, counts))} streams a point, of {first['messages']:g} multicasts "
        f"every {first['interval_s']:g} s from {first['sources']} source, round "
        f"{first['round_s']:g} s. {numbers['evidence'].iloc[0]}, {first['topology']}, timing "
        f"{first['timing']}. A datagram to a group is one of its sender and one packet "
        "for each way out of the core. A protocol without control datagrams has no line there. "
        "At a line's end: how it grows with N; intervals in the CSV file beside this figure."
    )
