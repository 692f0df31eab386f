"""Repairs of a multicast that was lost, the mean over the losses of a run [Floyd et al. 1997].

NaN where nothing was lost, or it is not SRM.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.srm_losses import per_run
from testbed.tables import RunTables

UNIT = "repairs"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return per_run(tables, "repairs")
