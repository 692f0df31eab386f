"""Delay of the last node that the multicast reached, were it all or not [Demers et al. 1987, 1.4].

It is finite even when nodes are left unreached; `rounds_to_all` is not.
"""

from __future__ import annotations

import pandas as pd

from testbed.judging.spread import delays
from testbed.tables import RunTables

UNIT = "periods"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return delays(tables).groupby("run")["delay"].max().reindex(tables.runs["run"])
