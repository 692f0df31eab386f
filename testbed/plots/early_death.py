"""How far multicasts reach where they may die out: a histogram a condition.

What dies out has reached next to nobody, what does not has reached most: the gap between the two is
what makes "died out" a clear word, at less than a tenth of the nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from testbed import plotting
from testbed.claims import die_out
from testbed.judging.selection import Arm, dissemination
from testbed.tables import RunTables
from testbed.theory.branching import infect_and_die_extinction

TITLE = "dying out is possible, improbable, and early"
NEEDS = "it needs runs that may die out, such as the experiments infect_and_die and early_death"
CLAIMS = ("C7",)
LEVEL = 0.95


def draw(tables: Sequence[RunTables]) -> Figure | None:
    arms = [arm for arm in dissemination(tables, "push") if _words(arm) and len(arm.healthy)]
    every, arms = len(arms), sorted(arms, key=_words)[:3]
    if not arms:
        return None
    figure, axes = plotting.canvas(len(arms), width=max(7.4, 3.7 * len(arms)), height=4.4)
    panels = axes if isinstance(axes, list) else [axes]
    for place, (panel, arm) in enumerate(zip(panels, arms, strict=True)):
        _panel(panel, arm, plotting.nth_look(place))
        panel.set_title(_title(arm, arms), fontsize=10.5)
    panels[0].set_ylabel("share of the multicasts")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    plotting.title(figure, "C7", TITLE)
    counts = " and ".join(dict.fromkeys(str(len(arm.healthy)) for arm in arms))
    sizes = plotting.either((n for arm in arms for n in arm.sizes), "and")
    stated = [arm.conditions for arm in arms]
    plotting.footnote(
        figure,
        f"n = {counts} multicasts a panel in groups of {sizes} nodes; the reach counts nodes that "
        f"failed later, too. Dashed: a tenth of the nodes, below which a multicast has died out; "
        f"in brackets the {LEVEL:.0%} interval [Clopper-Pearson]. Conditions: "
        f"{plotting.conditions(stated, ('fan_out', 'retention', 'loss_ratio'))}."
        f"{plotting.left_out(every - len(arms))}",
    )
    return figure


def _words(arm: Arm) -> str:
    """What a panel is called; "" for an arm that is not drawn."""
    c = arm.conditions
    if c["faults"] == die_out.CRASHES:
        return f"b = {c['fan_out']}: a fifth of the nodes\nleft is killed in each round"
    if c["retention"] == "infect_and_die" and not c["faults"]:
        return f"b = {c['fan_out']}: one round each,\n{float(c['loss_ratio']):.0%} of packets lost"
    return ""


def _title(arm: Arm, arms: Sequence[Arm]) -> str:
    """The words, and in what the arm differs from others that have the same."""
    alike = [each for each in arms if _words(each) == _words(arm)]
    told = plotting.differences(alike)[alike.index(arm)]
    return _words(arm) + f"\n({told})" * bool(told)


def _panel(panel: Axes, arm: Arm, look: plotting.Look) -> None:
    reach = arm.healthy["reach"].to_numpy(dtype=float)
    weights = np.full(len(reach), 1 / len(reach))
    panel.hist(
        reach, bins=[k / 20 for k in range(21)], weights=weights, color=look.colour, alpha=0.85
    )
    panel.axvline(die_out.SMALL, color=plotting.INK, linestyle="--", linewidth=1.2)
    died = die_out.died_out(arm)
    low, high = died.interval(LEVEL)
    said = f"died out: {died.value:.1%}\n[{low:.1%}, {high:.1%}]"
    if (predicted := _predicted(arm)) is not None:
        said += f"\npredicted: {predicted:.1%}"
    panel.text(0.14, 0.97, said, transform=panel.transAxes, va="top", fontsize=10)
    panel.margins(y=0.35)  # the words stand above the bars
    panel.set_xlim(0, 1)
    panel.xaxis.set_major_formatter(PercentFormatter(1.0))
    panel.set_xlabel("share of the nodes reached")


def _predicted(arm: Arm) -> float | None:
    c = arm.conditions
    if c["faults"]:
        known = c["fan_out"] == 2 and c["retention"] == "forever" and not c["loss_ratio"]
        return die_out.CRASH_HOSTS_DIES if known else None
    return infect_and_die_extinction(int(c["fan_out"]), float(c["loss_ratio"]))
