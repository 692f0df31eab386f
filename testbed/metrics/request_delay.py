"""One-way delays until the first request, the mean over the losses of a run [Floyd et al. 1997].

From when its sender noticed the loss; NaN where nothing was lost.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.srm_losses import per_run
from testbed.tables import RunTables

UNIT = "one-way delays"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return per_run(tables, "delay")
