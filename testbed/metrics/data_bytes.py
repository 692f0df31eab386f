"""The mean size of a datagram with data, headers of IP and UDP included; NaN without any."""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.tables import RunTables

UNIT = "bytes"
OF = "run"
HEADERS = 28


def compute(tables: RunTables) -> pd.Series[float]:
    sent = tables.events[tables.events["event"] == "send"]
    data = sent[streams.with_data(tables, sent)]
    sizes: pd.Series[float] = data.groupby("run")["bytes"].mean() + HEADERS
    return sizes.reindex(tables.runs["run"]).astype(float)
