"""A simulated experiment leaves the run directory that an emulated one would."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

from agents import registry
from testbed import experiment, metrics, replicates, results, simulation
from testbed.cli import main
from testbed.errors import UsageError
from testbed.experiment import Experiment
from testbed.judging.verdict import VERIFIED
from testbed.progress import Progress
from testbed.simulator import memory
from testbed.tables import COLUMNS, RunTables

SMALL = """
[experiment]
name = "small"
claims = []

[grid]
protocol = ["push", "pull"]
nodes = [8]
loss_ratio = [0.0, 0.3]
timing = ["free"]

[protocol.default]
fan_out = 1
retention = "forever"

[run]
repeats = 3
"""

BROKEN = '''
"""Fails in its second round."""
from agents.protocols.push import Push as Base
from agents.api import Message
from agents.parts.retention import RumourOptions
from agents.parts.rumours import Rumours

class Copy(Message):
    """A copy."""
    __slots__ = ()
    TYPE = 0x99

class Broken(Base):
    """Fails in its second round."""
    MESSAGES = (Copy,)

    def __init__(self, view, options, rng):
        super().__init__(view, options, rng)
        self.rumours = Rumours(Copy, options, view.nodes, rng, self.draw)

    def on_round(self, k, now):
        if k == 2 and self.view.me == 3:
            raise RuntimeError("tired")
        return super().on_round(k, now)
'''


def small(tmp_path: Path, *settings: str, protocols: Sequence[str] = ()) -> Experiment:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return experiment.load(str(path), settings=settings, protocols=protocols)


def simulate(loaded: Experiment, folder: Path, seed: int = 5) -> RunTables:
    outcome = simulation.run(loaded, folder=folder, progress=Progress(), seed=seed)
    return results.load(outcome.run_dir)


def test_the_same_seed_gives_the_same_tables_bit_for_bit(tmp_path: Path) -> None:
    loaded = small(tmp_path)
    folders = [
        simulation.simulate(loaded, seed=seed, folder=tmp_path / name, progress=Progress())
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    ]
    for table in results.TABLES:
        one, two, other = ((folder / f"{table}.parquet").read_bytes() for folder in folders)
        assert one == two
        if table in ("runs", "events", "deliveries"):
            assert one != other


def test_the_tables_are_those_of_an_emulated_run(tmp_path: Path) -> None:
    tables = simulate(small(tmp_path), tmp_path)
    assert tables.evidence == "simulated"
    assert tables.health["ok"]
    assert tables.manifest["message_types"] == {
        "16": "PushRumour",
        "18": "PullRequest",
        "19": "PullAnswer",
    }
    for name, columns in COLUMNS.items():
        assert set(columns) <= set(getattr(tables, name).columns), name
    assert len(tables.runs) == 12 and not tables.runs["voided"].any()
    assert (tables.deliveries.groupby("run")["host"].nunique() == 8).all()
    assert isinstance(tables.events["event"].dtype, pd.CategoricalDtype)
    per_run = metrics.per_run(tables)
    assert np.isfinite(per_run["rounds_to_all"]).all()
    assert (per_run["sends_to_last_infection"] >= 7).all()


def test_seeds_and_sources_are_those_of_an_emulated_run(tmp_path: Path) -> None:
    tables = simulate(small(tmp_path), tmp_path, seed=5)
    row = tables.runs[(tables.runs["cell"] == 2)].iloc[1]
    assert row["seed"] == replicates.derive_seed(5, "run", 2, 1)
    source = Random(replicates.derive_seed(int(row["seed"]), "source")).randrange(8)
    first = tables.deliveries[tables.deliveries["run"] == row["run"]].iloc[0]
    assert (first["host"], first["time_ns"], first["parent"]) == (source, 0, -1)


def test_an_edited_cell_leaves_the_draws_of_the_others_alone(tmp_path: Path) -> None:
    one = simulate(small(tmp_path), tmp_path / "a")
    other = simulate(small(tmp_path, "loss_ratio=0.0,0.4"), tmp_path / "b")
    runs = one.runs[one.runs["loss_ratio"] == 0]["run"]
    mine, theirs = (
        t.events[t.events["run"].isin(runs)].reset_index(drop=True) for t in (one, other)
    )
    pd.testing.assert_frame_equal(mine, theirs)


def test_a_dissemination_ends_with_its_last_infection_or_at_its_horizon(tmp_path: Path) -> None:
    tables = simulate(small(tmp_path), tmp_path)
    last = tables.deliveries.groupby("run")["time_ns"].max()
    assert (tables.runs.set_index("run")["stop_ns"] == last).all()
    cut = simulate(small(tmp_path, "horizon_rounds=1", "loss_ratio=1.0"), tmp_path)
    assert (cut.runs["stop_ns"] == 500_000_000).all()
    assert (metrics.per_run(cut)["rounds_to_all"] == math.inf).all()


def test_a_saturated_cell_counts_the_core_every_period(tmp_path: Path) -> None:
    settings = ("run.kind=saturated", "run.sources=all", "run.rounds=40", "concurrent=4")
    tables = simulate(small(tmp_path, *settings, "loss_ratio=0.0"), tmp_path)
    assert list(tables.batches["runs"].unique()) == [4]
    assert len(tables.batches) == 20 and tables.batches["rounds"].eq(1.0).all()
    sends = tables.events[tables.events["event"] == "send"]
    subnets = tables.hosts.set_index("node")["subnet"]
    crossing = sends[sends["host"].map(subnets) != sends["peer"].map(subnets)]
    measured = crossing[crossing["time_ns"] > 500_000_000]
    cells = tables.runs.set_index("run")["cell"]
    counted = tables.batches.groupby("cell")["core_packets"].sum()
    assert counted.equals(measured.groupby(measured["run"].map(cells)).size().rename_axis("cell"))
    last = tables.counters[tables.counters["time_ns"] == tables.counters["time_ns"].max()]
    assert last["packets"].sum() == len(crossing)
    assert set(last["router"]) == {"r0"} and set(last["input"]) == {"r1", "r2"}


TALKER = '''
"""Tells another subnet something in every round, and nothing in its multicasts."""
from agents.api import Deliver, Message, Protocol, Send
from agents.parts.retention import RumourOptions

class Hello(Message):
    """Says nothing."""
    __slots__ = ()
    TYPE = 0x99
    DATA = False

class Talker(Protocol):
    """Says hello to the node on the other side."""
    Options = RumourOptions
    MESSAGES = (Hello,)

    @classmethod
    def warm_up_s(cls, options, nodes):
        return {warm_up}

    def multicast(self, payload, now):
        id, kept = self.new_id()
        return [Deliver(id), kept]

    def on_round(self, k, now):
        nodes = self.view.nodes
        return [Send((self.view.me + nodes // 2) % nodes, Hello(self.view.me, k))]
'''


def test_what_is_sent_while_a_protocol_warms_up_counts_for_no_multicast(tmp_path: Path) -> None:
    file = tmp_path / "talker.py"
    file.write_text(TALKER.format(warm_up=2.0))
    stream = ("kind=stream", "messages=2", "interval_s=1.0", "horizon_rounds=4", "loss_ratio=0.0")
    tables = simulate(small(tmp_path, *stream, "round_s=0.5", protocols=[str(file)]), tmp_path)
    sent = tables.events[tables.events["event"] == "multicast"]
    assert list(sent["time_ns"]) == [0, 10**9] * 3
    # 3 s of 2 hellos from each of 8 nodes, 2 multicasts: the 2 s before them sent 32 more.
    assert (tables.events["event"] == "send").sum() == 3 * (48 + 32)
    assert metrics.per_run(tables)["control_per_message"].tolist() == [24.0] * 3
    assert metrics.per_batch(tables)["core_control_per_message"].tolist() == [24.0] * 3


@pytest.mark.parametrize("seconds", ["-1.0", "float('nan')", "float('inf')"])
def test_a_warm_up_that_is_no_time_is_refused(seconds: str, tmp_path: Path) -> None:
    file = tmp_path / "talker.py"
    file.write_text(TALKER.format(warm_up=seconds))
    with pytest.raises(UsageError, match=r"warm_up_s is .*; return seconds, 0 or more"):
        simulate(small(tmp_path, "kind=stream", protocols=[str(file)]), tmp_path)


def test_a_protocol_that_fails_voids_its_runs(tmp_path: Path) -> None:
    mine = tmp_path / "broken.py"
    mine.write_text(BROKEN)
    tables = simulate(small(tmp_path, protocols=[str(mine)]), tmp_path)
    assert tables.runs["voided"].all()
    assert not tables.health["ok"]
    assert "the agent of h4 failed: RuntimeError: tired" in tables.runs["reasons"].iloc[0]


def test_simulated_evidence_alone_is_verified_at_best(tmp_path: Path) -> None:
    settings = ["nodes=8,16,32,64,128", "repeats=60"]
    loaded = experiment.load("latency", settings=settings, protocols=["push"])
    outcome = simulation.run(loaded, folder=tmp_path, progress=Progress(), seed=1)
    form = next(row for row in outcome.verdicts if (row.claim, row.part) == ("C1", "form"))
    assert form.verdict == VERIFIED
    assert form.conditions["evidence"] == "simulated"


def test_more_nodes_than_fit_are_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 10_000)
    with pytest.raises(UsageError, match=r"nodes = 8 needs .* nodes fit"):
        simulation.run(small(tmp_path), folder=tmp_path / "r", progress=Progress())
    assert not (tmp_path / "r").exists()


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown engine 'evnt'; did you mean event"):
        simulation.run(small(tmp_path), folder=tmp_path, progress=Progress(), engine="evnt")


def test_the_command_prints_one_json_document(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    small(tmp_path)
    arguments = ["simulate", str(tmp_path / "small.toml"), "--seed", "3", "--json"]
    assert main([*arguments, "--repeats", "2", "--results", str(tmp_path / "r")]) == 0
    streams = capfd.readouterr()
    document = json.loads(streams.out)
    assert (document["schema"], document["engine"], document["seed"]) == (1, "event", 3)
    assert [row["runs"] for row in document["summary"]] == [2] * 4
    assert {"rounds_to_all", "residue", "traffic"} <= set(document["summary"][0])
    assert (Path(document["run_dir"]) / "manifest.json").is_file()


def test_every_shipped_protocol_can_be_simulated(tmp_path: Path) -> None:
    tables = simulate(small(tmp_path, "loss_ratio=0.0", protocols=registry.names()), tmp_path)
    assert not tables.runs["voided"].any()
    assert tables.deliveries.groupby("run")["host"].nunique().min() > 1
