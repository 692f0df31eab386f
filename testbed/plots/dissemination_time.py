"""Dissemination time against N, which a straight line fits when N is on a logarithmic axis.

Beside the mean of each size and its interval: every run, the mean that the independent reference
draws under the same conditions, and the line a + b ln N fitted to the runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from testbed import plotting
from testbed.judging import growth, rules, stats
from testbed.judging.selection import Arm, dissemination
from testbed.tables import RunTables

TITLE = "rounds until the last node has the multicast"
NEEDS = "it needs disseminations at three sizes, such as the experiment latency"
CLAIMS = ("C1", "C12")
LEVEL = 0.95
LEAST_SIZES = 3


def draw(tables: Sequence[RunTables]) -> Figure | None:
    protocols = sorted({str(p) for t in tables for p in t.runs["protocol"].unique()})
    arms = [
        arm
        for p in protocols
        for arm in dissemination(tables, p)
        if arm.conditions["retention"] == "forever" and len(arm.sizes) >= LEAST_SIZES
    ]
    if not arms:
        return None
    figure, axes = plotting.canvas()
    entries: list[tuple[Any, str]] = []
    names = plotting.names(arms)
    looks = plotting.looks([(arm.protocol, name) for arm, name in zip(arms, names, strict=True)])
    for arm, name in zip(arms, names, strict=True):
        entries += _draw_arm(axes, arm, name, looks[arm.protocol, name])
    if predicted := [line for arm in arms for line in _draw_reference(axes, arm)]:
        entries.append((predicted[0], "predicted mean (independent reference)"))
    plotting.size_axis(axes, sorted({n for arm in arms for n in arm.sizes}))
    axes.set_ylim(0, axes.get_ylim()[1] * 1.25)  # room for the legend
    axes.set_ylabel("time to the last node (gossip periods)")
    plotting.legend(axes, "upper left", entries)
    plotting.title(figure, ", ".join(CLAIMS), TITLE)
    plotting.footnote(figure, _note(arms))
    return figure


def _note(arms: Sequence[Arm]) -> str:
    times = [arm.values("rounds_to_all", n) for arm in arms for n in arm.sizes]
    counts = sorted({len(t) for t in times})
    span = f"{counts[0]}..{counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    unreached = sum(int(np.isinf(t).sum()) for t in times)
    never = f" {unreached} runs left a node unreached and are not drawn." if unreached else ""
    return (
        f"Dots: runs, n = {span} a size. Bars: {LEVEL:.0%} interval of the mean.{never} "
        f"Conditions: {plotting.conditions([arm.conditions for arm in arms])}."
    )


def _draw_arm(axes: Axes, arm: Arm, name: str, look: plotting.Look) -> list[tuple[Any, str]]:
    """Draws one arm's runs, means and fitted line; returns the entries of the legend."""
    rng = np.random.default_rng(1)
    aside = 1.04 if arm.protocol == "topology_aware" else 1 / 1.04
    finished = {n: _finite(arm, n) for n in arm.sizes}
    finished = {n: times for n, times in finished.items() if len(times) >= 2}
    for nodes, times in finished.items():
        jitter = nodes * aside**2 * np.exp(rng.uniform(-0.03, 0.03, len(times)))
        axes.plot(jitter, times, ".", color=look.colour, alpha=0.25, markersize=4, zorder=1)
    if len(finished) < LEAST_SIZES:
        return []
    means = {n: stats.mean(t) for n, t in finished.items()}
    middle = np.array([m.value for m in means.values()])
    ends = np.array([m.interval(LEVEL) for m in means.values()]).T
    bars = axes.errorbar(
        np.array(list(means)) * aside,
        middle,
        yerr=np.abs(ends - middle),
        fmt=look.marker,
        color=look.colour,
        markersize=7,
        capsize=4,
        zorder=3,
    )
    smooth = np.geomspace(min(means), max(means), 50)
    law = growth.fit(list(means), list(means.values()))["log N"]
    (line,) = axes.plot(smooth, law.predict(smooth), look.line, color=look.colour, lw=1.5, zorder=2)
    constant, factor = law.coefficients
    sign = "+" if constant >= 0 else "-"
    return [
        (bars, f"{name}, measured mean"),
        (line, f"fitted: {factor:.2f} ln N {sign} {abs(constant):.2f}"),
    ]


def _draw_reference(axes: Axes, arm: Arm) -> list[Any]:
    """The means that the reference draws; nothing for conditions that it has not."""
    if not rules.has_reference(arm):
        return []
    aware = arm.protocol == "topology_aware"
    mean = [
        rules.reference_sample(n, arm.conditions, topology_aware=aware).rounds_to_all.mean()
        for n in arm.sizes
    ]
    return axes.plot(arm.sizes, mean, "x:", color=plotting.INK, lw=1.2, ms=7, mew=1.6, zorder=4)


def _finite(arm: Arm, nodes: int) -> NDArray[np.float64]:
    times = arm.values("rounds_to_all", nodes)
    return times[np.isfinite(times)]
