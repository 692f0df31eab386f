"""Periods until half of the correct nodes have the multicast; infinite when they never do.

Half of an odd group is rounded up. Runs in which every node is a source have no such time.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.spread import periods_to
from testbed.tables import RunTables

UNIT = "periods"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return periods_to(tables, 0.5)
