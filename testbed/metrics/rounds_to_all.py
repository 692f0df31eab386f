"""Periods until the last correct node has the multicast; infinite when one never does.

A healthy run that left a node unreached never finished: it is a run with an infinite time, not a
missing one [CLAIMS C1]. Runs in which every node is a source have no such time.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.spread import periods_to
from testbed.tables import RunTables

UNIT = "periods"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return periods_to(tables, 1.0)
