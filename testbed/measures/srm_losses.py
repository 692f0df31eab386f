"""What each loss costs in SRM: requests, the most of them at once, repairs and delay.

A *loss* is a multicast of a run that somebody asked for. Its timers are drawn afresh, so losses of
one run are as good as losses of several. The one-way delay is that which first copies took, the
median of a run: it is what the network did, whatever it was asked to do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.protocols.srm import SrmData, SrmRepair, SrmRequest
from testbed.measures import notes
from testbed.tables import RunTables

NAME = ["run", "origin", "sequence"]
COLUMNS = [*NAME, "missed", "requests", "late", "peak", "repairs", "delay"]
PROTOCOL = "srm"
LATE = 12.0
"""Delays from a first request to the end of the windows after one backoff, whoever drew what: a
request after that is one of the second backoff, or later, if there is any."""
DELAY = "request_delay"


def losses(tables: RunTables) -> pd.DataFrame:
    """A row a loss, with `COLUMNS`.

    `missed`: nodes that did not get the first copy; `requests` those of the first round, before
    anybody backed off, `peak` the most of them within one delay; `late` requests of any round more
    than `LATE` delays after the first; `delay` until the first, from when its sender noticed.
    """
    runs = tables.runs[tables.runs["protocol"] == PROTOCOL]
    if runs.empty:
        return pd.DataFrame(columns=COLUMNS, dtype=float)
    events = tables.events[tables.events["run"].isin(runs["run"])]
    sent = events[events["event"] == "send"]
    asked = sent[sent["type"] == SrmRequest.TYPE]
    heard = _first_copies(events, sent)
    one_way_ns = heard.groupby("run")["took_ns"].median().to_dict()
    nodes = dict(zip(runs["run"], runs["nodes"], strict=True))
    copies = heard.groupby(NAME).size()
    repairs = sent[sent["type"] == SrmRepair.TYPE].groupby(NAME).size()
    delays = _delays(events)
    rows = []
    for name, requests in asked.groupby(NAME):
        run, origin, sequence = (int(str(each)) for each in name)
        first = requests[requests["round"] == 0].sort_values("time_ns")
        times = first["time_ns"].to_numpy()
        late_ns = LATE * one_way_ns.get(run, np.nan)
        began = (run, int(first["host"].iloc[0]), int(times[0])) if len(first) else (run, -1, 0)
        rows.append(
            (
                *(run, origin, sequence),
                nodes[run] - 1 - copies.get(name, 0),
                len(first),
                int((requests["time_ns"] > requests["time_ns"].min() + late_ns).sum()),
                most_within(times, one_way_ns.get(run, np.nan)),
                repairs.get(name, 0),
                delays.get(began, np.nan),
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def multicasts(tables: RunTables) -> pd.DataFrame:
    """A row a multicast: `NAME`, whether anybody asked for it, and the copies heard of requests and
    repairs."""
    if not (tables.runs["protocol"] == PROTOCOL).any():
        return pd.DataFrame(columns=[*NAME, "asked", "heard"], dtype=float)
    events = tables.events
    sent = events[events["event"] == "send"]
    rows = sent[sent["type"] == SrmData.TYPE][NAME].drop_duplicates()
    asked = sent[sent["type"] == SrmRequest.TYPE].groupby(NAME).size()
    received = events[events["event"].isin(["receive", "duplicate"])]
    heard = received[received["type"].isin([SrmRequest.TYPE, SrmRepair.TYPE])].groupby(NAME).size()
    names = pd.MultiIndex.from_frame(rows)
    return rows.assign(
        asked=names.isin(asked.index).astype(float),
        heard=heard.reindex(names, fill_value=0).to_numpy(dtype=float),
    )


def most_within(times: NDArray[np.int64], stretch: float) -> float:
    """The most of sorted times in any stretch of that length; nan without a length."""
    if np.isnan(stretch):
        return float("nan")
    until = np.searchsorted(times, times + stretch, side="right")
    return float((until - np.arange(len(times))).max(initial=0))


def per_run(tables: RunTables, column: str) -> pd.Series[float]:
    """The mean of a column over the losses of each run; nan without one."""
    means = losses(tables).groupby("run")[column].mean()
    return means.reindex(tables.runs["run"]).astype(float)


def request_times(tables: RunTables, loss: Sequence[int]) -> NDArray[np.float64]:
    """When a loss, given by its `NAME`, was asked for, in delays since the first request."""
    run, origin, sequence = loss
    events = tables.events[tables.events["run"] == run]
    sent = events[events["event"] == "send"]
    one_way_ns = _first_copies(events, sent)["took_ns"].median()
    mine = (sent["type"] == SrmRequest.TYPE) & (sent["sequence"] == sequence)
    times = sent[mine & (sent["origin"] == origin)]["time_ns"]
    return np.asarray((times - times.min()) / one_way_ns, dtype=float)


def _first_copies(events: pd.DataFrame, sent: pd.DataFrame) -> pd.DataFrame:
    """First copies as heard: NAME, and the nanoseconds that each took."""
    data = sent[sent["type"] == SrmData.TYPE][[*NAME, "time_ns"]]
    received = events["event"].isin(["receive", "duplicate"]) & (events["type"] == SrmData.TYPE)
    heard = events[received][[*NAME, "time_ns"]].merge(data, on=NAME, suffixes=("", "_sent"))
    return heard.assign(took_ns=heard["time_ns"] - heard["time_ns_sent"])


def _delays(events: pd.DataFrame) -> dict[tuple[int, int, int], float]:
    """What SRM notes of the delay of a first request, by run, host and time."""
    found = notes.named(events, DELAY)
    keys = zip(found["run"], found["host"], found["time_ns"], strict=True)
    return dict(zip(keys, found["value"].astype(float), strict=True))
