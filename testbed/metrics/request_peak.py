"""The most first requests within one network delay, the mean over the losses of a run.

The delay is that of the first copies; see `testbed.measures.srm_losses`. NaN where nothing was
lost.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.srm_losses import per_run
from testbed.tables import RunTables

UNIT = "requests"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return per_run(tables, "peak")
