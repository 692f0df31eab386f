"""Priority inversions a packet: the rumours in it that are outranked by one which was left out.

A packet is what a node sends in one of its rounds, to all targets of that round. NaN for a run
whose protocol has no buffer.
"""

from __future__ import annotations

import pandas as pd

from agents.parts.buffer import INVERSIONS
from testbed.measures import notes
from testbed.tables import RunTables

UNIT = "rumours per packet"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return notes.mean(tables, INVERSIONS)
