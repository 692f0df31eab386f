"""Streams of multicasts in each run: who sent them, who has them when, what the network carried.

Shared by the metrics of streams. A *pair* is a multicast and a node other than its origin; only
correct nodes count, those that are up and connected at the end of the run.
"""

from __future__ import annotations

import pandas as pd

from testbed.measures.spread import of_correct
from testbed.tables import RunTables

NAME = ["run", "origin", "sequence"]
"""What names a multicast."""


def streams(tables: RunTables) -> pd.DataFrame:
    """The runs that are streams."""
    return tables.runs[tables.runs["kind"] == "stream"]


def of_streams(tables: RunTables) -> pd.Series[bool]:
    """Whether a batch is of streams, by row."""
    kinds = tables.runs.drop_duplicates("cell").set_index("cell")["kind"]
    return tables.batches["cell"].map(kinds) == "stream"


def multicasts(tables: RunTables) -> pd.DataFrame:
    """Columns run, origin, sequence, sent_ns: every multicast that a source has really sent."""
    events = tables.events
    if streams(tables).empty:
        return pd.DataFrame(columns=[*NAME, "sent_ns"], dtype="int64")
    mine = (events["event"] == "multicast") & events["run"].isin(streams(tables)["run"])
    sent = events[mine][[*NAME, "time_ns"]].rename(columns={"time_ns": "sent_ns"})
    return sent.drop_duplicates(NAME)


def pairs(tables: RunTables) -> pd.DataFrame:
    """Columns run, origin, sequence, host, delay_s: the first delivery of each pair."""
    sent = multicasts(tables)
    if sent.empty:
        return pd.DataFrame(columns=[*NAME, "host", "delay_s"], dtype="float64")
    mine = tables.deliveries[tables.deliveries["run"].isin(sent["run"])]
    first = mine.groupby([*NAME, "host"])["time_ns"].min().reset_index()
    found = first[first["host"] != first["origin"]].merge(sent, on=NAME)
    found["delay_s"] = (found["time_ns"] - found["sent_ns"]) / 1e9
    return of_correct(tables, found.drop(columns=["time_ns", "sent_ns"]))


def delays(tables: RunTables) -> pd.DataFrame:
    """`pairs` with `delay`, in periods."""
    found = pairs(tables)
    round_s = tables.runs.set_index("run")["round_s"]
    return found.assign(delay=found["delay_s"] / found["run"].map(round_s))


def wanted(tables: RunTables) -> pd.DataFrame:
    """`multicasts` with `hosts`, the correct nodes that each is for."""
    sent = multicasts(tables)
    runs = streams(tables).set_index("run")
    origins = sent.rename(columns={"origin": "host"})[["run", "host"]]
    correct = pd.Series(sent.index.isin(of_correct(tables, origins).index), index=sent.index)
    return sent.assign(hosts=sent["run"].map(runs["survivors"]) - correct.astype(int))


def per_message(
    tables: RunTables,
    event: str,
    *,
    data: bool,
    by_sources: bool = False,
    sending: bool = False,
) -> pd.Series[float]:
    """Events of a kind for each multicast of their run, NaN for what is no stream.

    `data` asks for types with data (`Message.DATA`) or for those without; `by_sources` for what
    sources did; `sending` for what happened `while_sending`, NaN for one multicast alone. A
    multicast is one send. What happens before the first one is due, while the protocol warms up,
    does not count.
    """
    sent = multicasts(tables)
    if sent.empty:
        return pd.Series(float("nan"), index=tables.runs["run"])
    events = tables.events
    found = events[(events["event"] == event) & events["run"].isin(sent["run"])]
    found = found[found["time_ns"] >= 0]
    found = found[with_data(tables, found) == data]
    if by_sources:
        found = of_sources(found, sent)
    if sending:
        found, sent = while_sending(found, sent), while_sending(sent, sent, "sent_ns")
    messages = sent.groupby("run").size()
    counts = found.groupby("run").size().reindex(messages.index, fill_value=0)
    return (counts / messages).reindex(tables.runs["run"])


def while_sending(rows: pd.DataFrame, sent: pd.DataFrame, column: str = "time_ns") -> pd.DataFrame:
    """Those from the first multicast of their run on and before its last one.

    What comes after depends on how long the run goes on, and that on the last node to have it all.
    """
    each = sent.groupby("run")["sent_ns"]
    first, last = (rows["run"].map(at) for at in (each.min(), each.max()))
    return rows[(rows[column] >= first) & (rows[column] < last)]


def of_sources(events: pd.DataFrame, sent: pd.DataFrame) -> pd.DataFrame:
    """The events at the sources of their run, which are those of the `multicasts` sent."""
    sources = sent[["run", "origin"]].drop_duplicates()
    return events.merge(sources.rename(columns={"origin": "host"}), on=["run", "host"])


def control_heard(
    tables: RunTables, *, by_sources: bool = False, sending: bool = False
) -> pd.Series[float]:
    """Datagrams without data that arrived, at all nodes or at sources, for each multicast."""
    heard = [
        per_message(tables, event, data=False, by_sources=by_sources, sending=sending)
        for event in ("receive", "duplicate")  # an ACK names what its hearer has
    ]
    return heard[0] + heard[1]


def control_heard_per_member(tables: RunTables, *, sending: bool = False) -> pd.Series[float]:
    """The mean of `control_heard` over all nodes but the sources; NaN if there are no others."""
    heard, at_sources = (
        control_heard(tables, by_sources=by_sources, sending=sending)
        for by_sources in (False, True)
    )
    sources = multicasts(tables).groupby("run")["origin"].nunique()
    members = tables.runs.set_index("run")["nodes"] - sources
    return (heard - at_sources) / members.where(members > 0)


def with_data(tables: RunTables, events: pd.DataFrame) -> pd.Series[bool]:
    """Whether the type of each event is one that carries data (`Message.DATA`)."""
    return events["type"].isin(tables.manifest.get("data_types", ()))


def core_packets(tables: RunTables) -> pd.DataFrame:
    """Columns batch, type, packets, per_multicast: what the core forwarded in batches of streams.

    A packet with several outputs is counted once for each. Multicasts are those that the sources of
    all runs of the batch were to send.
    """
    mine = tables.batches[of_streams(tables)]
    counters = tables.counters[tables.counters["batch"].isin(mine["batch"])]
    stood = counters[counters["level"] == 0].groupby(["batch", "time_ns", "type"])["packets"].sum()
    # A type that had no packet yet has no row at the batch's start.
    table = stood.unstack("type", fill_value=0)
    each = table.groupby(level="batch")
    grown = (each.last() - each.first()).reset_index()
    found = grown.melt("batch", var_name="type", value_name="packets")
    per_run = mine["cell"].map(_planned(tables.runs.drop_duplicates("cell").set_index("cell")))
    planned = (per_run * mine["runs"]).groupby(mine["batch"]).first()
    return found.assign(per_multicast=found["packets"] / found["batch"].map(planned))


def core_per_message(tables: RunTables, *, data: bool) -> pd.Series[float]:
    """Core packets of types with data, or without, for each multicast of a batch, by its row."""
    found = core_packets(tables)
    counts = found[with_data(tables, found) == data].groupby("batch")["per_multicast"].sum()
    packets = tables.batches["batch"].map(counts).fillna(0).astype(float)
    return packets.where(of_streams(tables))


def _planned(runs: pd.DataFrame) -> pd.Series[float]:
    """Multicasts that a run of each cell was to have."""
    words = runs["sources"].replace({"one": "1"})
    senders = words.where(words != "all", runs["nodes"]).astype(float)
    return senders * runs["messages"].astype(float)
