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
from testbed.judging import stats, variants
from testbed.judging.stats import Proportion
from testbed.tables import RunTables
from testbed.theory import pbcast
from topologies import catalog

TITLE = "almost none or almost all nodes get a multicast of pbcast"
NEEDS = (
    "it needs runs of pbcast with rounds in step, of one age for everybody and without a limit of "
    "retransmission, such as the experiment pbcast_histogram"
)
CLAIMS: tuple[str, ...] = ()
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
    plotting.title(figure, "", TITLE)

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
    found = []
    comparable = [one.runs[one.runs["cell"].isin(_comparable(one))] for one in tables]
    named = variants.named(tables, comparable, beside=("buffer_rounds",))
    for one, runs in zip(tables, named, strict=True):
        runs = runs[~runs["voided"].astype(bool)]
        reached = one.deliveries.groupby("run")["host"].nunique()
        for cell in one.manifest["experiment"].get("cells", ()):
            mine = runs[runs["cell"] == cell["index"]]
            losses = _losses(cell) if len(mine) else None
            if losses is None:
                continue
            options, nodes = cell["options"], cell["nodes"]
            first_phase = options["first_phase"] == "multicast"
            exact = pbcast.delivered(
                nodes,
                options["buffer_rounds"],
                fan_out=options["fan_out"],
                loss_ratio=losses[0],
                send_loss_ratio=losses[1],
                shared_loss_ratio=0.0 if first_phase else 1.0,
            )
            counts = np.bincount(reached.reindex(mine["run"]).fillna(0), minlength=nodes + 1)
            found.append(
                {
                    **{name: cell[name] for name in ("topology", "nodes")},
                    **{name: options[name] for name in ("fan_out", "buffer_rounds")},
                    **dict(zip(("loss_ratio", "send_loss_ratio"), losses, strict=True)),
                    "evidence": one.evidence,
                    "variant": mine["variant"].iloc[0],
                    "runs": len(mine),
                    "counts": counts,
                    "exact": exact,
                    "p": stats.g_test(counts[1:], exact[1:]),
                }
            )
    return found


def _comparable(tables: RunTables) -> list[int]:
    """The cells that are what `testbed.theory.pbcast` models."""
    cells = tables.manifest["experiment"].get("cells", ())
    return [cell["index"] for cell in cells if _is_modelled(cell)]


def _is_modelled(cell: dict[str, Any]) -> bool:
    options = cell["options"]
    return bool(
        cell["protocol"] == "pbcast"
        and cell["timing"] == "sync"
        and cell["run"]["kind"] == "dissemination"
        and cell["run"]["sources"] != "all"
        and not cell.get("faults")
        and not options["independent_rounds"]
        and not options["retransmission_limit"]
        and not (options["neighbours"] or options["multicast_after"])
    )


def _losses(cell: dict[str, Any]) -> tuple[float, float] | None:
    """Loss at the receiver and at the sender; None where it is elsewhere, or comes in bursts."""
    graph = catalog.build(
        cell["topology"],
        hosts=cell["nodes"],
        loss_ratio=cell["loss_ratio"],
        **cell["parameters"],
    )
    ends = {(host.receive, host.send) for host in graph.hosts}
    if len(ends) > 1 or any(link.up.loss_ratio or link.down.loss_ratio for link in graph.links):
        return None
    receive, send = ends.pop()
    if receive.burst_packets or send.burst_packets:
        return None
    return receive.loss_ratio, send.loss_ratio


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
