"""The most nodes that a node sent one multicast of a stream to, of those before any kill.

Data only; a copy that goes to the same node again counts once, and a group is one receiver. NaN for
a run that is no stream.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import cuts, streams
from testbed.tables import RunTables

UNIT = "nodes"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    events = tables.events
    sends = cuts.before(tables, events[events["event"] == "send"])
    if sends.empty:
        return pd.Series(float("nan"), index=tables.runs["run"])
    sends = sends[streams.with_data(tables, sends)]
    each = sends.groupby([*streams.NAME, "host"])["peer"].nunique()
    return each.groupby("run").max().reindex(tables.runs["run"]).astype(float)
