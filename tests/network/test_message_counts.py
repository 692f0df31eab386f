"""Without loss a tree and a central sender send what they are said to, to the packet.

Three counts of the same stream: what the protocols' definition says of each pair of hosts, what the
agents wrote down, and what the kernel counted by message type at the routers. The protocols' own
unit tests count in memory; here a datagram too many on the network would show as well.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from agents.parts.tree_messages import TreeAck, TreeData, TreeReceipt
from agents.protocols.centralized import CentralizedAck, CentralizedData
from testbed import experiment, results
from testbed.emulation import emulate
from testbed.progress import Progress
from testbed.tables import RunTables

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

NODES, MESSAGES = 12, 5
STREAM = f"""
[experiment]
name = "counts"

[grid]
protocol = ["tree", "centralized"]
topology = "two_subnets"
nodes = {NODES}
loss_ratio = 0.0

[protocol.tree]
aggregate = [true, false]
k = [2, 3]
heartbeat_s = 60.0
heartbeat_max_s = 60.0

[run]
kind = "stream"
sources = "one"
messages = {MESSAGES}
interval_s = 0.3
round_s = 0.2
linger_rounds = 5
repeats = 1
concurrent = 1
"""

Edge = tuple[int, int, int]
"""Sender, receiver, message type."""


def expected(protocol: str, options: dict[str, object], source: int) -> Counter[Edge]:
    """What one multicast costs: in a tree, place i hands on to places Ki + 1 .. Ki + K."""
    others = [(source + place) % NODES for place in range(1, NODES)]
    if protocol == "centralized":
        down = [(source, to, CentralizedData.TYPE) for to in others]
        return Counter(down + [(to, source, CentralizedAck.TYPE) for to in others])
    k, gathers = int(str(options["k"])), options["aggregate"]
    sent: list[Edge] = []
    for place, node in enumerate(others, 1):
        parent = (source + (place - 1) // k) % NODES
        sent.append((parent, node, TreeData.TYPE))
        sent.append((node, parent if gathers else source, TreeAck.TYPE))
        if gathers and k * place + 1 < NODES:
            sent.append((node, parent, TreeReceipt.TYPE))
    return Counter(sent)


def run(folder: Path) -> RunTables:
    file = folder / "counts.toml"
    file.write_text(STREAM)
    return results.load(
        emulate(experiment.load(str(file)), seed=5, folder=folder, progress=Progress())
    )


def test_counts_of_agents_and_core_are_those_of_the_definition(tmp_path: Path) -> None:
    tables = run(tmp_path)
    assert tables.health["unexplained"] == []
    subnet = tables.hosts.set_index("node")["subnet"].to_dict()
    cells = tables.batches.set_index("cell")["batch"]
    assert len(tables.runs) == 5
    for _, row in tables.runs.iterrows():
        own = tables.events[tables.events["run"] == row["run"]]
        source = int(own.loc[own["event"] == "multicast", "host"].iloc[0])
        each = expected(row["protocol"], json.loads(str(row["options"])), source)
        wanted = Counter({edge: MESSAGES * count for edge, count in each.items()})
        sends = own[own["event"] == "send"]
        found = Counter(zip(sends["host"], sends["peer"], sends["type"], strict=True))
        assert found == wanted, row["options"]
        crossed: Counter[int] = Counter()
        for (sender, receiver, kind), count in wanted.items():
            crossed[kind] += count * (subnet[sender] != subnet[receiver])
        assert at_core(tables, int(cells[row["cell"]])) == +crossed, row["options"]


def at_core(tables: RunTables, batch: int) -> Counter[int]:
    """Packets that the core router forwarded during a batch, by message type."""
    mine = tables.counters[(tables.counters["batch"] == batch) & (tables.counters["level"] == 0)]
    stood = mine.groupby(["time_ns", "type"])["packets"].sum().unstack(fill_value=0).sort_index()
    grown = stood.iloc[-1] - stood.iloc[0]
    packets = {int(str(kind)): int(count) for kind, count in grown.items()}
    return +Counter(packets)
