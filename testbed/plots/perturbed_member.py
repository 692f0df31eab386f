"""What the healthy members deliver while one of them sleeps most of the time.

A stream at a steady rate. On the left a panel a protocol: deliveries per second at the one that
sleeps the greatest share of the time, and the mean of the others, over time. On the right the mean
and the variance of the others against that share, a line a protocol; share 0 is the same runs
before anybody sleeps. Where the source waits for everybody's acknowledgement one sleeper slows all
of them [Birman et al., ACM TOCS 17(2), 1999].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from testbed import plotting
from testbed.judging import cuts, stats, streams, variants
from testbed.tables import RunTables

TITLE = "what a member that sleeps does to the others"
NEEDS = "it needs streams in which a node is slow for a while, such as perturbed_member"
CLAIMS: tuple[str, ...] = ()
BIN_S = 0.5
"""A window: deliveries per second are counted in it, and their variance is over such windows."""
LEVEL = 0.95
COLUMNS = 3


@dataclass(frozen=True)
class Cell:
    """The runs of one cell: deliveries per second of the sleeper and the others, by window."""

    arm: tuple[str, str]
    cell: dict[str, Any]
    """Of the manifest."""
    evidence: str
    sleeper: np.ndarray[Any, Any]
    """By run and window."""
    others: list[np.ndarray[Any, Any]]
    """Of each run, by member and window; sources are no members."""

    @property
    def fault(self) -> dict[str, Any]:
        return next(fault for fault in self.cell["faults"] if fault["kind"] == "slow")

    @property
    def asleep(self) -> float:
        """The share of the time that the sleeper sleeps, 0..1."""
        return round(1 - float(self.fault["share"]), 9)

    @property
    def times_s(self) -> np.ndarray[Any, Any]:
        """When each window begins."""
        return np.arange(self.sleeper.shape[1]) * BIN_S

    def windows(self, asleep: bool) -> np.ndarray[Any, Any]:
        """Which windows lie within the sleep, or before it."""
        from_s, times_s = self.fault["at_s"], self.times_s
        within = (times_s >= from_s) & (times_s + BIN_S <= from_s + self.fault["for_s"])
        return np.asarray(within if asleep else times_s + BIN_S <= from_s)


def draw(tables: Sequence[RunTables]) -> Figure | None:
    cells = _cells(tables)
    if not cells:
        return None
    arms = list(dict.fromkeys(cell.arm for cell in cells))
    looks = plotting.looks(arms)
    most = max(cell.asleep for cell in cells)
    shown = [cell for cell in cells if cell.asleep == most]
    rows = max(2, -(-len(shown) // 2))
    figure, panels = plotting.canvas(COLUMNS, rows=rows, width=14.4, height=3.2 * rows + 1)
    left = [panel for place, panel in enumerate(panels) if place % COLUMNS < COLUMNS - 1]
    right = panels[COLUMNS - 1 :: COLUMNS]
    for panel in (*left[len(shown) :], *right[2:]):
        panel.set_visible(False)
    top = 1.1 * max(max(_mean(cell).max() for cell in shown), _rate(cells[0]))
    for panel, cell in zip(left, shown, strict=False):
        _draw_series(panel, cell, looks[cell.arm])
        panel.set_title(f"{plotting.called(*cell.arm)}, asleep {most:.0%} of the time")
        panel.set_ylim(0, top)
    figure.legend(
        *left[0].get_legend_handles_labels(),
        loc="outside upper right",
        ncols=4,
        frameon=False,
        fontsize=10,
    )
    _draw_shares(right, table(tables), looks, _rate(cells[0]))
    plotting.title(figure, "", TITLE)
    first, counts = cells[0], sorted({len(cell.others) for cell in cells})
    plotting.footnote(
        figure,
        f"n = {' or '.join(map(str, counts))} runs, in windows of {BIN_S:g} s; the variance is "
        "over windows, members and runs. Share 0: before the sleep. Bars: 95% interval of the "
        "mean, from three runs on. "
        f"A member is stopped once in every {first.fault['period_s']:g} s. "
        f"{first.evidence}, {first.cell['topology']}, N = {first.cell['nodes']}, loss "
        f"{float(first.cell['loss_ratio']):.0%}, one source.",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a (protocol, variant, share asleep): deliveries per second, of the others and of it.

    Mean and variance over windows (and members, and runs); the interval of the mean is Student's
    over runs, missing for fewer than three.
    """
    rows: list[dict[str, Any]] = []
    cells = _cells(tables)
    for arm in dict.fromkeys(cell.arm for cell in cells):
        mine = sorted((c for c in cells if c.arm == arm), key=lambda cell: cell.asleep)
        rows.append({"asleep": 0.0, **_numbers(mine, False)})
        rows += [{"asleep": cell.asleep, **_numbers([cell], True)} for cell in mine]
    return pd.DataFrame(rows)


