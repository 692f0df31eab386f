"""How many nodes Bimodal Multicast delivers a multicast to, beside the exact distribution.

The counts are bimodal: almost none, when the first copy is lost next to its source, or almost all.
What lies in between is rare, so that the axis is logarithmic [Birman et al., ACM TOCS 17(2), 1999].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from testbed import plotting
from testbed.judging import bimodal, variants
from testbed.judging.stats import Proportion
from testbed.tables import RunTables

TITLE = "almost none or almost all nodes get a multicast"
NEEDS = (
    "it needs runs of pbcast with rounds in step, of one age for everybody and without a limit of "
    "retransmission, such as the experiment pbcast_histogram"
)
CLAIMS = ("pbcast",)
LEVEL = 0.95
SHOWN = 3
ARM = ("evidence", "variant", "nodes", "buffer_rounds", "loss_ratio", "send_loss_ratio")


def draw(tables: Sequence[RunTables]) -> Figure | None:
    every = _cells(tables)
    cells = every[:SHOWN]
    if not cells:
        return None
    figure, axes = plotting.canvas(len(cells), width=max(7.4, 5.2 * len(cells)), height=4.8)
    panels = axes if isinstance(axes, list) else [axes]
    floor = 0.3 / max(cell["runs"] for cell in cells)
    for panel, cell in zip(panels, cells, strict=True):
        _panel(panel, cell, floor)
        if where := plotting.from_where(cell["evidence"], (each["evidence"] for each in cells)):
            panel.set_title(panel.get_title(loc="left") + where, fontsize=11)
    panels[0].set_ylabel("share of the multicasts (logarithmic)")
    panels[0].legend(loc="upper center", frameon=False, fontsize=10)
    plotting.title(figure, "pbcast", TITLE)

    def said(name: str, form: str = "") -> str:
        return plotting.either(format(cell[name], form) for cell in cells)

    plotting.footnote(
        figure,
        f"n = {said('runs')} multicasts a panel. Bars: {LEVEL:.0%} interval [Clopper-Pearson]; "
        "numbers of nodes that no run has shown have none. p: G-test of all counts against the "
        f"exact distribution. Conditions: {said('evidence')}, {said('topology')}, N = "
        f"{said('nodes')}, fan-out b = {said('fan_out')}, loss {said('loss_ratio', '.0%')} at the "
        f"receiver and {said('send_loss_ratio', '.0%')} at the sender."
        f"{plotting.left_out(len(every) - len(cells))}",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a cell and number of nodes: the multicasts that reached so many, and the expected."""
    rows = [
        {
            **{name: cell[name] for name in ARM},
            "delivered": number,
            "multicasts": int(cell["counts"][number]),
            "predicted": cell["runs"] * cell["exact"][number],
        }
        for cell in _cells(tables)
        for number in range(1, cell["nodes"] + 1)
    ]
    return pd.DataFrame(rows)


def _cells(tables: Sequence[RunTables]) -> list[dict[str, Any]]:
    """The cells that the exact distribution is of, with it and with what was counted."""
    every = [bimodal.histograms(one) for one in tables]
    shown = [
        one.runs[one.runs["cell"].isin([cell.cell["index"] for cell in cells])]
        for one, cells in zip(tables, every, strict=True)
    ]
    named = variants.named(tables, shown, beside=("buffer_rounds",))
    return [
        {
            **{name: cell.cell[name] for name in ("topology", "nodes")},
            **{name: cell.cell["options"][name] for name in ("fan_out", "buffer_rounds")},
            "loss_ratio": cell.loss_ratio,
            "send_loss_ratio": cell.send_loss_ratio,
            "evidence": one.evidence,
            "variant": runs.loc[runs["cell"] == cell.cell["index"], "variant"].iloc[0],
            "runs": cell.multicasts,
            "counts": cell.counts,
            "exact": cell.exact,
            "p": cell.p,
        }
        for one, cells, runs in zip(tables, every, named, strict=True)
        for cell in cells
    ]


def _panel(panel: Axes, cell: dict[str, Any], floor: float) -> None:
    counts, exact, runs = cell["counts"], cell["exact"], cell["runs"]
    look = plotting.look("pbcast")
    numbers = np.arange(1, cell["nodes"] + 1)
    seen = numbers[counts[1:] > 0]
    shares = counts[seen] / runs
    panel.bar(seen, shares - floor, bottom=floor, color=look.colour, alpha=0.8, label="runs")
    panel.errorbar(
        seen,
        shares,
        yerr=_ends(counts[seen], runs, shares),
        fmt="none",
        ecolor=plotting.INK,
        elinewidth=0.9,
        capsize=2,
    )
    drawn = numbers[exact[1:] >= floor]
    panel.plot(drawn, exact[drawn], "_", color=plotting.INK, ms=9, mew=2, label="exact")
    panel.set_yscale("log")
    panel.set_ylim(floor, 1.5)
    panel.set_xlim(0, cell["nodes"] + 1)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_xlabel(f"nodes that have it in the end, of {cell['nodes']}")
    rounds = cell["buffer_rounds"]
    name = f"{rounds} round{'s' if rounds > 1 else ''} of gossip (G): p = {cell['p']:.2g}"
    panel.set_title("\n".join(filter(None, (cell["variant"], name))), fontsize=11)


def _ends(counts: NDArray[np.int64], runs: int, shares: NDArray[np.float64]) -> Any:
    """How far the interval of each share reaches below and above it."""
    intervals = np.array([Proportion(int(count), runs).interval(LEVEL) for count in counts])
    return [(shares - intervals[:, 0]).clip(min=0), (intervals[:, 1] - shares).clip(min=0)]
