"""Weather in the event simulator: what the rows say is what datagrams meet from then on."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import registry
from testbed import experiment, simulation
from testbed.errors import UsageError
from testbed.faults import Fault
from testbed.faults.drawing import Drawing
from testbed.faults.virtual import VirtualPlayer
from testbed.faults.weather import Row
from testbed.progress import Progress
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from topologies import two_subnets

ROUND_S = 0.1
HORIZON_S = 3


def infected(rows: tuple[Row, ...]) -> tuple[int, int]:
    """Nodes reached, and when, in ms, with push on two hosts under this weather."""
    network = Network(two_subnets.build(hosts=2))
    fault = Fault("weather", at_s=0.0, profile=rows)
    timeline = Drawing([fault], network.graph, ROUND_S, HORIZON_S / ROUND_S).draw(1)
    simulation = Simulation(
        network,
        registry.load("push"),
        {"fan_out": 1, "retention": "forever"},
        seed=1,
        round_s=ROUND_S,
    )
    VirtualPlayer(simulation, [fault], timeline, seed=1, source=0).play(HORIZON_S * 10**9)
    return simulation.infected, simulation.now_ns // 10**6


def test_a_delay_that_a_row_sets_is_met() -> None:
    reached, plain_ms = infected((Row(9.0, "core", (("delay_ms", 1.0),)),))
    assert reached == 2
    late = infected((Row(0.0, "core", (("delay_ms", 400.0),)),))
    assert late == (2, plain_ms + 800)


def test_a_link_is_dead_until_a_row_revives_it() -> None:
    dead = Row(0.0, "core", (("loss_ratio", 1.0),))
    assert infected((dead,)) == (1, HORIZON_S * 1000)
    reached, when_ms = infected((dead, Row(1.5, "core", (("loss_ratio", 0.0),))))
    assert reached == 2 and 1500 <= when_ms < 1700


@pytest.mark.parametrize("field", ["rate_mbit", "queue_packets"])
def test_weather_that_is_not_simulated_is_refused_before_the_first_cell(
    tmp_path: Path, field: str
) -> None:
    (tmp_path / "day.csv").write_text(f"time_s,link,{field}\n0,core,none\n9,core,5\n")
    path = tmp_path / "mine.toml"
    path.write_text("[grid]\nnodes = 8\n[[faults]]\nkind='weather'\nat_s=0\nprofile='day.csv'\n")
    loaded = experiment.load(str(path), settings=("protocol=push", "repeats=1"))
    said = rf"\[\[faults\]\] number 1, weather at 9 s, core: {field} = 5.* is not simulated"
    with pytest.raises(UsageError, match=said):
        simulation.simulate(loaded, seed=1, folder=tmp_path / "results", progress=Progress())
    assert not (tmp_path / "results").exists()
