"""Faults of simulated streams: who is asleep, who dies, and when such a run is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import experiment, results, simulation
from testbed.errors import UsageError
from testbed.metrics import per_run
from testbed.progress import Progress
from testbed.tables import RunTables

FILE = """
[grid]
nodes = 8
protocol = "push"
[protocol.push]
retention = "forever"
[run]
kind = "{kind}"
messages = {messages}
interval_s = 0.5
round_s = 0.5
repeats = 3
horizon_rounds = 20
[[faults]]
{fault}
"""


def run(folder: Path, fault: str, kind: str = "stream", messages: int = 6) -> RunTables:
    path = folder / "mine.toml"
    path.write_text(FILE.format(fault=fault, kind=kind, messages=messages))
    loaded = experiment.load(str(path))
    return results.load(simulation.simulate(loaded, seed=3, folder=folder, progress=Progress()))


def test_a_member_that_sleeps_holds_nobody_up_and_gets_all_when_it_wakes(tmp_path: Path) -> None:
    tables = run(tmp_path, 'kind = "pause"\nnodes = 1\nat_s = 0.6\nfor_s = 4.0')
    runs = per_run(tables)
    assert list(runs["delivery_ratio"]) == [1.0] * 3
    assert (runs["stop_ns"] >= 4.6e9).all() and (runs["stop_ns"] < 13e9).all()
    asleep = tables.deliveries["time_ns"].between(0.6e9, 4.6e9 - 1)
    assert (tables.deliveries[asleep].groupby("run")["host"].nunique() == 7).all()


def test_what_a_dead_sender_did_not_send_is_missed_by_nobody(tmp_path: Path) -> None:
    tables = run(tmp_path, 'kind = "kill"\nnodes = "source"\nat_s = 1.2')
    runs = per_run(tables)
    sent = tables.events[tables.events["event"] == "multicast"].groupby("run").size()
    assert list(sent) == [3] * 3
    assert (runs["survivors"] == 7).all()
    assert (runs["delivery_ratio"] <= 1.0).all() and (runs["delivery_ratio"] > 0.6).all()
    assert (runs["stop_ns"] == round((5 * 0.5 + 20 * 0.5) * 1e9)).all()  # the horizon


def test_a_run_does_not_wait_for_those_who_will_not_come_back(tmp_path: Path) -> None:
    tables = run(tmp_path, 'kind = "kill"\nnodes = 2\nat_s = 0.6')
    runs = per_run(tables)
    assert list(runs["delivery_ratio"]) == [1.0] * 3
    assert (runs["stop_ns"] < 12e9).all()


def test_a_share_of_the_infected_says_nothing_of_a_stream(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at_infected is of one multicast, not of a stream"):
        run(tmp_path, 'kind = "kill"\nnodes = 2\nat_infected = 0.5')


def test_a_saturated_run_has_no_faults(tmp_path: Path) -> None:
    fault = 'kind = "kill"\nnodes = 2\nat_s = 0.6'
    with pytest.raises(UsageError, match="kind saturated; choose dissemination or stream"):
        run(tmp_path, fault, kind="saturated", messages=1)
