"""Metrics on a history small enough to count by hand."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd
import pytest

from testbed import metrics
from testbed.errors import UsageError
from testbed.tables import RunTables
from tests import synthetic

SECOND = 1_000_000_000


@pytest.fixture
def tables() -> RunTables:
    """Two runs of four nodes, a period of half a second: one whole, one that misses a node."""
    runs = synthetic.latency((4,), 2, protocols={"push": synthetic.push}).runs
    deliveries = pd.DataFrame(
        [
            *[(1, 2, 1 * SECOND), (1, 0, 1.5 * SECOND), (1, 1, 2 * SECOND), (1, 3, 3 * SECOND)],
            (1, 0, 9 * SECOND),  # a second delivery does not count
            *[(2, 0, 0), (2, 1, 1 * SECOND), (2, 2, 1 * SECOND)],
        ],
        columns=["run", "host", "time_ns"],
    )
    sends = [(1, 1.4), (1, 1.9), (1, 1.95), (1, 2.9), (1, 3.0), (1, 3.1), (2, 0.5), (2, 0.9)]
    events = pd.DataFrame(
        [(run, int(t * SECOND), "send", 7 if t < 2 else 8) for run, t in sends]
        + [(1, 3 * SECOND, "receive", 7)],
        columns=["run", "time_ns", "event", "type"],
    ).assign(host=-1, peer=-1)
    found = synthetic.tables(runs=runs, deliveries=deliveries, events=events)
    return dataclasses.replace(found, manifest={"data_types": [7]})


@pytest.mark.parametrize(
    ("name", "whole", "broken"),
    [
        ("rounds_to_half", 1.0, 2.0),
        ("rounds_to_all", 4.0, math.inf),
        ("residue", 0.0, 0.25),
        ("reach", 1.0, 0.75),
        ("traffic", 6 / 4, 2 / 4),
        ("updates", 3 / 4, 2 / 4),
        ("sends_to_last_infection", 5.0, math.nan),
        ("t_ave", (0 + 1 + 2 + 4) / 4, (0 + 2 + 2) / 3),
        ("t_last", 4.0, 2.0),
    ],
)
def test_metric_counted_by_hand(tables: RunTables, name: str, whole: float, broken: float) -> None:
    values = metrics.load(name).compute(tables)
    assert list(values) == pytest.approx([whole, broken], nan_ok=True)


@pytest.mark.parametrize(("after", "counted"), [(0, 2.0), (1, 3.0), (2, 4.0), (None, 5.0)], ids=str)
def test_sends_end_with_the_datagram_that_infects_the_last_node(
    tables: RunTables, after: int | None, counted: float
) -> None:
    """Node 1 sends three at once: to node 3 as the `after`-th; or in fact a group reached it."""
    targets = [3 if place == after else 0 for place in range(3)]
    sent = [(1.4, 2, 0), (2.5, 1, targets[0]), (2.5, 1, targets[1]), (2.5, 1, targets[2])]
    sent += [(2.9, 0, 2), (3.5, 1, 3)]
    rows = [(1, int(t * SECOND), "send", me, to) for t, me, to in sent]
    rows += [(1, 3 * SECOND, "receive", 3, 1), (1, 2 * SECOND, "receive", 1, 2)]
    events = pd.DataFrame(rows, columns=["run", "time_ns", "event", "host", "peer"])
    found = synthetic.tables(runs=tables.runs, deliveries=tables.deliveries, events=events)
    value = metrics.load("sends_to_last_infection").compute(found)
    assert list(value) == pytest.approx([counted, math.nan], nan_ok=True)


def test_half_of_an_odd_group_is_rounded_up(tables: RunTables) -> None:
    five = tables.runs.assign(nodes=5, survivors=5)
    odd = synthetic.tables(runs=five, deliveries=tables.deliveries)
    assert metrics.load("rounds_to_half").compute(odd).iloc[0] == 2.0, "the third node of five"


@pytest.mark.parametrize(
    ("name", "whole", "broken"),
    [
        ("rounds_to_half", 1.0, 0.0),
        ("rounds_to_all", 2.0, 2.0),
        ("residue", 0.0, 0.0),
        ("reach", 1.0, 0.75),
        ("sends_to_last_infection", 3.0, 2.0),
    ],
)
def test_a_run_is_whole_when_its_correct_nodes_have_it(
    tables: RunTables, name: str, whole: float, broken: float
) -> None:
    # The last of run 1, and in run 2 the node never reached and one that fell after its receipt.
    runs = tables.runs.assign(survivors=[3, 2], faulty=pd.Series([[3], [2, 3]]))
    hit = synthetic.tables(runs=runs, deliveries=tables.deliveries, events=tables.events)
    assert list(metrics.load(name).compute(hit)) == pytest.approx([whole, broken])


def test_per_run_keeps_the_rows_and_adds_the_metrics(tables: RunTables) -> None:
    frame = metrics.per_run(tables)
    assert list(frame["run"]) == [1, 2]
    assert {"nodes", "rounds_to_all", "residue"} <= set(frame.columns)
    assert "core_packets_per_round" not in frame


def test_a_run_of_which_nothing_is_recorded_has_no_traffic_rather_than_none(
    tables: RunTables,
) -> None:
    silent = synthetic.tables(runs=tables.runs, deliveries=tables.deliveries)
    assert metrics.load("traffic").compute(silent).isna().all()


def test_crossings_are_sends_to_the_other_subnet_until_the_last_infection(
    tables: RunTables,
) -> None:
    """Of the five sends in four periods, those of node 0 (s1) to nodes 2 and 3 (s2) cross."""
    peers = [1, 2, 1, 3, 1, 2, 1, 1]
    events = tables.events[tables.events["event"] == "send"].assign(host=0, peer=peers)
    hosts = pd.DataFrame({"boot": 0, "node": range(4), "subnet": ["s1", "s1", "s2", "s2"]})
    found = metrics.load("core_crossings_per_round").compute(
        dataclasses.replace(tables, events=events, hosts=hosts)
    )
    assert list(found) == pytest.approx([2 / 4, math.nan], nan_ok=True)


def test_without_the_types_of_data_updates_are_missing(tables: RunTables) -> None:
    untold = dataclasses.replace(tables, manifest={})
    assert metrics.load("updates").compute(untold).isna().all()


def test_saturated_runs_spread_nothing(tables: RunTables) -> None:
    all_sources = synthetic.tables(
        runs=tables.runs.assign(sources="all"), deliveries=tables.deliveries, events=tables.events
    )
    frame = metrics.per_run(all_sources)
    assert (
        frame[["rounds_to_half", "rounds_to_all", "t_ave", "sends_to_last_infection"]]
        .isna()
        .all(axis=None)
    )


def test_core_packets_are_per_period_and_multicast() -> None:
    tables = synthetic.core_load((16,), 100, chances={"push": lambda n: 0.5})
    frame = metrics.per_batch(tables)
    assert len(frame) == len(tables.batches)
    direct = tables.batches["core_packets"].sum() / (10 * 10 * 1)
    assert frame["core_packets_per_round"].mean() == pytest.approx(direct)
    assert set(frame["nodes"]) == {16}
    assert list(frame["runs"]) == list(tables.batches["runs"])


def test_an_unknown_metric_names_the_near_ones() -> None:
    with pytest.raises(UsageError, match="did you mean residue"):
        metrics.load("resídue")
