"""Packets that the core router forwards in one period for one multicast, all directions together.

Counted by the router's kernel while every node spreads; several multicasts may share the time.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.streams import of_streams
from testbed.tables import RunTables

UNIT = "packets per period and multicast"
OF = "batch"


def compute(tables: RunTables) -> pd.Series[float]:
    batches = tables.batches
    packets: pd.Series[float] = batches["core_packets"] / (batches["rounds"] * batches["runs"])
    return packets.where(~of_streams(tables))
