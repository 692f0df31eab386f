"""Datagrams without data that arrived at a node, the mean over all nodes, for each multicast.

One send to a group arrives N-1 times: what costs its sender one datagram costs every member one
[Birman et al., TOCS 17(2), 1999, of SRM]. NaN for a run that is no stream.
"""

from __future__ import annotations

import pandas as pd

from testbed.judging import streams
from testbed.tables import RunTables

UNIT = "datagrams per multicast"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    nodes = tables.runs.set_index("run")["nodes"]
    return streams.control_heard(tables) / nodes
