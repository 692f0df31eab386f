"""Time to the last survivor with half of the nodes dead, beside half of the packets lost.

The lecture's rule is that half of the nodes dead is as n/2 nodes with b/2: the runs of half as many
nodes under 50% loss are drawn at the size whose half they are, and should lie on those with half of
the nodes dead. Loss in the whole group takes a little longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from testbed import plotting
from testbed.claims.node_failure import HALF_DEAD, halved
from testbed.judging.selection import Arm, dissemination
from testbed.plots.half_the_packets_die import LEVEL, line, measured
from testbed.tables import RunTables

TITLE = "half of the nodes dead is as half the group with half the packets lost"
NEEDS = "it needs push with half of the nodes killed, such as the experiment half_the_nodes_die"
CLAIMS = ("C6",)


def draw(tables: Sequence[RunTables]) -> Figure | None:
    arms = [a for a in dissemination(tables, "push") if a.conditions["retention"] == "forever"]
    arms = [arm for arm in arms if measured(arm)]
    failed = [a for a in arms if a.conditions["faults"] in HALF_DEAD and len(a.sizes) > 1]
    if not failed:
        return None
    dead = failed[0]
    lossy = halved(dead, arms)
    figure, axes = plotting.canvas(width=7.8)
    entries = []
    if lossy is not None:
        entries.append((line(axes, lossy, 1, 0), "N nodes, 50% of the packets lost"))
    entries.append((line(axes, dead, 0, 0), "N nodes, half of them dead"))
    halves = {n // 2 for n in dead.sizes}
    if lossy is not None and halves & set(lossy.sizes):
        half = line(axes, _sizes(lossy, halves), 2, 0.05, at=2.0)
        entries.append((half, "N/2 nodes, 50% of the packets lost"))
    plotting.size_axis(axes, sorted({*dead.sizes, *(lossy.sizes if lossy else ())}))
    axes.set_ylabel("periods until the last survivor has the multicast")
    axes.set_ylim(bottom=0)
    plotting.legend(axes, "lower right", entries)
    plotting.title(figure, "C6", TITLE)
    runs = [len(dead.values("rounds_to_all", n)) for n in dead.sizes]
    plotting.footnote(
        figure,
        f"Markers: means, {min(runs)} to {max(runs)} runs a size with dead nodes; bars: their "
        f"{LEVEL:.0%} interval. The dead are killed before the start, and nobody knows. "
        f"Conditions: {plotting.conditions([dead.conditions], ('loss_ratio',))}."
        f"{plotting.left_out(len(failed) - 1)}",
    )
    return figure


def _sizes(arm: Arm, sizes: set[int]) -> Arm:
    return replace(arm, rows=arm.rows[arm.rows["nodes"].isin(sizes)])
