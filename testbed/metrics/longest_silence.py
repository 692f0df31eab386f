"""The longest time in which a correct node delivered nothing of a stream, while the others did.

From a node's delivery to its next one, or to the last delivery of the run; sources left out. A
tree's orphans are silent until they have a parent again. NaN for a run that is no stream, or in
which a node never delivered anything.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.tables import RunTables

UNIT = "seconds"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    runs = streams.streams(tables).set_index("run")
    if runs.empty:
        return pd.Series(float("nan"), index=tables.runs["run"])
    pairs = streams.pairs(tables).merge(streams.multicasts(tables), on=streams.NAME)
    pairs["at_s"] = pairs["sent_ns"] / 1e9 + pairs["delay_s"]
    each = pairs.sort_values("at_s").groupby(["run", "host"])["at_s"]
    gaps = each.diff().groupby(pairs["run"]).max()
    last = each.max()
    ends = (last.groupby("run").transform("max") - last).groupby("run").max()
    longest = pd.concat([gaps, ends], axis=1).max(axis=1)
    heard = last.groupby("run").size()
    whole = heard.reindex(runs.index, fill_value=0) >= runs["survivors"] - 1
    return longest.reindex(runs.index).where(whole).reindex(tables.runs["run"]).astype(float)
