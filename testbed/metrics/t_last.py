"""Delay of the last node that the multicast reached, were it all or not [Demers et al. 1987, 1.4].

It is finite even when nodes are left unreached; `rounds_to_all` is not.
In a stream it is the mean of that over the multicasts that reached anybody.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.measures.spread import delays
from testbed.tables import RunTables

UNIT = "periods"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    one = delays(tables).groupby("run")["delay"].max()
    last = streams.delays(tables).groupby(streams.NAME)["delay"].max()
    found: pd.Series[float] = pd.concat([one, last.groupby("run").mean()]).reindex(
        tables.runs["run"]
    )
    return found
