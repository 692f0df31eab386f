"""What a higher fan-out buys and costs: nodes left out against messages a node.

Every node spreads for one round (infect and die), so the fan-out alone decides: an infected node
sends b messages, and a share of the nodes hears of none. Beside the measurement: what the
independent reference draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from testbed import metrics, plotting
from testbed.judging import stats
from testbed.simulator import reference
from testbed.tables import RunTables

TITLE = "what fan-out costs and what it buys"
NEEDS = (
    "it needs disseminations of push with retention infect_and_die at several fan-outs, such as "
    "the experiment fan_out"
)
CLAIMS: tuple[str, ...] = ()
LEVEL = 0.95
REFERENCE_RUNS = 1000


def draw(tables: Sequence[RunTables]) -> Figure | None:
    runs = _runs(tables)
    if runs["fan_out"].nunique() < 2:
        return None
    numbers = table(tables)
    figure, axes = plotting.canvas()
    sizes = sorted(set(numbers["nodes"]))
    for place, (_, rows) in enumerate(numbers.groupby(["nodes", "loss_ratio"])):
        name = f"{rows['loss_ratio'].iloc[0]:.0%} loss"
        name += f", N = {rows['nodes'].iloc[0]}" if len(sizes) > 1 else ""
        _draw_arm(axes, rows, name, plotting.nth_look(place))
    axes.set_xlim(left=0)
    axes.set_ylim(-0.02, 1.0)
    axes.set_xlabel("messages sent per node")
    axes.set_ylabel("nodes never reached (mean)")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="upper right", frameon=False, fontsize=10)
    plotting.title(figure, "", f"{TITLE}, N = {', '.join(map(str, sizes))}")
    first = runs.iloc[0]
    counts = sorted(set(numbers["runs"]))
    plotting.footnote(
        figure,
        f"Numbers at the points: fan-out b. Bars: {LEVEL:.0%} interval of the mean (bootstrap by "
        f"run), n = {' or '.join(map(str, counts))} runs a point. Lines: the independent "
        f"reference, {REFERENCE_RUNS} draws. {first['evidence']}, {first['topology']}, timing "
        f"{first['timing']}, each node spreads in one of its rounds.",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a point: what was measured, with intervals, and what the reference draws."""
    rows = []
    for _, runs in _runs(tables).groupby(["nodes", "loss_ratio", "fan_out"]):
        first = runs.iloc[0]
        nodes, loss, fan_out = (
            int(first["nodes"]),
            float(first["loss_ratio"]),
            int(first["fan_out"]),
        )
        residue = runs["residue"].to_numpy(float)
        low, high = stats.bootstrap_mean(residue, LEVEL)
        drawn = reference.sample(
            nodes,
            fan_out,
            runs=REFERENCE_RUNS,
            replacement=bool(first["replacement"]),
            loss_ratio=loss,
            rounds=1,
        )
        left_out = float(np.isinf(drawn.infected_at).mean())
        rows.append(
            {
                "nodes": nodes,
                "loss_ratio": loss,
                "fan_out": fan_out,
                "runs": len(runs),
                "messages_per_node": runs["traffic"].mean(),
                "residue": residue.mean(),
                "residue_low": low,
                "residue_high": high,
                "reached_all": float((residue == 0).mean()),
                "predicted_messages_per_node": fan_out * (1 - left_out),
                "predicted_residue": left_out,
            }
        )
    return pd.DataFrame(rows)


def _runs(tables: Sequence[RunTables]) -> pd.DataFrame:
    """Healthy runs of push that spreads in one round only."""
    found = []
    for one in tables:
        runs = metrics.per_run(one).assign(evidence=one.evidence)
        wanted = (runs["retention"] == "infect_and_die") & (runs["protocol"] == "push")
        wanted &= (runs["sources"] != "all") & (runs["kind"] != "stream")
        found.append(runs[wanted & ~runs["voided"].astype(bool)])
    return pd.concat(found, ignore_index=True)


def _draw_arm(axes: Axes, rows: pd.DataFrame, name: str, look: plotting.Look) -> None:
    axes.plot(
        rows["predicted_messages_per_node"],
        rows["predicted_residue"],
        look.line,
        color=look.colour,
        lw=1.4,
        label=f"{name}, predicted",
    )
    below, above = rows["residue"] - rows["residue_low"], rows["residue_high"] - rows["residue"]
    bars: Any = np.array([below, above]).clip(min=0)
    axes.errorbar(
        rows["messages_per_node"],
        rows["residue"],
        yerr=bars,
        fmt=look.marker,
        color=look.colour,
        markersize=6,
        capsize=3,
        label=f"{name}, measured",
    )
    for _, row in rows.iterrows():
        axes.annotate(
            f"{row['fan_out']:g}",
            (row["messages_per_node"], row["residue"]),
            textcoords="offset points",
            xytext=(6, 5),
            fontsize=9,
            color=look.colour,
        )
