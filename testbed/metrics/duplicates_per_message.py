"""Copies of data that came to nodes which had it, for each multicast of a stream.

NaN for a run that is no stream.
"""

from __future__ import annotations

import pandas as pd

from testbed.judging import streams
from testbed.tables import RunTables

UNIT = "datagrams per multicast"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return streams.per_message(tables, "duplicate", data=True)
