"""Datagrams with data that the sources sent, for each multicast of a stream.

That is the load of the sender. What goes to a group is one datagram. NaN for a run that is no
stream.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.tables import RunTables

UNIT = "datagrams per multicast"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return streams.per_message(tables, "send", data=True, by_sources=True)
