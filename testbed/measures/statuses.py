"""RMTP's status messages while a source multicasts: in the whole network, and at the source.

Counted from the first copy of a run's first multicast to that of its last one, over the multicasts
sent meanwhile: what happens before and after depends on how long the harness waits.
"""

from __future__ import annotations

import pandas as pd

from agents.protocols.rmtp import RmtpAckTxNow, RmtpData, RmtpStatus
from testbed.tables import RunTables

PROTOCOL = "rmtp"
STATUS = (RmtpStatus.TYPE, RmtpAckTxNow.TYPE)


def per_multicast(tables: RunTables, *, at_source: bool) -> pd.Series[float]:
    """Status messages for each multicast of a run: those sent, or those that the source heard.

    nan for a run that is not RMTP, or has less than two multicasts or several sources.
    """
    runs = tables.runs[tables.runs["protocol"] == PROTOCOL]
    if runs.empty:
        return pd.Series(float("nan"), index=tables.runs["run"])
    events = tables.events[tables.events["run"].isin(runs["run"])]
    data = events[(events["event"] == "send") & (events["type"] == RmtpData.TYPE)]
    each = data.groupby("run")
    sources, first = each["host"].nunique(), each["time_ns"].min()
    last, sent = each["time_ns"].max(), each.size()
    status = events[events["type"].isin(STATUS)]
    if at_source:
        source = status["run"].map(each["host"].min())
        heard = status["event"].isin(["receive", "duplicate"])
        status = status[heard & (status["host"] == source)]
    else:
        status = status[status["event"] == "send"]
    began, ended = status["run"].map(first), status["run"].map(last)
    inside = status[(status["time_ns"] >= began) & (status["time_ns"] < ended)]
    counts = inside.groupby("run").size().reindex(sent.index, fill_value=0)
    found = (counts / (sent - 1)).where((sources == 1) & (sent > 1))
    return found.reindex(tables.runs["run"]).astype(float)
