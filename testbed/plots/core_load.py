"""Core packets per round against N: O(N) under uniform choice, O(1) under topology-aware choice.

Log-log axes, so that a power law is a line and its exponent the slope.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from testbed import plotting
from testbed.judging import stats
from testbed.judging.selection import Arm, saturated
from testbed.tables import RunTables
from testbed.theory.topology_aware_crossings import topology_aware_crossings
from testbed.theory.uniform_crossings import uniform_crossings, uniform_exponent

TITLE = "packets through the core router per round"
NEEDS = "it needs saturated runs, such as those of the experiment core_load"
CLAIMS = ("C11", "C12")
LEVEL = 0.95
NAMED = 4
"""Arms of which the footnote says the rounds one by one."""


def draw(tables: Sequence[RunTables]) -> Figure | None:
    protocols = sorted({str(p) for t in tables for p in t.runs["protocol"].unique()})
    arms = [arm for p in protocols for arm in saturated(tables, p)]
    if not arms:
        return None
    figure, axes = plotting.canvas()
    entries, names = [], plotting.names(arms)
    looks = plotting.looks([(arm.protocol, name) for arm, name in zip(arms, names, strict=True)])
    for arm, name in zip(arms, names, strict=True):
        entries += _draw_arm(axes, arm, name, looks[arm.protocol, name])
    plotting.size_axis(axes, sorted({n for arm in arms for n in arm.sizes}))
    axes.set_yscale("log", base=2)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    low, high = axes.get_ylim()
    axes.set_ylim(low / 2, high * 2 ** (0.85 * min(len(entries), plotting.ROOM)))  # for the legend
    axes.set_ylabel("core packets per round and multicast\n(both directions, logarithmic)")
    plotting.legend(axes, "upper left", entries)
    plotting.title(figure, ", ".join(CLAIMS), TITLE)
    rounds = [f"{_rounds(arm):,.0f}" for arm in arms]
    counts = [f"{name} {n}" for name, n in zip(names, rounds, strict=True)]
    said = ", ".join(counts) if len(counts) <= NAMED else plotting.either(rounds)
    plotting.footnote(
        figure,
        f"Every node spreads. n = rounds of a multicast, all sizes together: {said}. "
        f"Bars and brackets: {LEVEL:.0%} intervals, the bars often inside the marker. "
        f"Conditions: {plotting.conditions([arm.conditions for arm in arms])}.",
    )
    return figure


def _rounds(arm: Arm) -> float:
    return float((arm.healthy["rounds"] * arm.healthy["runs"]).sum())


def _draw_arm(axes: Axes, arm: Arm, name: str, look: plotting.Look) -> list[tuple[Any, str]]:
    """Draws the counts and the prediction of one arm; returns the entries of the legend."""
    loads = {}
    for nodes in arm.sizes:
        rows = arm.healthy[arm.healthy["nodes"] == nodes]
        if len(rows):
            loads[nodes] = stats.rate(rows["core_packets"], rows["rounds"] * rows["runs"])
    if not loads:
        return []
    middle = np.array([load.value for load in loads.values()])
    ends = np.array([load.interval(LEVEL) for load in loads.values()]).T
    counted = axes.errorbar(
        list(loads),
        middle,
        yerr=np.abs(ends - middle),
        fmt=look.marker,
        color=look.colour,
        markersize=7,
        capsize=4,
        zorder=3,
    )
    entries: list[tuple[Any, str]] = [(counted, _label(name, loads))]
    smooth = np.geomspace(min(loads), max(loads), 100)
    for formula, curve in _formula(arm):
        (line,) = axes.plot(smooth, [curve(n) for n in smooth], look.line, color=look.colour)
        entries.append((line, formula))
    return entries


def _label(name: str, loads: dict[int, stats.Estimate]) -> str:
    name = f"{name}, counted"
    if len(loads) < 3 or any(load.value <= 0 for load in loads.values()):
        return name
    exponent = stats.exponent(list(loads), list(loads.values()))
    value, low, high = (round(x, 3) + 0.0 for x in (exponent.value, *exponent.interval(LEVEL)))
    return f"{name}: grows like $N^{{a}}$, a = {value:.3f} [{low:.3f}, {high:.3f}]"


def _formula(arm: Arm) -> list[tuple[str, Callable[[float], float]]]:
    """Name and curve of the prediction; none for a protocol that has none."""
    if not plotting.known(arm.conditions["fan_out"]):
        return []
    fan_out = int(arm.conditions["fan_out"])
    if arm.protocol == "push":
        name = f"predicted: $b\\,N^2 / 2(N-1)$ with b = {fan_out}"
        if len(arm.sizes) > 1:
            name += f", a = {uniform_exponent(arm.sizes):.3f}"
        return [(name, lambda n: uniform_crossings((n / 2, n / 2), fan_out))]
    if arm.protocol == "topology_aware":
        load = topology_aware_crossings((1, 1), fan_out)
        return [(f"predicted: 2b = {load:g}, a = 0", lambda n: load)]
    return []
