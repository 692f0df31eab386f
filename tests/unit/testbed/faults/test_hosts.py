"""Tests of testbed.faults.hosts: what a player asks of its session, and in which order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from testbed import terms
from testbed.faults import Fault
from testbed.faults.drawing import Drawing
from testbed.faults.hosts import Player
from testbed.faults.weather import Row
from testbed.reckoning import Reckoning
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
        self.reckoning = Reckoning(graph)
        self.ready: set[int] = set()


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


@pytest.mark.parametrize(
    ("late_s", "said"), [(0.039, ""), (0.045, "step weather of fault 0 45 ms late, limit 40 ms")]
)
def test_a_step_that_is_done_too_late_is_named(
    monkeypatch: pytest.MonkeyPatch, late_s: float, said: str
) -> None:
    """Late by a tenth of the round of 0.4 s, its own duration included; the one before is not."""
    rows = (Row(0.0, "h1", (("loss_ratio", 0.5),)), Row(1.0, "h1", (("loss_ratio", 0.1),)))
    fault = Fault("weather", at_s=0.0, profile=rows)
    graph = two_subnets.build(hosts=2)
    session = FakeSession(graph)
    timeline = Drawing([fault], graph, 0.4, 10).draw(1)
    now_ns = 5_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    player = Player(cast(Session, session), [fault], timeline, 0.4)
    player.begin()
    player.start_ns = now_ns + 100_000_000
    assert session.said == ["impair"] and not player.late
    now_ns = player.start_ns + round((1 + late_s) * 1e9)
    player.advance()
    assert session.said == ["impair", "impair"]
    assert player.late == said


def test_a_full_socket_is_excused_while_its_agent_is_stopped_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped from 1 to 2 s; a tenth of the round of 0.4 s is for working off the queue."""
    fault = Fault("pause", at_s=1.0, for_s=1.0, nodes=(0,), source="any")
    graph = two_subnets.build(hosts=2)
    session: Any = FakeSession(graph)
    session.zygote = Recorder([])
    overflows = 3
    session.net = SimpleNamespace(hosts=[SimpleNamespace(netns=0)])
    monkeypatch.setattr(terms, "overflows", lambda netns: overflows)
    now_ns = 0
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    player = Player(session, [fault], Drawing([fault], graph, 0.4, 10).draw(1), 0.4)
    player.begin()
    player.start_ns = 1
    excused = []
    for at_s, so_far in ((0.5, 3), (1.01, 5), (1.5, 8), (2.01, 20), (2.04, 30), (2.06, 33)):
        now_ns, overflows = round(at_s * 1e9), so_far
        player.advance()
        excused.append(session.reckoning.excused)
    overflows = 90
    player.end()
    assert excused == [0, 0, 0, 0, 0, 33 - 5]
    assert session.reckoning.excused == 33 - 5


class Wire(Recorder):
    """A link, its two ends in one."""

    def __init__(self, said: list[str], name: str) -> None:
        super().__init__(said)
        self.intf1 = self.intf2 = self
        self.name = name

    def ifconfig(self, state: str) -> None:
        self._said.append(f"{self.name} {state}")


def test_a_link_goes_down_while_shaping_looks_after_it_alone() -> None:
    """Nothing that takes its time lies between: it would widen the bound of what is lost."""
    fault = Fault("link_down", at_s=0.0, nodes=(0, 1), source="any")
    graph = two_subnets.build(hosts=2)
    session: Any = FakeSession(graph)
    said = session.said
    wires = [SimpleNamespace(link=Wire(said, host.name)) for host in graph.hosts]
    hosts = [SimpleNamespace(defaultIntf=lambda wire=wire: wire) for wire in wires]
    session.net, session.rules = SimpleNamespace(hosts=hosts), Recorder([])
    session.multicast = Recorder(said)

    @contextmanager
    def going_down(ports: Iterable[tuple[str, str]]) -> Iterator[None]:
        said.append(f"before {sorted(ports)}")
        yield
        said.append("after")

    session.shaping = SimpleNamespace(going_down=going_down)
    timeline = Drawing([fault], graph, 0.1, 10).draw(1)
    Player(session, [fault], timeline, 0.1).begin()
    assert said == [
        "withhold",
        *("before [('r1', 'p0'), ('r1', 'p0 in')]", "h1 down", "h1 down", "after"),
        *("before [('r2', 'p1'), ('r2', 'p1 in')]", "h2 down", "h2 down", "after"),
    ]
