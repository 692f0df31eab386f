"""SRM, RMTP and Bimodal Multicast on emulated hosts: what is lost is repaired, at the price that
the formulas say, and every datagram is accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents import groups
from agents.protocols.srm import SrmRepair, SrmRequest
from testbed import experiment, metrics, results
from testbed.emulation import emulate
from testbed.network import Network
from testbed.progress import Progress
from testbed.tables import RunTables
from tests.network.test_multicast import Bench
from topologies import star

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

STREAM = """
[grid]
protocol = "{protocol}"
topology = "{topology}"
nodes = {nodes}
loss_ratio = {loss}

[run]
kind = "stream"
messages = {messages}
interval_s = {interval_s}
round_s = 0.5
horizon_rounds = 40
repeats = 1
concurrent = 1
"""


def stream(folder: Path, protocol: str, text: str = "", **chosen: Any) -> RunTables:
    """One run of a stream from one source, its tables."""
    values = {"topology": "star", "nodes": 8, "loss": 0.0, "messages": 20, "interval_s": 0.05}
    file = folder / f"{protocol}.toml"
    file.write_text(STREAM.format(protocol=protocol, **{**values, **chosen}) + text)
    loaded = experiment.load(str(file))
    return results.load(emulate(loaded, seed=3, folder=folder, progress=Progress()))


def sequences(tables: RunTables) -> list[list[int]]:
    """The sequence numbers that each node delivered, in its own order."""
    ordered = tables.deliveries.sort_values("time_ns", kind="stable")
    return [list(mine["sequence"]) for _, mine in ordered.groupby("host")]


@pytest.mark.parametrize("loss", ["end_to_end", "per_link"])
@pytest.mark.parametrize("protocol", ["srm", "rmtp", "pbcast"])
def test_a_lossy_stream_is_delivered_and_accounted_for(
    protocol: str, loss: str, tmp_path: Path
) -> None:
    text = f'[topology.star]\nloss = "{loss}"\naccess_delay_ms = 2\n'
    # Distances are known within a few session messages; a buffer of 30 rounds outlasts any gap.
    text += {
        "srm": "[protocol.srm]\nsession_s = 0.2\nfirst_distance_s = 0.02\n",
        "rmtp": "",
        "pbcast": "[protocol.pbcast]\nbuffer_rounds = 30\n",
    }[protocol]
    tables = stream(tmp_path, protocol, text, loss=0.1)
    assert tables.health["unexplained"] == []
    found = sequences(tables)
    sent = (tables.events["event"] == "multicast").sum()
    assert sent == 20 and len(found) == 8
    assert [sorted(mine) for mine in found] == [[*range(1, sent + 1)]] * 8
    if protocol != "srm":  # which delivers as it comes
        assert all(mine == sorted(mine) for mine in found)
    (run,) = metrics.per_run(tables).to_dict("records")
    assert run["delivery_ratio"] == 1.0


@pytest.mark.parametrize("protocol", ["srm", "rmtp", "pbcast"])
def test_a_multicast_crosses_each_link_of_the_core_once(protocol: str, tmp_path: Path) -> None:
    """Four subnets: a first copy leaves the core three times, on its way to the other three."""
    text = "[topology.star]\naccess_delay_ms = 2\n"
    tables = stream(tmp_path, protocol, text, messages=10)
    assert tables.health["unexplained"] == []
    (batch,) = metrics.per_batch(tables).to_dict("records")
    assert batch["core_data_per_message"] == 3.0


@pytest.mark.parametrize("place", [1, 2])
def test_in_a_chain_one_asks_and_one_answers(place: int, tmp_path: Path) -> None:
    """C1 = D1 = 1, C2 = D2 = 0: only the first one behind the loss speaks, and the last before.

    Not next to the source: a repair takes 3 d there, and a node asks again after 2 d. Of two
    neighbours the right one is a link's delay ahead, far longer than a busy machine holds it up.
    """
    text = f"""
[protocol.srm]
c1 = 1.0
c2 = 0.0
d1 = 1.0
d2 = 0.0
log_repair = false
session_s = 0.3

[topology.chain]
subnets = 6
core_delay_ms = 100

[[faults]]
kind = "loss"
router = "r{place}"
loss_ratio = 1.0
at_s = 5.9
for_s = 0.7
"""
    tables = stream(tmp_path, "srm", text, topology="chain", nodes=6, messages=5, interval_s=2.0)
    assert tables.health["unexplained"] == []
    assert [sorted(mine) for mine in sequences(tables)] == [[1, 2, 3, 4, 5]] * 6
    (source,) = set(tables.deliveries["origin"])
    assert abs(source - place) >= 2
    before = place - 1 if source < place else place + 1
    sends = tables.events[tables.events["event"] == "send"]
    asked = sends[sends["type"] == SrmRequest.TYPE]
    answered = sends[sends["type"] == SrmRepair.TYPE]
    assert list(zip(asked["host"], asked["sequence"], strict=True)) == [(place, 4)]
    assert list(zip(answered["host"], answered["sequence"], strict=True)) == [(before, 4)]


def test_a_loss_on_a_link_is_shared_by_all_behind_it() -> None:
    """Half of what a link of routers carries is lost: a whole subnet hears a multicast, or none."""
    graph = star.build(hosts=12, subnets=3, link_loss_ratio=0.5)
    turns = 60
    with Network(graph) as net:
        bench = Bench(net, graph)
        patterns = []
        for _ in range(turns):
            before = [each[0, groups.ALL] for each in bench.members.heard]
            bench.members.cast(0, groups.ALL)
            bench.members.listen(quiet_s=0.01)
            after = [each[0, groups.ALL] for each in bench.members.heard]
            patterns.append([now - then for now, then in zip(after, before, strict=True)])
        complaints = bench.complaints()
    assert complaints == []
    for heard in patterns:
        assert heard[1:4] == [1, 1, 1]  # its own subnet: no link of routers on the way
        assert len({*heard[4:8]}) == 1 and len({*heard[8:12]}) == 1
    # Up and down are lost by themselves: a quarter arrives; 15 of 60, 3.4 either way.
    arrived = [sum(heard[place] for heard in patterns) for place in (4, 8)]
    assert all(2 <= each <= 31 for each in arrived), arrived
    assert any(heard[4] != heard[8] for heard in patterns)


def test_a_loss_at_the_receiver_is_its_own() -> None:
    graph = star.build(hosts=12, subnets=3, loss_ratio=0.5)
    with Network(graph) as net:
        bench = Bench(net, graph)
        patterns = set()
        for _ in range(20):
            before = [each[0, groups.ALL] for each in bench.members.heard]
            bench.members.cast(0, groups.ALL)
            bench.members.listen(quiet_s=0.01)
            after = [each[0, groups.ALL] for each in bench.members.heard]
            patterns.add(tuple(now - then for now, then in zip(after, before, strict=True))[4:8])
        complaints = bench.complaints()
    assert complaints == []
    assert len(patterns - {(0, 0, 0, 0), (1, 1, 1, 1)}) > 2
