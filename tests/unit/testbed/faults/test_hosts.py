"""Tests of testbed.faults.hosts: what a player asks of its session, and in which order."""

from __future__ import annotations

from typing import Any, cast

import pytest

from testbed.faults import Fault
from testbed.faults.drawing import Drawing
from testbed.faults.hosts import Player
from testbed.faults.weather import Row
from testbed.session import Session
from topologies import two_subnets
from topologies.graph import Graph


class Recorder:
    """Answers any call with nothing, and notes its name."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self._said.append(name)


class FakeSession(Recorder):
    """A session without a network."""

    def __init__(self, graph: Graph) -> None:
        self.said: list[str] = []
        super().__init__(self.said)
        self.graph = graph
        self.multicast = None


def ended(fault: Fault) -> list[str]:
    """What is asked of the session when the fault has been played and all is undone."""
    graph = two_subnets.build(hosts=2)
    timeline = Drawing([fault], graph, 0.1, 10).draw(1)
    session = FakeSession(graph)
    player = Player(cast(Session, session), [fault], timeline, 0.1)
    player.begin()
    session.said.clear()
    player.end()
    return session.said


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        (Fault("weather", at_s=0.0, profile=(Row(0.0, "h1", (("rate_mbit", 0.05),)),)), True),
        (Fault("clock_step", at_s=0.0, nodes=(1,), seconds=1.0), False),
    ],
)
def test_what_weather_holds_back_is_gone_before_the_next_runs(fault: Fault, waits: bool) -> None:
    said = ended(fault)
    assert ("quieten" in said) == waits
    if waits:
        assert said.index("impair") < said.index("quieten")
