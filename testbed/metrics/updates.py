"""Messages of a type made to carry data, sent per node in a run [Demers et al. 1987, 1.4: m].

Requests, digests and feedback are left out (`Message.DATA` in `agents.api`). NaN for a run of which
no event was recorded.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.spread import sends
from testbed.tables import RunTables

UNIT = "messages per node"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    runs = tables.runs.set_index("run")
    sent = sends(tables)
    updates = sent[sent["type"].isin(tables.manifest.get("data_types", ()))]
    counts = updates.groupby("run").size().reindex(runs.index, fill_value=0)
    recorded = runs.index.isin(tables.events["run"].unique())
    known = "data_types" in tables.manifest
    per_node: pd.Series[float] = (counts / runs["nodes"]).where(recorded & known)
    return per_node
