"""Datagrams without data that arrived at a node, the mean over all but the sources, per multicast.

One send to a group arrives N-1 times: what costs its sender one datagram costs every member one
[Birman et al., TOCS 17(2), 1999, of SRM]; what its receivers tell a source is another metric. NaN
for a run that is no stream, or in which every node multicasts.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures import streams
from testbed.tables import RunTables

UNIT = "datagrams per multicast"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    return streams.control_heard_per_member(tables)
