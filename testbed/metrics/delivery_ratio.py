"""The share of a stream that arrived: of the pairs of a multicast and a correct node, its sender
aside, those with a delivery, 0..1.

Of the multicasts really sent: what a dead source did not send is missed by nobody. NaN for a run
that is no stream.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.tables import RunTables

UNIT = "ratio of (node, multicast) pairs"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    due = streams.wanted(tables).groupby("run")["hosts"].sum()
    came = streams.pairs(tables).groupby("run").size().reindex(due.index, fill_value=0)
    return (came / due).reindex(tables.runs["run"])
