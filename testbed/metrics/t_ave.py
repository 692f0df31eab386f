"""Mean delay from the multicast to its arrival, over the nodes reached [Demers et al. 1987, 1.4].

The source counts with its delay of 0.
"""

from __future__ import annotations

import pandas as pd

from testbed.judging.spread import delays
from testbed.tables import RunTables

UNIT = "periods"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return delays(tables).groupby("run")["delay"].mean().reindex(tables.runs["run"])
