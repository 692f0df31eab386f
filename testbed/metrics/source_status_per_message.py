"""Status messages of RMTP that the source itself hears for each multicast, while it sends.

The rest of them go to designated receivers [Paul et al. 1997]. NaN for other protocols, for one
multicast alone and for several sources.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.statuses import per_multicast
from testbed.tables import RunTables

UNIT = "status messages per multicast"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return per_multicast(tables, at_source=True)
