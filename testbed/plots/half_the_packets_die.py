"""Time to the last node with and without half of the packets lost, against the group size.

Beside the runs without loss: twice their time, which is what the lecture expects of 50% loss; and
the runs at twice the fan-out under loss, which should lie on those without ("half the fan-out").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed import plotting
from testbed.judging import stats
from testbed.judging.selection import Arm, dissemination
from testbed.tables import RunTables

TITLE = "half of the packets lost"
NEEDS = "it needs push with and without 50% loss, such as the experiment half_the_packets_die"
CLAIMS = ("C5",)
LEVEL, LOSS = 0.95, 0.5


def draw(tables: Sequence[RunTables]) -> Figure | None:
    arms = [arm for arm in dissemination(tables, "push") if _wanted(arm)]
    pairs = [
        (arm, _like(arm, arms, loss_ratio=0.0)) for arm in arms if arm.conditions["loss_ratio"]
    ]
    both = [(lossy, clean) for lossy, clean in pairs if clean and len(clean.sizes) > 1]
    if not both:
        return None
    lossy, clean = min(both, key=lambda pair: int(pair[0].conditions["fan_out"]))
    b = int(lossy.conditions["fan_out"])
    doubled = _like(lossy, arms, fan_out=2 * b)
    figure, axes = plotting.canvas(width=7.8)
    entries = [
        (line(axes, lossy, 1, 0), f"b = {b}, 50% loss"),
        (_twice(axes, clean), f"twice the time of b = {b} without loss"),
    ]
    if doubled:
        entries.append((line(axes, doubled, 2, 0.04), f"b = {2 * b}, 50% loss"))
    entries.append((line(axes, clean, 0, 0), f"b = {b}, no loss"))
    plotting.size_axis(axes, clean.sizes)
    axes.set_ylabel("periods until the last node has the multicast")
    axes.set_ylim(bottom=0)
    plotting.legend(axes, "upper left", entries)
    plotting.title(figure, "C5", f"{TITLE}: twice the time, as with half the fan-out")
    plotting.footnote(
        figure,
        f"Markers: means of {_counts([lossy, clean])} runs a size, bars: their {LEVEL:.0%} "
        "interval. Conditions: "
        f"{plotting.conditions([clean.conditions], ('loss_ratio', 'fan_out'))}."
        f"{plotting.left_out(len(arms) - len(entries) + 1)}",
    )
    return figure


def _like(arm: Arm, arms: Sequence[Arm], **conditions: Any) -> Arm | None:
    """The arm that is like another but in these conditions, if it is there."""
    alike = replace(arm, conditions={**arm.conditions, **conditions})
    return next((other for other in arms if other.matches(alike)), None)


def _wanted(arm: Arm) -> bool:
    c = arm.conditions
    return (
        c["retention"] == "forever"
        and not c["faults"]
        and float(c["loss_ratio"]) in (0.0, LOSS)
        and measured(arm)
    )


def measured(arm: Arm) -> bool:
    """Whether each size has a mean with an error, of healthy runs that reached everybody."""
    values = [arm.values("rounds_to_all", n) for n in arm.sizes]
    return all(len(each) > 1 and bool(np.isfinite(each).all()) for each in values)


def line(axes: Axes, arm: Arm, look: int, shift: float, *, at: float = 1.0) -> Any:
    """Means and intervals of an arm over its sizes, drawn at `at` times the size."""
    style = plotting.nth_look(look)
    means = {n: stats.mean(arm.values("rounds_to_all", n)) for n in arm.sizes}
    bars = axes.errorbar(
        [n * at * 2**shift for n in means],
        [m.value for m in means.values()],
        yerr=[m.value - m.interval(LEVEL).low for m in means.values()],
        color=style.colour,
        marker=style.marker,
        linestyle=style.line,
        capsize=3,
    )
    return bars


def _twice(axes: Axes, arm: Arm) -> Any:
    means = [stats.mean(arm.values("rounds_to_all", n)).value for n in arm.sizes]
    (drawn,) = axes.plot(arm.sizes, 2 * np.array(means), ":", color=plotting.INK, linewidth=1.6)
    return drawn


def _counts(arms: Sequence[Arm]) -> str:
    runs = [len(arm.values("rounds_to_all", n)) for arm in arms for n in arm.sizes]
    return f"{min(runs)} to {max(runs)}"
