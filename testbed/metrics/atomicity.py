"""The share of the multicasts of a stream that all correct nodes delivered, or none but the sender.

[Birman et al., Bimodal multicast, ACM TOCS 17(2), 1999]: almost all or almost none is what a
bimodal protocol promises, all or none what an atomic one does. NaN for a run that is no stream.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.tables import RunTables

UNIT = "ratio of multicasts"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    due = streams.wanted(tables).set_index(streams.NAME)["hosts"]
    came = streams.pairs(tables).groupby(streams.NAME).size().reindex(due.index, fill_value=0)
    whole = (came == due) | (came == 0)
    share: pd.Series[float] = whole.astype(float).groupby("run").mean().reindex(tables.runs["run"])
    return share
