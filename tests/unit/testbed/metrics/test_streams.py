"""Metrics of streams on a history small enough to count by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest

from testbed import metrics, summary
from testbed.measures import streams
from testbed.tables import RunTables
from tests import synthetic

SECOND = 1_000_000_000
DATA, ACK = 7, 8


@pytest.fixture
def tables() -> RunTables:
    """Four nodes, a period of half a second; node 3 is faulty. 0 sends 0.1, 0.2, and 1 sends 1.1.

    0.1 is delivered by all correct nodes, 0.2 by one of two, 1.1 by its sender alone.
    """
    runs = synthetic.latency((4,), 2, protocols={"push": synthetic.push}).runs
    first = runs["run"] == 1
    runs.loc[first, "kind"] = "stream"
    runs.loc[first, "sources"] = "2"
    runs.loc[first, "messages"] = 2
    runs.loc[first, "survivors"] = 3
    runs["faulty"] = [[3], []]
    runs.loc[~first, "cell"] = 1
    sent: list[tuple[Any, ...]] = [(0, 1, 0.0), (0, 2, 1.0), (1, 1, 0.0)]
    events = [(1, at * SECOND, node, "multicast", 0, node, k) for node, k, at in sent]
    events += [(1, 0, 0, "send", DATA, 0, 1)] * 3 + [(1, 0, 2, "send", DATA, 0, 1)]
    events += [(1, 0, 1, "send", ACK, 0, 1), (1, 0, 2, "send", ACK, 0, 1)]
    events += [(1, 0, 2, "duplicate", DATA, 0, 1), (1, 0, 2, "duplicate", ACK, 0, 1)]
    events += [(1, 0, 0, "receive", ACK, 0, 1)] * 4 + [(1, 0, 0, "receive", DATA, 0, 1)]
    events += [(2, 0, 0, "send", DATA, 0, 1)] * 9 + [(2, 0, 0, "multicast", 0, 0, 1)]
    delivered = [(0, 0, 1, 0.0), (1, 0, 1, 0.5), (2, 0, 1, 1.0), (3, 0, 1, 0.25)]
    delivered += [(0, 0, 2, 1.0), (2, 0, 2, 1.25), (1, 1, 1, 0.0), (2, 0, 2, 9.0)]
    counters = [
        (0, 0, 0, DATA, 0),
        (0, 0, 0, ACK, 1),
        (0, 9, 0, DATA, 8),
        (0, 9, 0, ACK, 3),
        (0, 9, 1, DATA, 99),  # not of the core
    ]
    batches = pd.DataFrame({"batch": [0, 1], "cell": [0, 1], "runs": 1, "rounds": 4.0})
    found = synthetic.tables(
        runs=runs,
        events=pd.DataFrame(
            events, columns=["run", "time_ns", "host", "event", "type", "origin", "sequence"]
        ).assign(peer=0),
        deliveries=pd.DataFrame(
            [(1, host, origin, k, at * SECOND) for host, origin, k, at in delivered],
            columns=["run", "host", "origin", "sequence", "time_ns"],
        ).assign(hop=1),
        counters=pd.DataFrame(counters, columns=["batch", "time_ns", "level", "type", "packets"]),
        batches=batches.assign(core_packets=10, first_run=[1, 2], voided=False),
    )
    return dataclasses.replace(found, manifest={"data_types": [DATA]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delivery_ratio", 3 / 6),
        ("atomicity", 2 / 3),
        ("data_per_message", 4 / 3),
        ("control_per_message", 2 / 3),
        ("source_data_per_message", 3 / 3),
        ("source_control_per_message", 1 / 3),
        ("duplicates_per_message", 1 / 3),
        ("control_heard_per_member", 1 / 3 / (4 - 2)),
        ("source_heard_control_per_message", 4 / 3),
        ("t_ave", (1.0 + 2.0 + 0.5) / 3),
        ("t_last", (2.0 + 0.5) / 2),
    ],
)
def test_metric_counted_by_hand(tables: RunTables, name: str, value: float) -> None:
    values = metrics.load(name).compute(tables)
    assert values[1] == pytest.approx(value)


def test_control_may_be_counted_until_the_last_multicast_only() -> None:
    """Three acknowledgements each; the last multicast's three, and what is sent later, are out."""
    made = synthetic.stream(nodes=4, messages=3)
    ack = made.events[made.events["type"] == synthetic.RUMOUR + 1].head(1)
    late = [ack.assign(time_ns=at) for at in (1_000, 2_000)]
    tables = dataclasses.replace(made, events=pd.concat([made.events, *late], ignore_index=True))
    while_sending = streams.per_message(tables, "send", data=False, sending=True)
    assert while_sending.to_list() == [(3 + 3) / 2]
    assert streams.per_message(tables, "send", data=False).to_list() == [(3 + 3 + 3 + 2) / 3]


def test_one_multicast_alone_has_no_time_of_sending() -> None:
    alone = synthetic.stream(nodes=4, messages=1)
    assert streams.per_message(alone, "send", data=False, sending=True).isna().all()


@pytest.mark.parametrize(("name", "value"), [("data", 8 / 4), ("control", 2 / 4)])
def test_packets_at_the_core_are_those_between_the_samples_for_each_multicast(
    tables: RunTables, name: str, value: float
) -> None:
    values = metrics.load(f"core_{name}_per_message").compute(tables)
    assert list(values) == pytest.approx([value, float("nan")], nan_ok=True)


def test_packets_by_type_are_there_for_a_table(tables: RunTables) -> None:
    found = streams.core_packets(tables).set_index("type")
    assert found["packets"].to_dict() == {DATA: 8, ACK: 2}
    assert found["per_multicast"].to_dict() == {DATA: 8 / 4, ACK: 2 / 4}


def test_metrics_of_one_multicast_and_of_streams_keep_apart(tables: RunTables) -> None:
    stream, single = summary.rows(tables)
    of_streams = {"delivery_ratio", "atomicity", "control_per_message", "core_data_per_message"}
    of_one = {"residue", "reach", "rounds_to_half", "rounds_to_all", "core_packets_per_round"}
    assert of_streams <= stream.keys() and not of_one & stream.keys()
    assert of_one - {"rounds_to_half"} <= single.keys() and not of_streams & single.keys()


def test_what_a_source_did_not_send_is_missed_by_nobody(tables: RunTables) -> None:
    events = tables.events
    silent = (events["event"] == "multicast") & (events["origin"] == 1)
    fewer = dataclasses.replace(tables, events=events[~silent])
    assert metrics.load("delivery_ratio").compute(fewer)[1] == pytest.approx(3 / 4)


def test_the_median_member_says_what_a_slow_one_does_to_the_others() -> None:
    """Node 2 takes ten times as long; the two others deliver one a second."""
    tables = synthetic.stream(nodes=4, messages=3)
    pace = tables.deliveries["host"].map({0: 1, 1: 1, 2: 10, 3: 1}) * SECOND
    late = tables.deliveries.assign(time_ns=tables.deliveries["sequence"] * pace)
    values = metrics.load("member_throughput").compute(dataclasses.replace(tables, deliveries=late))
    assert values.tolist() == [1.0]
