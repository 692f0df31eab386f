"""C16: requests over time while nobody can repair, with and without exponential backoff.

SRM in a star where all receivers lose the packet and the repair is long in coming. Without backoff
a new window of requests opens every few delays; with it each is twice as long as the one before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from testbed import plotting
from testbed.claims.nak_storm import alike
from testbed.judging import naks
from testbed.judging.selection import Arm
from testbed.measures import srm_losses
from testbed.tables import RunTables

TITLE = "requests while a repair is long in coming"
NEEDS = (
    "it needs streams of srm in which all receivers lose a multicast and repairs come late, with "
    "and without backoff, such as the experiment nak_backoff"
)
CLAIMS = ("C16",)
VARIANTS = {"backoff": "without backoff", "": "with backoff"}
BIN = 2.0
"""Network delays that a bar of the histogram covers."""


def draw(tables: Sequence[RunTables]) -> Figure | None:
    numbers = table(tables)
    if numbers["variant"].nunique() < 2:
        return None
    figure, axes = plotting.canvas(2, width=9.6)
    for panel, (name, rows) in zip(axes, numbers.groupby("variant", sort=False), strict=True):
        place = list(VARIANTS.values()).index(str(name))
        look = plotting.nth_look(1 - place)
        panel.bar(rows["delays"] + BIN / 2, rows["requests"], width=BIN * 0.9, color=look.colour)
        total = rows["requests"].sum() * BIN
        panel.set_title(f"{name}: {total:.0f} requests a loss")
        panel.set_xlabel("network delays since the first request")
        panel.set_xlim(0, numbers["delays"].max() + BIN)
    axes[0].set_ylabel("requests per network delay (mean)")
    arm, others = _pair(tables)[""], len(_arms(tables)) - len(VARIANTS)
    plotting.title(figure, "C16", f"{TITLE}, G = {numbers['nodes'].iloc[0]}")
    plotting.footnote(
        figure,
        f"Means over n = {plotting.either(numbers['losses'])} losses. The repair is sent "
        f"{arm.options['d1']:g} delays after the first request. {arm.conditions['evidence']}, "
        f"{arm.conditions['topology']}, C1 = {arm.options['c1']:g}, C2 = {arm.options['c2']:g}, "
        f"losses next to the source.{plotting.left_out(others)}",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a variant and stretch of time: requests per network delay, the mean over the losses."""
    rows, pair = [], _pair(tables)
    sizes = set.intersection(*(set(arm.sizes) for arm in pair.values())) if pair else set[int]()
    for off, arm in pair.items() if sizes else ():
        nodes, name = max(sizes), VARIANTS[off]
        times = _times(tables, arm, nodes)
        if not times:
            continue
        last = np.concatenate(times).max(initial=BIN)
        edges = np.arange(0.0, last + BIN, BIN)
        counts = np.mean([np.histogram(each, edges)[0] for each in times], axis=0) / BIN
        rows += [
            {"variant": name, "nodes": nodes, "losses": len(times), "delays": at, "requests": mean}
            for at, mean in zip(edges[:-1], counts, strict=True)
        ]
    columns = ["variant", "nodes", "losses", "delays", "requests"]
    return pd.DataFrame(rows, columns=columns)


def _pair(tables: Sequence[RunTables]) -> dict[str, Arm]:
    """The first two arms that differ in backoff alone, by what is off; none without such a pair."""
    arms = _arms(tables)
    for off in arms:
        for on in arms:
            if naks.plain(on) and naks.plain(off, but="backoff") and alike(on, off, "backoff"):
                return {"backoff": off, "": on}
    return {}


def _arms(tables: Sequence[RunTables]) -> list[Arm]:
    return [
        arm
        for arm in naks.lost_by_all(tables)
        if naks.slow(arm) and any(naks.plain(arm, but=off) for off in VARIANTS) and len(arm.healthy)
    ]


def _times(tables: Sequence[RunTables], arm: Arm, nodes: int) -> list[NDArray[np.float64]]:
    """When each loss of an arm was asked for, in delays since its first request.

    Without those of runs in which no copy came through to tell the delay by.
    """
    rows = arm.healthy[arm.healthy["nodes"] == nodes]
    names = rows[["directory", *srm_losses.NAME]].astype(int).itertuples(index=False, name=None)
    times = [srm_losses.request_times(tables[place], loss) for place, *loss in names]
    return [each for each in times if np.isfinite(each).all()]
