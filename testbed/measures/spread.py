"""How a multicast spread in each run: when each node had it, and what was sent meanwhile.

Shared by the metrics. Times count from the first delivery of a run, which is its source's. What a
run must reach are its correct nodes: those that are up and connected at its end.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from testbed.tables import RunTables


def single_source(tables: RunTables) -> pd.DataFrame:
    """The runs of one multicast: no streams, and none that are saturated from the start."""
    runs = tables.runs
    return runs[(runs["sources"] != "all") & (runs["kind"] != "stream")]


def no_stream(tables: RunTables) -> pd.Series[bool]:
    """Whether a run is of one multicast, by run."""
    return tables.runs.set_index("run")["kind"] != "stream"


def delays(tables: RunTables) -> pd.DataFrame:
    """Columns run, host, delay: periods from the multicast to a node's first delivery of it."""
    runs = single_source(tables).set_index("run")
    mine = tables.deliveries[tables.deliveries["run"].isin(runs.index)]
    first = mine.groupby(["run", "host"])["time_ns"].min().reset_index()
    since = first["time_ns"] - first.groupby("run")["time_ns"].transform("min")
    first["delay"] = since / (first["run"].map(runs["round_s"]) * 1e9)
    return first.loc[:, ["run", "host", "delay"]]


def of_correct(tables: RunTables, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a frame with run and host that are of correct nodes."""
    faulty = tables.runs[["run", "faulty"]].explode("faulty").dropna()
    if faulty.empty:
        return frame
    left_out = pd.MultiIndex.from_frame(faulty.astype("int64"))
    mine = pd.MultiIndex.from_frame(frame[["run", "host"]].astype("int64"))
    return frame[~mine.isin(left_out)]


def reached(tables: RunTables) -> pd.Series[float]:
    """Correct nodes that have the multicast at the end of the run."""
    hosts = of_correct(tables, tables.deliveries).groupby("run")["host"].nunique()
    return hosts.reindex(tables.runs["run"], fill_value=0).astype(float)


def periods_to(tables: RunTables, share: float) -> pd.Series[float]:
    """Periods until `share` (0..1) of the correct nodes are infected, their number rounded up."""
    runs = single_source(tables).set_index("run")
    needed = np.ceil(share * runs["survivors"]).astype(int)
    ranked = of_correct(tables, delays(tables)).sort_values(["run", "delay"])
    ranked["rank"] = ranked.groupby("run").cumcount() + 1
    at = ranked[ranked["rank"] == ranked["run"].map(needed)].set_index("run")["delay"]
    times = at.reindex(runs.index, fill_value=math.inf)
    return times.reindex(tables.runs["run"])


def last_infection_ns(tables: RunTables) -> pd.Series[float]:
    """When the last correct node was infected, on the run's clock; infinite when one never was."""
    runs = single_source(tables).set_index("run")
    mine = of_correct(tables, tables.deliveries)
    first = mine.groupby(["run", "host"])["time_ns"].min().groupby("run")
    last = first.max().reindex(runs.index).astype(float)
    whole = first.size().reindex(runs.index, fill_value=0) >= runs["survivors"]
    return last.where(whole, math.inf).reindex(tables.runs["run"])


def sends(tables: RunTables) -> pd.DataFrame:
    """The send events of all runs, from their time 0 on."""
    events = tables.events
    mine = (events["event"] == "send") & (events["time_ns"] >= 0)
    return events.loc[mine, ["run", "time_ns", "type"]]
