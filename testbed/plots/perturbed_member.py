"""What the healthy members deliver while one of them sleeps most of the time.

A stream at a steady rate. On the left a panel a protocol: deliveries per second at the one that
sleeps the greatest share of the time, and the mean of the others, over time. On the right the mean
and the variance of the others against that share, a line a protocol; share 0 is the same runs
before anybody sleeps. Where the source waits for everybody's acknowledgement one sleeper slows all
of them [Birman et al., ACM TOCS 17(2), 1999]; under RMTP it waits for those who report to itself,
once they are a window behind.
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
from testbed.faults.drawing import SLOW_PERIOD_S
from testbed.judging import stats, variants
from testbed.measures import streams
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
    """The runs of one cell: deliveries per second of the sleepers and the others, by window."""

    arm: tuple[str, str]
    evidence: str
    cell: dict[str, Any]
    """Of the manifest."""
    sleepers: list[np.ndarray[Any, Any]]
    """Of each run, by member and window; sources are no members."""
    others: list[np.ndarray[Any, Any]]

    @property
    def fault(self) -> dict[str, Any]:
        fault: dict[str, Any] = self.cell["faults"][0]
        return fault

    @property
    def asleep(self) -> float:
        """The share of the time that a sleeper sleeps, 0..1."""
        return round(1 - float(self.fault["share"]), 9)

    @property
    def rate(self) -> float:
        """Multicasts per second."""
        return 1 / float(self.cell["run"]["interval_s"])

    @property
    def times_s(self) -> np.ndarray[Any, Any]:
        """When each window begins."""
        return _edges(self.cell)[:-1]

    def windows(self, asleep: bool) -> np.ndarray[Any, Any]:
        """Which windows lie within the sleep, or before it."""
        from_s, times_s = self.fault["at_s"], self.times_s
        within = (times_s >= from_s) & (times_s + BIN_S <= from_s + self.fault["for_s"])
        return np.asarray(within if asleep else times_s + BIN_S <= from_s)


def draw(tables: Sequence[RunTables]) -> Figure | None:
    cells = _cells(tables)
    if not cells:
        return None
    looks = plotting.looks(list(dict.fromkeys(cell.arm for cell in cells)))
    evidence = [cell.evidence for cell in cells]
    most = max(cell.asleep for cell in cells)
    shown = [cell for cell in cells if cell.asleep == most]
    rows = max(2, -(-len(shown) // 2))
    figure, panels = plotting.canvas(COLUMNS, rows=rows, width=14.4, height=3.2 * rows + 1)
    left = [panel for place, panel in enumerate(panels) if place % COLUMNS < COLUMNS - 1]
    right = panels[COLUMNS - 1 :: COLUMNS]
    for panel in (*left[len(shown) :], *right[2:]):
        panel.set_visible(False)
    top = 1.1 * max(max(_mean(cell.others).max(), cell.rate) for cell in shown)
    for panel, cell in zip(left, shown, strict=False):
        _draw_series(panel, cell, looks[cell.arm])
        name = plotting.called(*cell.arm) + plotting.from_where(cell.evidence, evidence)
        panel.set_title(f"{name}, asleep {most:.0%} of the time")
        panel.set_ylim(0, top)
    plotting.legend(figure, "outside upper right", plotting.labelled(left[0], ()), ncols=4)
    _draw_shares(right, table(tables), looks, {cell.rate for cell in cells})
    plotting.title(figure, "", TITLE)
    plotting.footnote(figure, _footnote(cells))
    return figure


def _footnote(cells: Sequence[Cell]) -> str:
    def of_all(name: str) -> str:
        return plotting.either(cell.cell[name] for cell in cells)

    periods = plotting.either(f"{c.fault['period_s'] or SLOW_PERIOD_S:g}" for c in cells)
    places = plotting.either(str(cell.fault["nodes"]) for cell in cells)
    losses = plotting.either(f"{float(cell.cell['loss_ratio']):.0%}" for cell in cells)
    sources = plotting.either(cell.cell["run"]["sources"] for cell in cells)
    return (
        f"n = {plotting.either(len(cell.others) for cell in cells)} runs, in windows of {BIN_S:g} "
        "s; the variance is over windows, members and runs. Share 0: before the sleep. Bars: 95% "
        "interval of the mean, from three runs on. A member is stopped once in every "
        f"{periods} s; who sleeps: nodes = {places}. "
        f"{plotting.either((c.evidence for c in cells), 'and')}, "
        f"{of_all('topology')}, N = {of_all('nodes')}, loss {losses}, {sources} "
        f"source{'s' * (sources != 'one')}."
    )


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a (protocol, variant, evidence, share asleep): deliveries per second, of both sorts.

    Mean and variance over windows (and members, and runs); the interval of the mean is Student's
    over runs, missing for fewer than three.
    """
    rows: list[dict[str, Any]] = []
    cells = _cells(tables)
    for line in dict.fromkeys((cell.arm, cell.evidence) for cell in cells):
        mine = [cell for cell in cells if (cell.arm, cell.evidence) == line]
        mine.sort(key=lambda cell: cell.asleep)
        rows.append({"asleep": 0.0, **_numbers(mine, False)})
        rows += [{"asleep": cell.asleep, **_numbers([cell], True)} for cell in mine]
    return pd.DataFrame(rows)


