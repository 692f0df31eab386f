"""What the healthy members deliver while one of them sleeps most of the time.

A stream at a steady rate, a panel a protocol: deliveries per second at the one that sleeps, and the
mean of the others, over time. Where the source waits for everybody's acknowledgement one sleeper
slows all of them [Birman et al., ACM TOCS 17(2), 1999].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from testbed import plotting
from testbed.judging import streams
from testbed.tables import RunTables

TITLE = "what a member that sleeps does to the others"
NEEDS = "it needs streams in which a node is slow for a while, such as perturbed_member"
CLAIMS: tuple[str, ...] = ()
BIN_S = 0.5


def draw(tables: Sequence[RunTables]) -> Figure | None:
    numbers = table(tables)
    if numbers.empty:
        return None
    protocols = list(dict.fromkeys(numbers["protocol"]))
    rows = -(-len(protocols) // 2)
    figure, axes = plotting.canvas(
        min(2, len(protocols)), rows=rows, width=9.6, height=3.0 * rows + 1
    )
    panels = axes if isinstance(axes, list) else [axes]
    first = _cells(tables)[0]
    fault, run = first["fault"], first["run"]
    rate = 1 / float(run["interval_s"])
    top = 1.1 * max(numbers["others"].max(), rate)
    for panel, protocol in zip(panels, protocols, strict=False):
        mine = numbers[numbers["protocol"] == protocol]
        look = plotting.look(protocol, protocols)
        panel.axvspan(
            fault["at_s"], fault["at_s"] + fault["for_s"], color="#eeeeee", label="one sleeps"
        )
        panel.axhline(rate, color=plotting.GREY, lw=1, ls=":", label="sent")
        panel.step(
            mine["time_s"],
            mine["others"],
            where="post",
            color=look.colour,
            label="the others (mean)",
        )
        panel.step(
            mine["time_s"],
            mine["sleeper"],
            where="post",
            color=look.colour,
            lw=1,
            ls="--",
            label="the one that sleeps",
        )
        panel.set_title(plotting.words(protocol))
        panel.set_ylim(0, top)
        panel.set_ylabel("deliveries per second")
        panel.set_xlabel("seconds since the first multicast")
    for panel in panels[len(protocols) :]:
        panel.set_visible(False)
    panels[0].legend(loc="lower right", framealpha=0.95, edgecolor="none", fontsize=9)
    plotting.title(figure, "", TITLE)
    plotting.footnote(
        figure,
        f"Means over n = {numbers['runs'].min()} runs, in stretches of {BIN_S:g} s. A member is "
        f"stopped for {1 - fault['share']:.0%} of every {fault['period_s']:g} s. "
        f"{first['evidence']}, {first['topology']}, N = {first['nodes']}, loss "
        f"{float(first['loss_ratio']):.0%}, one source.",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a protocol and stretch of time: deliveries per second of the sleeper and the others."""
    rows = []
    for cell in _cells(tables):
        rates = cell["rates"]
        others = np.mean(
            [_without(each, at) for each, at in zip(rates, cell["slow"], strict=True)], axis=0
        )
        sleeper = np.mean([each[at] for each, at in zip(rates, cell["slow"], strict=True)], axis=0)
        rows += [
            {
                "protocol": cell["protocol"],
                "runs": len(rates),
                "time_s": place * BIN_S,
                "others": mean,
                "sleeper": slow,
            }
            for place, (mean, slow) in enumerate(zip(others, sleeper, strict=True))
        ]
    return pd.DataFrame(rows)


def _cells(tables: Sequence[RunTables]) -> list[dict[str, Any]]:
    """The cells with a slow node: deliveries per second of each member, by run and stretch."""
    found = []
    for one in tables:
        runs = streams.streams(one)
        runs = runs[~runs["voided"].astype(bool)]
        for cell in one.manifest.get("experiment", {}).get("cells", []):
            slow = [fault for fault in cell.get("faults", []) if fault["kind"] == "slow"]
            mine = runs[runs["cell"] == cell["index"]]
            if not slow or slow[0]["at_s"] is None or slow[0]["for_s"] is None or mine.empty:
                continue
            last_s = (cell["run"]["messages"] - 1) * cell["run"]["interval_s"]
            edges = np.arange(0.0, last_s + 4 * BIN_S, BIN_S)
            asleep = edges[:-1] >= slow[0]["at_s"]
            asleep &= edges[:-1] < slow[0]["at_s"] + slow[0]["for_s"]
            rates = [_rates(one, int(run), edges) for run in mine["run"]]
            found.append(
                {
                    **{name: cell[name] for name in ("protocol", "topology", "nodes", "run")},
                    "loss_ratio": cell["loss_ratio"],
                    "evidence": one.evidence,
                    "fault": slow[0],
                    "rates": rates,
                    "slow": [_slowest(each, asleep) for each in rates],
                }
            )
    return found


def _rates(tables: RunTables, run: int, edges: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Deliveries per second, a row a member that is no source, a column a stretch."""
    mine = tables.deliveries[tables.deliveries["run"] == run]
    mine = mine[mine["host"] != mine["origin"]]
    each = [group["time_ns"].to_numpy() / 1e9 for _, group in mine.groupby("host")]
    return np.array([np.histogram(times, edges)[0] for times in each]) / BIN_S


def _slowest(rates: np.ndarray[Any, Any], asleep: np.ndarray[Any, Any]) -> int:
    """The member whose deliveries jump most while one sleeps."""
    return int(rates[:, asleep].std(axis=1).argmax())


def _without(rates: np.ndarray[Any, Any], member: int) -> np.ndarray[Any, Any]:
    """The mean over all members but one."""
    kept: np.ndarray[Any, Any] = np.delete(rates, member, axis=0).mean(axis=0)
    return kept
