"""`simulate --engine rounds|counts` draws what the event engine does, or refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from testbed import experiment, metrics, results, simulation
from testbed.errors import UsageError
from testbed.judging import stats
from testbed.progress import Progress

SYNC = ("timing=sync", "nodes=32", "repeats=300", "fan_out=1")


def runs(
    folder: Path, engine: str, protocol: str, *settings: str, name: str = "latency"
) -> pd.DataFrame:
    loaded = experiment.load(
        name, settings=settings, protocols=[protocol], network=engine == "event"
    )
    outcome = simulation.run(loaded, folder=folder, progress=Progress(), seed=5, engine=engine)
    assert outcome.engine == engine
    tables = results.load(outcome.run_dir)
    assert tables.manifest["engine"] == engine
    return metrics.per_run(tables)


@pytest.mark.parametrize("protocol", ["push", "pull", "push_pull", "topology_aware"])
def test_the_engines_agree_with_the_event_engine(protocol: str, tmp_path: Path) -> None:
    events = runs(tmp_path, "event", protocol, *SYNC)
    engines = ["rounds"] if protocol == "topology_aware" else ["rounds", "counts"]
    for engine in engines:
        drawn = runs(tmp_path, engine, protocol, *SYNC)
        for metric in ("rounds_to_all", "rounds_to_half"):
            assert stats.same_distribution(events[metric], drawn[metric]) > 1e-3, engine
        assert drawn["traffic"].isna().all(), "what an engine has not is missing, not zero"


def test_rounds_of_retention_leave_as_many_out(tmp_path: Path) -> None:
    settings = (*SYNC, "retention=infect_and_die", "fan_out=2", "linger_rounds=3")
    event, rounds = (runs(tmp_path, engine, "push", *settings) for engine in ("event", "rounds"))
    assert stats.same_distribution(event["residue"], rounds["residue"]) > 1e-3
    assert rounds["residue"].mean() > 0.1


def test_rumor_mongering_has_the_fraction_of_cycles(tmp_path: Path) -> None:
    settings = ("timing=sync", "nodes=1000", "repeats=100", "k_counter=1")
    drawn = runs(tmp_path, "rounds", "rumor", *settings, name="rumor_residue")
    assert drawn["residue"].mean() == pytest.approx(0.176, abs=0.01)
    assert -np.log(drawn["residue"].mean()) == pytest.approx(drawn["updates"].mean(), rel=0.03)


def test_counts_reach_every_ipv4_address(tmp_path: Path) -> None:
    settings = ("timing=sync", "nodes=4294967296", "repeats=3")
    drawn = runs(tmp_path, "counts", "push", *settings)
    assert drawn["rounds_to_all"].between(30, 36).all()


def test_the_same_seed_gives_the_same_runs(tmp_path: Path) -> None:
    one, other = (runs(tmp_path / each, "rounds", "push", *SYNC) for each in "ab")
    assert list(one["rounds_to_all"]) == list(other["rounds_to_all"])


@pytest.mark.parametrize(
    ("engine", "settings", "words"),
    [
        ("rounds", ("timing=free",), ["timing free", "--set timing=sync"]),
        ("counts", ("retention=coin",), ["retention coin", "retention=forever"]),
        ("rounds", ("kind=saturated",), ["kind saturated"]),
        ("counts", ("protocol=topology_aware",), ["protocol topology_aware", "push, pull"]),
        ("rounds", ("protocol=topology_aware", "topology=star"), ["topology star"]),
        (
            "rounds",
            ("protocol=topology_aware", "hosts_per_subnet=[[4, 12]]"),
            ["hosts_per_subnet=("],
        ),
        ("counts", ("loss=per_link",), ["loss=per_link of two_subnets", "leave it at its default"]),
        ("rounds", ("core=loss_ratio=0.1",), ["core=loss_ratio=0.1"]),
        ("rounds", ("protocol=pbcast",), ["protocol pbcast"]),
        ("counts", ("protocol=push_pull", "exchange=three_way"), ["three_way", "two_way"]),
        ("rounds", ("protocol=push_pull", "termination=median_counter"), ["termination=none"]),
        ("round", (), ["unknown engine 'round'", "did you mean rounds"]),
    ],
)
def test_what_is_not_modelled_is_refused(
    engine: str, settings: tuple[str, ...], words: list[str], tmp_path: Path
) -> None:
    loaded = experiment.load(
        "latency", settings=("protocol=push", "timing=sync", "nodes=16", *settings), network=False
    )
    with pytest.raises(UsageError) as caught:
        simulation.run(loaded, folder=tmp_path, progress=Progress(), engine=engine)
    for word in words:
        assert word in str(caught.value)
    assert not list(tmp_path.glob("*/2*"))


def test_more_nodes_than_the_memory_holds_are_refused(tmp_path: Path) -> None:
    settings = ("protocol=push", "timing=sync", "nodes=100000000000")
    loaded = experiment.load("latency", settings=settings, network=False)
    with pytest.raises(UsageError, match="nodes fit"):
        simulation.run(loaded, folder=tmp_path, progress=Progress(), engine="rounds")
