"""Datagrams sent to another subnet up to the last infection, per period of the dissemination.

Each crosses the core router where loss strikes at the receiver's link only, as it does by default.
By the senders' traces, which tell the runs of one cell apart; `core_packets_per_round` has the
routers' own counts. NaN for a run that left a node unreached, and where the hosts are not known.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from testbed.measures.spread import last_infection_ns, periods_to
from testbed.tables import RunTables

UNIT = "datagrams per period"
OF = "run"


def compute(tables: RunTables) -> pd.Series[float]:
    last = last_infection_ns(tables)
    if tables.hosts.empty:
        return last * np.nan
    events = tables.events
    sent = events[(events["event"] == "send") & (events["peer"] >= 0)]
    sent = sent[sent["time_ns"] <= sent["run"].map(last)]
    homes = _homes(tables)
    boot = sent["run"].map(tables.runs.set_index("run")["boot"]).to_numpy()
    crossed = homes[boot, sent["host"].to_numpy()] != homes[boot, sent["peer"].to_numpy()]
    counts = sent[crossed].groupby("run").size().reindex(last.index, fill_value=0)
    periods = periods_to(tables, 1.0)
    rates: pd.Series[float] = counts.where(np.isfinite(last)) / periods.where(periods > 0)
    return rates


def _homes(tables: RunTables) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The number of each node's subnet: [boot, node]."""
    hosts = tables.hosts
    if "boot" not in hosts:
        hosts = hosts.assign(boot=0)
    boots, nodes = hosts["boot"].to_numpy(int), hosts["node"].to_numpy(int)
    found = np.full((boots.max(initial=0) + 1, nodes.max(initial=0) + 1), -1)
    codes, _ = pd.factorize(hosts["subnet"])
    found[boots, nodes] = codes
    return found
