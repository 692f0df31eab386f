"""Copies of data that came to nodes which had it, for each multicast of a stream.

Datagrams that name a multicast by their envelope are compared by the driver; of a bundle of several
the protocol notes how many were known (`agents.parts.buffer`). NaN for a run that is no stream.
"""

from __future__ import annotations

import pandas as pd

from agents.parts.buffer import DUPLICATES
from testbed.measures import notes, streams
from testbed.tables import RunTables

UNIT = "copies per multicast"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    sent = streams.multicasts(tables).groupby("run").size()
    bundled = (notes.total(tables, DUPLICATES) / sent).reindex(tables.runs["run"]).fillna(0.0)
    return streams.per_message(tables, "duplicate", data=True) + bundled