def series(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a (protocol, variant, share asleep) and window: deliveries per second, means."""
    frames = [
        pd.DataFrame(
            {
                **dict(zip(variants.VARIANT, cell.arm, strict=True)),
                "asleep": cell.asleep,
                "runs": len(cell.others),
                "time_s": cell.times_s,
                "others": _mean(cell),
                "sleeper": cell.sleeper.mean(axis=0),
            }
        )
        for cell in _cells(tables)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


FURTHER = {"_series": series}


def _numbers(cells: Sequence[Cell], asleep: bool) -> dict[str, Any]:
    healthy = [each[:, cell.windows(asleep)] for cell in cells for each in cell.others]
    slow = np.concatenate([cell.sleeper[:, cell.windows(asleep)].ravel() for cell in cells])
    samples = np.concatenate([each.ravel() for each in healthy])
    means = [each.mean() for each in healthy]
    few = len(means) < 3
    low, high = (np.nan, np.nan) if few else stats.mean(means).interval(LEVEL)
    return {
        **dict(zip(variants.VARIANT, cells[0].arm, strict=True)),
        "evidence": cells[0].evidence,
        "runs": len(means),
        "others": samples.mean(),
        "others_low": low,
        "others_high": high,
        "others_variance": samples.var(),
        "sleeper": slow.mean(),
        "sleeper_variance": slow.var(),
    }


def _draw_series(panel: Axes, cell: Cell, look: plotting.Look) -> None:
    fault = cell.fault
    steps: Any = {"where": "post", "color": look.colour}
    ends = fault["at_s"], fault["at_s"] + fault["for_s"]
    panel.axvspan(*ends, color="#eeeeee", label="one sleeps")
    panel.axhline(_rate(cell), color=plotting.GREY, lw=1, ls=":", label="sent")
    panel.step(cell.times_s, _mean(cell), label="the others (mean)", **steps)
    slow = cell.sleeper.mean(axis=0)
    panel.step(cell.times_s, slow, lw=1, ls="--", label="the one that sleeps", **steps)
    panel.set_ylabel("deliveries per second")
    panel.set_xlabel("seconds since the first multicast")


def _draw_shares(
    panels: Sequence[Axes],
    numbers: pd.DataFrame,
    looks: dict[tuple[str, str], plotting.Look],
    rate: float,
) -> None:
    mean, variance = panels[:2]
    mean.axhline(rate, color=plotting.GREY, lw=1, ls=":")
    for arm, look in looks.items():
        own = variants.of(numbers, arm)
        bars = [own["others"] - own["others_low"], own["others_high"] - own["others"]]
        mean.errorbar(
            own["asleep"],
            own["others"],
            yerr=np.nan_to_num(np.array(bars)),
            fmt=look.marker + look.line,
            color=look.colour,
            label=plotting.called(*arm),
        )
        variance.plot(
            own["asleep"], own["others_variance"], look.marker + look.line, color=look.colour
        )
    mean.set_title("the others, against the share")
    mean.set_ylabel("deliveries per second (mean)")
    mean.legend(loc="lower left", frameon=False, fontsize=9)
    variance.set_title("how unsteady they are")
    variance.set_ylabel("variance, (deliveries per second)²")
    for panel in (mean, variance):
        panel.set_xlabel("share of the time that one member sleeps")
        panel.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        panel.set_ylim(bottom=0)


def _rate(cell: Cell) -> float:
    """Multicasts per second."""
    return 1 / float(cell.cell["run"]["interval_s"])


def _mean(cell: Cell) -> np.ndarray[Any, Any]:
    """Of the others, over members and runs, by window."""
    found: np.ndarray[Any, Any] = np.mean([each.mean(axis=0) for each in cell.others], axis=0)
    return found


def _cells(tables: Sequence[RunTables]) -> list[Cell]:
    """The cells in which a node is slow from some time on for a while."""
    frames = [streams.streams(one) for one in tables]
    found = []
    for one, runs in zip(tables, variants.named(frames) if frames else [], strict=True):
        slept = cuts.first(one, "pause")
        runs = runs[~runs["voided"].astype(bool) & runs["run"].isin(slept.keys())]
        for cell in one.manifest.get("experiment", {}).get("cells", []):
            slow = [fault for fault in cell.get("faults", []) if fault["kind"] == "slow"]
            mine = runs[runs["cell"] == cell["index"]]
            if not slow or slow[0]["at_s"] is None or slow[0]["for_s"] is None or mine.empty:
                continue
            last_s = (cell["run"]["messages"] - 1) * cell["run"]["interval_s"]
            edges = np.arange(0.0, last_s + 4 * BIN_S, BIN_S)
            rates = {run: _rates(one, run, cell["nodes"], edges) for run in mine["run"].astype(int)}
            arm = (str(mine["protocol"].iloc[0]), str(mine["variant"].iloc[0]))
            sleepers = {run: slept[run][1][0] for run in rates}
            asleep = np.array([each.loc[sleepers[run]] for run, each in rates.items()])
            others = [each.drop(sleepers[run]).to_numpy() for run, each in rates.items()]
            found.append(Cell(arm, cell, one.evidence, asleep, others))
    return found


def _rates(tables: RunTables, run: int, nodes: int, edges: np.ndarray[Any, Any]) -> pd.DataFrame:
    """Deliveries per second, a row a member that is no source, a column a window."""
    mine = tables.deliveries[tables.deliveries["run"] == run]
    sources = set(mine["origin"])
    rates = {
        node: np.histogram(mine.loc[mine["host"] == node, "time_ns"] / 1e9, edges)[0] / BIN_S
        for node in range(nodes)
        if node not in sources
    }
    return pd.DataFrame(rates).T
