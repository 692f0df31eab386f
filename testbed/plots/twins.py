"""What runs on hosts and their simulated twins have in common: distributions side by side.

A panel each protocol and statistic; in it a pair of curves each size and loss, the share of the
runs that stayed at or below a value. Where the coloured line covers the black one the two agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from testbed import plotting
from testbed.claims.twins import pairs_of
from testbed.judging.selection import Arm, dissemination
from testbed.tables import RunTables

TITLE = "runs on hosts and their simulated twins"
NEEDS = "it needs runs on hosts and simulated ones of the experiment twins"
CLAIMS = ("twins",)
SHOWN = {
    "rounds_to_all": "time to the last infection (periods)",
    "sends_to_last_infection": "sends until then",
    "core_crossings_per_round": "core crossings per period",
}


def draw(tables: Sequence[RunTables]) -> Figure | None:
    every = sorted({str(p) for t in tables for p in t.runs["protocol"].unique()})
    arms = {p: [arm for arm in dissemination(tables, p) if len(arm.healthy)] for p in every}
    found = {p: several for p in every if (several := pairs_of(arms[p]))}
    if not found:
        return None
    pairs = {protocol: _alike(mine) for protocol, mine in found.items()}
    width, height = 3.4 * len(pairs) + 0.6, 3.0 * len(SHOWN) + 1.2
    figure, axes = plotting.canvas(len(pairs), rows=len(SHOWN), width=width, height=height)
    sizes = sorted({n for pair in pairs.values() for arm, _ in pair for n in arm.sizes})
    entries: dict[str, Any] = {}
    for place, panel in enumerate(axes):
        metric = list(SHOWN)[place // len(pairs)]
        protocol = list(pairs)[place % len(pairs)]
        for (arm, twin), line in zip(pairs[protocol], ("-", "--"), strict=False):
            entries |= _draw_pair(panel, metric, arm, twin, sizes, line)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.set_xlabel(SHOWN[metric])
        if place < len(pairs):
            panel.set_title(plotting.words(protocol), fontsize=11)
    figure.supylabel("share of the runs at or below", fontsize=11)
    figure.legend(
        list(entries.values()), list(entries), loc="outside upper right", ncols=5, frameon=False
    )
    plotting.title(figure, "", TITLE)
    first, _ = next(iter(pairs.values()))[0]
    every_pair = [pair for each in pairs.values() for pair in each]
    losses = sorted({_loss(arm) for arm, _ in every_pair})
    plotting.footnote(
        figure,
        f"n = {_counts([arm for arm, _ in every_pair])} runs a curve on hosts, "
        f"{_counts([twin for _, twin in every_pair])} simulated; no interval is drawn. Loss: "
        f"{losses[0]:.0%} solid{f', {losses[-1]:.0%} dashed' if len(losses) > 1 else ''}. Timing "
        f"{first.conditions['timing']}, fan-out {first.conditions['fan_out']}, "
        f"{first.conditions['topology']}."
        f"{plotting.left_out(sum(map(len, found.values())) - len(every_pair))}",
    )
    return figure


def _counts(arms: Sequence[Arm]) -> str:
    """Healthy runs a size, from the fewest to the most."""
    counts = sorted(int(n) for arm in arms for n in arm.healthy.groupby("nodes").size())
    return f"{counts[0]}..{counts[-1]}"


def _alike(pairs: Sequence[tuple[Arm, Arm]]) -> list[tuple[Arm, Arm]]:
    """The pairs that differ from the first in the loss alone: the lowest loss, and the highest."""
    first, _ = pairs[0]
    alike = [
        (arm, twin)
        for arm, twin in pairs
        if arm.matches(replace(first, conditions={**first.conditions, "loss_ratio": _loss(arm)}))
    ]
    alike.sort(key=lambda pair: _loss(pair[0]))
    return [alike[0], alike[-1]] if len(alike) > 1 else alike


def _loss(arm: Arm) -> float:
    return float(arm.conditions["loss_ratio"])


def _draw_pair(
    axes: Axes, metric: str, arm: Arm, twin: Arm, sizes: Sequence[int], line: str
) -> dict[str, Any]:
    """Draws the curves of one loss; returns the entries of the legend."""
    entries: dict[str, Any] = {}
    for nodes in arm.sizes:
        mine, other = (_sorted(each.values(metric, nodes)) for each in (arm, twin))
        if not len(mine) or not len(other):
            continue
        colour = plotting.nth_look(sizes.index(nodes)).colour
        (shown,) = axes.step(mine, _share(mine), line, color=colour, lw=3.2, alpha=0.6)
        (thin,) = axes.step(other, _share(other), line, color=plotting.INK, lw=0.9)
        entries |= {f"N = {nodes}, on hosts": shown, "simulated": thin} if line == "-" else {}
    return entries


def _sorted(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sort(values[np.isfinite(values)])


def _share(values: NDArray[np.float64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = np.arange(1, len(values) + 1) / len(values)
    return share
