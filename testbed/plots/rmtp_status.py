"""C15: RMTP's status messages for each multicast, in the whole network and at the source.

Everybody reports once a period, so the network carries N-1 of them whatever the tree of designated
receivers; the source hears its own subnet and the other subnets' receivers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from testbed import metrics, plotting
from testbed.judging import selection, stats
from testbed.measures import statuses
from testbed.tables import RunTables

TITLE = "RMTP: status messages for each multicast"
NEEDS = "it needs streams of rmtp with one source and several sizes, such as rmtp_status"
CLAIMS = ("C15",)
LEVEL = 0.95
SHOWN = {
    "status_per_message": "in the whole network",
    "source_status_per_message": "at the source",
}


def draw(tables: Sequence[RunTables]) -> Figure | None:
    numbers = table(tables)
    if numbers["nodes"].nunique() < 2:
        return None
    figure, axes = plotting.canvas()
    sizes = sorted(set(numbers["nodes"]))
    for place, (column, name) in enumerate(SHOWN.items()):
        look = plotting.nth_look(place)
        axes.errorbar(
            numbers["nodes"],
            numbers[column],
            yerr=plotting.bars(numbers, column),
            fmt=look.marker,
            color=look.colour,
            markersize=6,
            capsize=3,
            label=f"{name}, measured",
        )
        axes.plot(
            numbers["nodes"],
            numbers[f"predicted_{column}"],
            look.line,
            color=look.colour,
            lw=1.3,
            label=("N-1" if place == 0 else "its subnet and one a further subnet, less losses"),
        )
    plotting.size_axis(axes, sizes)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylabel("status messages per multicast (logarithmic)")
    axes.legend(loc="upper left", frameon=False, fontsize=10)
    plotting.title(figure, "C15", TITLE)
    arm, *others = _arms(tables)
    plotting.footnote(
        figure,
        f"Bars: {LEVEL:.0%} interval of the mean, n = {plotting.either(numbers['runs'])} runs a "
        f"point. A multicast each period of the status. {arm.conditions['evidence']}, "
        f"{arm.conditions['topology']} of {arm.conditions['subnets']} subnets, "
        f"{float(arm.conditions['loss_ratio']):.0%} of the datagrams lost."
        f"{plotting.left_out(len(others))}",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a size: means with intervals, and what the tree alone would give."""
    rows = []
    for arm in _arms(tables)[:1]:
        subnets, loss = int(arm.conditions["subnets"]), float(arm.conditions["loss_ratio"])
        for nodes in arm.sizes:
            row: dict[str, Any] = {"nodes": nodes, "runs": len(arm.values("nodes", nodes))}
            if row["runs"] < 2:
                continue
            for column in SHOWN:
                mean = stats.mean(arm.values(column, nodes))
                low, high = mean.interval(LEVEL)
                row |= {column: mean.value, f"{column}_low": low, f"{column}_high": high}
            row["predicted_status_per_message"] = nodes - 1.0
            near = nodes / subnets - 1 + subnets - 1
            row["predicted_source_status_per_message"] = near * (1 - loss)
            rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["nodes"])


def _arms(tables: Sequence[RunTables]) -> list[selection.Arm]:
    frames = [selection.marked(metrics.per_run(t), t, i) for i, t in enumerate(tables)]
    found = [f[f["status_per_message"].notna() & (f["subnets"] > 1)] for f in frames]
    return selection.arms(found, statuses.PROTOCOL)
