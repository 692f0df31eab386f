"""Multicasts of a stream that the median member delivers in a second, from first to last delivery.

One member that is slow does not move the median: what it does to the others shows. Sources are left
out. NaN for a run that is no stream, or in which the median member delivered less than two.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from testbed.measures import streams
from testbed.tables import RunTables

UNIT = "multicasts per second"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    runs = streams.streams(tables)["run"]
    if runs.empty:
        return pd.Series(np.nan, index=tables.runs["run"])
    mine = tables.deliveries[tables.deliveries["run"].isin(runs)]
    mine = mine[mine["host"] != mine["origin"]]
    each = mine.groupby(["run", "host"])["time_ns"]
    span_s = (each.max() - each.min()) / 1e9
    rates = ((each.size() - 1) / span_s).where(span_s > 0)
    median = rates.groupby("run").median()
    return median.replace(np.inf, np.nan).reindex(tables.runs["run"]).astype(float)
