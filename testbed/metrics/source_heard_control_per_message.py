"""Datagrams without data that the sources heard, for each multicast of a stream.

Acknowledgements that all come to the sender are its implosion. NaN for a run that is no stream.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.tables import RunTables

UNIT = "datagrams per multicast"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return streams.control_heard(tables, by_sources=True)
