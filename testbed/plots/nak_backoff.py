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
from testbed.judging import naks
from testbed.judging.selection import Arm
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
    arm = _arms(tables)[0]
    plotting.title(figure, "C16", f"{TITLE}, G = {numbers['nodes'].iloc[0]}")
    counts = sorted(set(numbers["losses"]))
    plotting.footnote(
        figure,
        f"Means over n = {' or '.join(map(str, counts))} losses. The repair is sent "
        f"{arm.options['d1']:g} delays after the first request. {arm.conditions['evidence']}, "
        f"{arm.conditions['topology']}, C1 = {arm.options['c1']:g}, C2 = {arm.options['c2']:g}, "
        "losses next to the source.",
    )
    return figure


def table(tables: Sequence[RunTables]) -> pd.DataFrame:
    """A row a variant and stretch of time: requests per network delay, the mean over the losses."""
    arms = _arms(tables)
    rows = []
    for off, name in VARIANTS.items():
        mine = [arm for arm in arms if naks.plain(arm, but=off)]
        if not mine:
            continue
        arm, nodes = mine[0], mine[0].sizes[-1]
        times = _times(tables, arm, nodes)
        last = np.concatenate(times).max(initial=BIN)
        edges = np.arange(0.0, last + BIN, BIN)
        counts = np.mean([np.histogram(each, edges)[0] for each in times], axis=0) / BIN
        rows += [
            {"variant": name, "nodes": nodes, "losses": len(times), "delays": at, "requests": mean}
            for at, mean in zip(edges[:-1], counts, strict=True)
        ]
    columns = ["variant", "nodes", "losses", "delays", "requests"]
    return pd.DataFrame(rows, columns=columns)


def _arms(tables: Sequence[RunTables]) -> list[Arm]:
    return [
        arm
        for arm in naks.lost_by_all(tables)
        if naks.slow(arm) and any(naks.plain(arm, but=off) for off in VARIANTS) and len(arm.healthy)
    ]


def _times(tables: Sequence[RunTables], arm: Arm, nodes: int) -> list[NDArray[np.float64]]:
    """When each loss of an arm was asked for, in delays since its first request."""
    rows = arm.healthy[arm.healthy["nodes"] == nodes]
    names = rows[["directory", *naks.NAME]].astype(int).itertuples(index=False, name=None)
    return [naks.request_times(tables[place], loss) for place, *loss in names]
