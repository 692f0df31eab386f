"""The most hops that a first copy took in a stream, of the multicasts before any kill.

What the source sends itself takes one: of a tree, this is the depth. NaN for a run that is no
stream.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import cuts
from testbed.tables import RunTables

UNIT = "hops"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    found = cuts.before(tables, tables.deliveries)
    if found.empty:
        return pd.Series(float("nan"), index=tables.runs["run"])
    return found.groupby("run")["hop"].max().reindex(tables.runs["run"]).astype(float)
