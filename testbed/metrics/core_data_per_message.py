"""Packets with data that the core router forwarded, for each multicast of a stream.

Counted by the router's kernel from quiet to quiet; a packet with several outputs, as multicasts
have, is counted once for each. Multicasts are those that the sources were to send.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.tables import RunTables

UNIT = "packets per multicast"
OF = "batch"


def compute(tables: RunTables) -> pd.Series[float]:
    return streams.core_per_message(tables, data=True)
