"""Tells apart the variants of one protocol that an experiment, or several, have side by side.

A variant is a protocol under one set of options, parameters of the topology, faults and settings,
over all that a plot has axes for. It is called by that in which it differs from the other variants
of its protocol: `adaptive` and `fixed` of SRM, `kill at_s = 0.5` of a tree.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from testbed.judging import cells
from testbed.judging.selection import told_apart
from testbed.tables import RunTables

COLUMNS = ("topology", "nodes", "loss_ratio", "timing", "fan_out", "replacement", "retention")
"""Those of runs in which variants may differ, beside `options`."""
VARIANT = ["protocol", "variant"]


def named(
    tables: Sequence[RunTables],
    frames: Sequence[pd.DataFrame],
    *,
    among: str = "protocol",
    beside: Collection[str] = (),
) -> list[pd.DataFrame]:
    """Rows of runs, of each directory, with a column `variant`: in what each differs.

    It is compared with all rows, of whichever directory, that have the same in the column `among`;
    empty where there is one variant. `beside` is what the plot shows in another way, sizes say.
    """
    alike: dict[Any, dict[tuple[int, int], dict[str, Any]]] = {}
    for place, (one, frame) in enumerate(zip(tables, frames, strict=True)):
        parameters, further = cells.parameters(one), cells.stated(one)
        for row in frame.drop_duplicates("cell").to_dict("records"):
            said = {name: _plain(row[name]) for name in COLUMNS}
            said |= {**json.loads(row["options"]), **further.get(row["cell"], {})}
            kept = {name: value for name, value in said.items() if name not in beside}
            kept["parameters"] = parameters.get(row["cell"])
            alike.setdefault(row[among], {})[place, row["cell"]] = kept
    called = {
        cell: told_apart(said, list(group.values()))
        for group in alike.values()
        for cell, said in group.items()
    }
    return [
        frame.assign(variant=[called[place, cell] for cell in frame["cell"]])
        for place, frame in enumerate(frames)
    ]


def of(frame: pd.DataFrame, arm: tuple[str, str]) -> pd.DataFrame:
    """The rows of one (protocol, variant)."""
    return frame[(frame["protocol"] == arm[0]) & (frame["variant"] == arm[1])]


def _plain(value: Any) -> Any:
    """A value as it was before columns of several directories were put below each other."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return None
    return int(value) if float(value).is_integer() and not isinstance(value, bool) else value
