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
from testbed.judging import stats, variants
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
LINE = ["variant", "evidence", "nodes", "loss_ratio"]


def draw(tables: Sequence[RunTables]) -> Figure | None:
    runs = _runs(tables)
    if runs["fan_out"].nunique() < 2:
        return None
    numbers = table(tables)
    figure, axes = plotting.canvas()
    sizes = sorted(set(numbers["nodes"]))
    lines: Any = numbers.groupby(LINE)
    for place, ((variant, evidence, nodes, loss), rows) in enumerate(lines):
        name = f"{variant}, " * bool(variant) + f"{loss:.0%} loss"
        name += f", N = {nodes}" * (len(sizes) > 1)
        name += plotting.from_where(evidence, numbers["evidence"])
        _draw_arm(axes, rows, name, plotting.nth_look(place))
    axes.set_xlim(left=0)
    axes.set_ylim(-0.02, 1.0)
    axes.set_xlabel("messages sent per node")
    axes.set_ylabel("nodes never reached (mean)")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    plotting.legend(axes, "upper right", plotting.labelled(axes, ()))
    plotting.title(figure, "", f"{TITLE}, N = {', '.join(map(str, sizes))}")
    plotting.footnote(
        figure,
        f"Numbers at the points: fan-out b. Bars: {LEVEL:.0%} interval of the mean (bootstrap by "
        f"run), n = {plotting.either(numbers['runs'])} runs a point. Lines: the independent "
        f"reference, {REFERENCE_RUNS} draws. {plotting.either(runs['evidence'], 'and')}, "
        f"{plotting.either(runs['topology'])}, timing {plotting.either(runs['timing'])}, each node "
        "spreads in one of its rounds.",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a point: what was measured, with intervals, and what the reference draws."""
    rows = []
    points: Any = _runs(tables).groupby([*LINE, "fan_out"])
    for (*line, b), runs in points:
        nodes, loss, fan_out = int(line[2]), float(line[3]), int(b)
        residue = runs["residue"].to_numpy(float)
        low, high = stats.bootstrap_mean(residue, LEVEL)
        drawn = reference.sample(
            nodes,
            fan_out,
            runs=REFERENCE_RUNS,
            replacement=bool(runs["replacement"].iloc[0]),
            loss_ratio=loss,
            rounds=1,
        )
        left_out = float(np.isinf(drawn.infected_at).mean())
        rows.append(
            {
                **dict(zip(LINE, line, strict=True)),
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
    """Healthy runs of push that spreads in one round only, and nothing fails but datagrams."""
    found = []
    for one in tables:
        runs = metrics.per_run(one).assign(evidence=one.evidence)
        wanted = (runs["retention"] == "infect_and_die") & (runs["protocol"] == "push")
        wanted &= (runs["sources"] != "all") & (runs["kind"] != "stream") & (runs["faults"] == "")
        found.append(runs[wanted & ~runs["voided"].astype(bool)])
    shown = ("nodes", "loss_ratio", "fan_out")
    return pd.concat(variants.named(tables, found, beside=shown), ignore_index=True)


def _draw_arm(axes: Axes, rows: pd.DataFrame, name: str, look: plotting.Look) -> None:
    axes.plot(
        rows["predicted_messages_per_node"],
        rows["predicted_residue"],
        look.line,
        color=look.colour,
        lw=1.4,
        label=f"{name}, predicted",
    )
    axes.errorbar(
        rows["messages_per_node"],
        rows["residue"],
        yerr=plotting.bars(rows, "residue"),
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
