"""Messages sent per node in a run, of every type together; `updates` counts data alone.

Those of a warm-up before a stream do not count. NaN for a run of which no event was recorded.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.spread import sends
from testbed.tables import RunTables

UNIT = "messages per node"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    runs = tables.runs.set_index("run")
    counts = sends(tables).groupby("run").size().reindex(runs.index, fill_value=0)
    recorded = runs.index.isin(tables.events["run"].unique())
    per_node: pd.Series[float] = (counts / runs["nodes"]).where(recorded)
    return per_node
