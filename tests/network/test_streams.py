"""Streams on emulated hosts: they end, every datagram is accounted for, and the twin agrees."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import registry
from testbed import experiment, metrics, results, simulation, summary
from testbed.emulation import emulate
from testbed.progress import Progress
from testbed.tables import RunTables

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

STREAM = """
[experiment]
name = "stream"

[grid]
protocol = [{protocols}]
topology = "two_subnets"
nodes = 8
loss_ratio = {loss}

[run]
kind = "stream"
sources = 2
messages = 4
interval_s = 0.1
round_s = 0.2
linger_rounds = 5
repeats = 2
concurrent = {concurrent}
"""

CASTING = [name for name in registry.names() if registry.load(name).protocol.GROUPS]


def both(
    folder: Path, protocols: list[str], *, loss: float = 0.0, concurrent: int = 1
) -> tuple[RunTables, RunTables]:
    file = folder / "stream.toml"
    names = ", ".join(f'"{name}"' for name in protocols)
    file.write_text(STREAM.format(protocols=names, loss=loss, concurrent=concurrent))
    loaded = experiment.load(str(file))
    emulated = emulate(loaded, seed=5, folder=folder / "emulated", progress=Progress())
    simulated = simulation.simulate(
        loaded, seed=5, folder=folder / "simulated", progress=Progress()
    )
    return results.load(emulated), results.load(simulated)


def test_a_stream_ends_when_everybody_has_it(tmp_path: Path) -> None:
    for tables in both(tmp_path, ["push", "pull"], concurrent=2):
        assert tables.health["unexplained"] == []
        runs = metrics.per_run(tables)
        assert list(runs["delivery_ratio"]) == [1.0] * 4
        assert (tables.events["event"] == "multicast").sum() == 4 * 2 * 4
        took_s = (runs["stop_ns"] - runs["start_ns"]) / 1e9
        assert (took_s > 3 * 0.1).all() and (took_s < (3 * 0.1 + 40 * 0.2)).all()


@pytest.mark.skipif(not CASTING, reason="no protocol sends to groups")
def test_multicasts_of_protocols_are_accounted_for_and_cross_the_core_once(tmp_path: Path) -> None:
    for tables in both(tmp_path, CASTING):
        assert tables.health["unexplained"] == []
        for row in summary.rows(tables):
            assert row["delivery_ratio"]["mean"] == 1.0, row["protocol"]
            assert row["core_data_per_message"]["mean"] >= 1.0, row["protocol"]


@pytest.mark.skipif(not CASTING, reason="no protocol sends to groups")
def test_lost_multicasts_are_accounted_for(tmp_path: Path) -> None:
    emulated, _ = both(tmp_path, CASTING, loss=0.2)
    assert emulated.health["unexplained"] == []


@pytest.mark.parametrize("fault", ["pause", "kill"])
def test_a_stream_goes_on_through_faults(fault: str, tmp_path: Path) -> None:
    file = tmp_path / "faulty.toml"
    text = STREAM.format(protocols='"push", "rmtp"', loss=0.0, concurrent=1)
    text = text.replace("sources = 2", 'sources = "one"').replace("messages = 4", "messages = 8")
    file.write_text(f'{text}[[faults]]\nkind = "{fault}"\nnodes = 1\nat_s = 0.25\nfor_s = 0.5\n')
    loaded = experiment.load(str(file))
    final = emulate(loaded, seed=5, folder=tmp_path, progress=Progress())
    tables = results.load(final)
    assert tables.health["unexplained"] == []
    sent = tables.events[tables.events["event"] == "multicast"].groupby("run").size()
    assert list(sent) == [8] * 4
    runs = metrics.per_run(tables)
    assert (runs["delivery_ratio"] > 0.8).all()
    assert len(tables.batches) == 4 and (tables.batches["core_packets"] > 0).all()


@pytest.mark.skipif(not CASTING, reason="no protocol sends to groups")
@pytest.mark.parametrize(
    "where",
    ['nodes = "source"', "nodes = 3", 'router = "r2"'],
    ids=["of the source", "of others", "of a router"],
)
def test_multicasts_that_meet_a_link_that_is_down_are_accounted_for(
    where: str, tmp_path: Path
) -> None:
    """What a bridge or a router does not copy for such a link, no counter has seen."""
    file = tmp_path / "unplugged.toml"
    text = STREAM.format(protocols='"pbcast", "srm"', loss=0.0, concurrent=1)
    text = text.replace("sources = 2", 'sources = "one"').replace("messages = 4", "messages = 20")
    file.write_text(f'{text}[[faults]]\nkind = "link_down"\n{where}\nat_s = 0.55\nfor_s = 0.5\n')
    loaded = experiment.load(str(file))
    tables = results.load(emulate(loaded, seed=5, folder=tmp_path, progress=Progress()))
    assert tables.health["unexplained"] == []
    # Afterwards the source's multicasts are heard by its own subnet and by the other one again.
    events = tables.events
    late = events[(events["event"] == "deliver") & (events["time_ns"] > 1.4e9)]
    assert set(late["host"]) == set(range(8))