def series(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a (protocol, variant, evidence, share asleep) and window: deliveries per second."""
    frames = [
        pd.DataFrame(
            {
                **_named(cell),
                "asleep": cell.asleep,
                "runs": len(cell.others),
                "time_s": cell.times_s,
                "others": _mean(cell.others),
                "sleeper": _mean(cell.sleepers),
            }
        )
        for cell in _cells(tables)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


FURTHER = {"_series": series}


def _named(cell: Cell) -> dict[str, str]:
    return {**dict(zip(variants.VARIANT, cell.arm, strict=True)), "evidence": cell.evidence}


def _numbers(cells: Sequence[Cell], asleep: bool) -> dict[str, Any]:
    healthy = [each[:, cell.windows(asleep)] for cell in cells for each in cell.others]
    slow = [each[:, cell.windows(asleep)] for cell in cells for each in cell.sleepers]
    samples, slept = (np.concatenate([each.ravel() for each in some]) for some in (healthy, slow))
    means = [each.mean() for each in healthy]
    few = len(means) < 3
    low, high = (np.nan, np.nan) if few else stats.mean(means).interval(LEVEL)
    return {
        **_named(cells[0]),
        "runs": len(means),
        "others": samples.mean(),
        "others_low": low,
        "others_high": high,
        "others_variance": samples.var(),
        "sleeper": slept.mean(),
        "sleeper_variance": slept.var(),
    }


def _draw_series(panel: Axes, cell: Cell, look: plotting.Look) -> None:
    fault = cell.fault
    steps: Any = {"where": "post", "color": look.colour}
    ends = fault["at_s"], fault["at_s"] + fault["for_s"]
    panel.axvspan(*ends, color="#eeeeee", label="the sleep")
    panel.axhline(cell.rate, color=plotting.GREY, lw=1, ls=":", label="sent")
    panel.step(cell.times_s, _mean(cell.others), label="the others (mean)", **steps)
    slow = _mean(cell.sleepers)
    panel.step(cell.times_s, slow, lw=1, ls="--", label="who sleeps (mean)", **steps)
    panel.set_ylabel("deliveries per second")
    panel.set_xlabel("seconds since the first multicast")


def _draw_shares(
    panels: Sequence[Axes],
    numbers: pd.DataFrame,
    looks: plotting.Looks,
    rates: set[float],
) -> None:
    mean, variance = panels[:2]
    for rate in rates:
        mean.axhline(rate, color=plotting.GREY, lw=1, ls=":")
    lines: Any = numbers.groupby([*variants.VARIANT, "evidence"], sort=False)
    for (*arm, evidence), own in lines:
        look = looks[tuple(arm)]
        drawn: Any = {"color": look.colour, "mfc": plotting.face(evidence, look)}
        mean.errorbar(
            own["asleep"],
            own["others"],
            yerr=np.nan_to_num(plotting.bars(own, "others")),
            fmt=look.marker + look.line,
            label=plotting.called(*arm),
            **drawn,
        )
        variance.plot(own["asleep"], own["others_variance"], look.marker + look.line, **drawn)
    mean.set_title("the others, against the share")
    mean.set_ylabel("deliveries per second (mean)")
    entries = plotting.labelled(mean, numbers["evidence"])
    plotting.legend(mean, "lower left", entries, fontsize=9)
    variance.set_title("how unsteady they are")
    variance.set_ylabel("variance, (deliveries per second)²")
    for panel in (mean, variance):
        panel.set_xlabel("share of the time that a member sleeps")
        panel.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        panel.set_ylim(bottom=0)


def _mean(runs: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Over members and runs, by window."""
    found: np.ndarray[Any, Any] = np.mean([each.mean(axis=0) for each in runs], axis=0)
    return found


def _cells(tables: Sequence[RunTables]) -> list[Cell]:
    """The cells in which nothing goes wrong but that nodes are slow for a while, from some time on.

    Runs in which a source is one of them, or nobody else is a member, are left out.
    """
    frames = [_slept(one) for one in tables]
    named = variants.named(tables, frames, beside=("slow share",))
    found = []
    for one, runs in zip(tables, named, strict=True):
        slow = _sleepers(one)
        for index, mine in runs.groupby("cell"):
            cell = next(c for c in one.manifest["experiment"]["cells"] if c["index"] == index)
            arm = (str(mine["protocol"].iloc[0]), str(mine["variant"].iloc[0]))
            shown = Cell(arm, one.evidence, cell, [], [])
            for run in mine["run"].astype(int):
                rates, who = _rates(one, run, cell), slow.get(run, set())
                asleep = rates.index.isin(who)
                if 0 < asleep.sum() == len(who) < len(rates):
                    shown.sleepers.append(rates[asleep].to_numpy())
                    shown.others.append(rates[~asleep].to_numpy())
            if shown.others and all(shown.windows(asleep).any() for asleep in (True, False)):
                found.append(shown)
    return found


def _slept(tables: RunTables) -> pd.DataFrame:
    """The healthy streams of the cells that are of use."""
    cells = tables.manifest["experiment"].get("cells", ())
    runs = streams.streams(tables)
    runs = runs[runs["cell"].isin([cell["index"] for cell in cells if _sleeps(cell)])]
    return runs[~runs["voided"].astype(bool)]


def _sleeps(cell: dict[str, Any]) -> bool:
    faults = cell.get("faults", ())
    timed = len(faults) == 1 and faults[0]["kind"] == "slow"
    known = timed and None not in (faults[0]["at_s"], faults[0]["for_s"])
    return bool(known and cell["run"]["interval_s"])


def _sleepers(tables: RunTables) -> dict[int, set[int]]:
    """Whom the timeline stops, by run."""
    return {
        run: {node for step in timeline["steps"] if step["do"] == "pause" for node in step["nodes"]}
        for timeline in tables.manifest.get("timelines", ())
        for run in timeline["runs"]
    }


def _edges(cell: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The ends of the windows, in seconds, to a little after the last multicast."""
    last_s = (cell["run"]["messages"] - 1) * cell["run"]["interval_s"]
    return np.arange(0.0, last_s + 4 * BIN_S, BIN_S)


def _rates(tables: RunTables, run: int, cell: dict[str, Any]) -> pd.DataFrame:
    """Deliveries per second, a row a member that is no source, a column a window."""
    mine = tables.deliveries[tables.deliveries["run"] == run]
    edges, sources = _edges(cell), set(mine["origin"])
    rates = {
        node: np.histogram(mine.loc[mine["host"] == node, "time_ns"] / 1e9, edges)[0] / BIN_S
        for node in range(cell["nodes"])
        if node not in sources
    }
    return pd.DataFrame.from_dict(rates, orient="index")
