"""Mean delay from the multicast to its arrival, over the nodes reached [Demers et al. 1987, 1.4].

The source counts with its delay of 0. In a stream, over all multicasts, each from its own sending;
there the sender is left out, as its delay is no news of the network.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.measures.spread import delays
from testbed.tables import RunTables

UNIT = "periods"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    one = delays(tables).groupby("run")["delay"].mean()
    many = streams.delays(tables).groupby("run")["delay"].mean()
    found: pd.Series[float] = pd.concat([one, many]).reindex(tables.runs["run"])
    return found
