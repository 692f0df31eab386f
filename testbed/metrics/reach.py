"""The fraction of all nodes that ever had the multicast, 0..1, those that failed later included.

An epidemic that dies out early has reached next to nobody [Harris 1963]; under faults this is not
one minus the residue, which looks at correct nodes only. NaN for a stream.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.spread import no_stream
from testbed.tables import RunTables

UNIT = "ratio of nodes"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    runs = tables.runs.set_index("run")
    hosts = tables.deliveries.groupby("run")["host"].nunique()
    share = hosts.reindex(runs.index, fill_value=0) / runs["nodes"]
    return share.where(no_stream(tables))
