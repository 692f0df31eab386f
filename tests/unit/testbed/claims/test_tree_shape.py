"""C14 on runs of the protocol: the tree is supported, a tree of another shape is refuted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from agents.parts.trees import Trees
from testbed import claims, experiment, metrics, results, simulation
from testbed.claims.tree_shape import CUT_RUNS, DEPTH_RUNS, LOAD_RUNS, RUNS
from testbed.judging.verdict import INCONCLUSIVE, REFUTED, SUPPORTED
from testbed.measures import cuts, streams
from testbed.progress import Progress
from testbed.tables import RunTables


def simulated(folder: Path, *settings: str) -> RunTables:
    """Small runs of the experiment; they stand for those on hosts."""
    loaded = experiment.load(
        "interior_node_dies", settings=("protocol=tree", "nodes=8,16,32", *settings)
    )
    made = results.load(simulation.simulate(loaded, seed=3, folder=folder, progress=Progress()))
    return dataclasses.replace(made, manifest={**made.manifest, "evidence": "emulated"})


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    return simulated(tmp_path_factory.mktemp("simulated"))


def verdicts(tables: RunTables) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {part: set() for part in RUNS}
    for row in claims.judge(["C14"], [tables]):
        if row.part in found:
            found[row.part].add(row.verdict)
    return found


def test_the_tree_supports_c14_whether_it_is_mended_or_not(tables: RunTables) -> None:
    assert verdicts(tables) == {key: {SUPPORTED} for key in RUNS}


def test_below_the_first_child_half_are_cut_off_until_three_heartbeats(tables: RunTables) -> None:
    runs = tables.runs.merge(cuts.trees(tables), on="run")
    assert (runs["cut"] == runs["nodes"] / 2 - 1).all() and (runs["below"] == runs["cut"]).all()
    mends = runs["options"].str.contains('"ack"')
    # 0.9 s from the third multicast on, 0.15 s before the kill, and 20 to 60 ms that it took.
    assert runs.loc[mends, "until_s"].between(0.76, 0.82).all()
    assert runs.loc[~mends, "until_s"].eq(float("inf")).all()


def with_k(change: Callable[[int], int], monkeypatch: pytest.MonkeyPatch) -> None:
    made = Trees.__init__
    monkeypatch.setattr(
        Trees, "__init__", lambda self, view, kind, k: made(self, view, kind, change(k))
    )


def test_a_node_with_one_child_too_many_refutes_the_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_k(lambda k: k + 1, monkeypatch)
    found = verdicts(simulated(tmp_path))
    assert found == {DEPTH_RUNS: {SUPPORTED}, LOAD_RUNS: {REFUTED}, CUT_RUNS: {REFUTED}}


def test_a_chain_refutes_the_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_k(lambda k: 1, monkeypatch)
    found = verdicts(simulated(tmp_path))
    assert found == {DEPTH_RUNS: {REFUTED}, LOAD_RUNS: {SUPPORTED}, CUT_RUNS: {REFUTED}}


@pytest.mark.parametrize("below", [True, False])
def test_one_node_more_or_less_that_is_cut_off_refutes_the_failure(
    below: bool, tables: RunTables
) -> None:
    """One below the dead node hears all the same, or one that is not below hears nothing."""
    run = tables.runs[tables.runs["options"].str.contains('"none"')].iloc[0]
    at_ns, victims = cuts.kills(tables)[run["run"]]
    sent = streams.multicasts(tables)
    sent = sent[(sent["run"] == run["run"]) & (sent["sent_ns"] > at_ns)]
    origin, nodes = int(sent["origin"].iloc[0]), int(run["nodes"])
    orphans = cuts.below_victims(nodes, 2, origin, victims)
    others = set(range(nodes)) - orphans - {*victims, origin}
    came = tables.deliveries
    if below:
        one = sent.head(1).assign(host=min(orphans), hop=2, time_ns=sent["sent_ns"] + 10**7)
        came = pd.concat([came, one.drop(columns="sent_ns")])
    else:
        came = came[
            ~((came["run"] == run["run"]) & (came["host"] == min(others)))
            | (came["time_ns"] < at_ns)
        ]
    wrong = dataclasses.replace(tables, deliveries=came)
    assert REFUTED in verdicts(wrong)[CUT_RUNS]
    assert verdicts(wrong)[LOAD_RUNS] == {SUPPORTED}


def test_a_node_that_lacks_one_multicast_for_ever_refutes_the_failure(tables: RunTables) -> None:
    """It is not cut off, and what it lacks is not the dead node's doing."""
    came = tables.deliveries
    last = came[(came["sequence"] == 10) & (came["hop"] > 0)].index[0]
    assert REFUTED in verdicts(dataclasses.replace(tables, deliveries=came.drop(last)))[CUT_RUNS]


def test_two_sizes_are_not_judged(tables: RunTables) -> None:
    few = dataclasses.replace(tables, runs=tables.runs[tables.runs["nodes"] < 32])
    assert verdicts(few) == {key: {INCONCLUSIVE} for key in RUNS}


def test_a_repair_that_comes_before_anything_is_sent_is_not_judged(tables: RunTables) -> None:
    asks = tables.events[tables.events["type"] == 0x27].groupby("run").head(1)
    early = asks.assign(time_ns=[cuts.kills(tables)[run][0] + 1 for run in asks["run"]])
    found = dataclasses.replace(tables, events=pd.concat([tables.events, early]))
    assert verdicts(found)[CUT_RUNS] == {SUPPORTED, INCONCLUSIVE}


def test_shape_and_silence_are_metrics(tables: RunTables) -> None:
    runs = metrics.per_run(tables)
    assert runs.groupby("nodes")["most_hops"].agg(set).to_dict() == {8: {3}, 16: {4}, 32: {5}}
    assert set(runs["most_receivers"]) == {2}
    mends = runs["options"].str.contains('"ack"')
    # 0.9 s, and the way to the grandparent and back.
    assert runs.loc[mends, "longest_silence"].between(0.91, 1.01).all()
    assert runs.loc[~mends, "longest_silence"].between(1.3, 1.5).all()
