"""Streams, and what may befall a simulated node: crash, restart, pause, a step of its clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agents.api import (
    Action,
    Actions,
    Broadcast,
    Deliver,
    Lost,
    MessageId,
    NodeId,
    Send,
    SetTimer,
    Store,
)
from agents.trace import Event
from testbed.errors import TestbedError
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from tests.scripted import Script, Word, play
from topologies import two_subnets
from topologies.graph import Graph, GraphError, Impairment, Router

SECOND = 1_000_000_000


def lan(nodes: int = 4, delay_ms: float = 0.0) -> Network:
    receive = Impairment(delay_ms=delay_ms)
    return Network(Graph.grow("lan", [Router("r0", 0, None)], [("r0", nodes)], receive=receive))


def make(script: Script, on: Network | None = None, **settings: Any) -> Simulation:
    chosen = {"timing": "sync", "round_s": 1.0, "seed": 1, "sources": [], **settings}
    return Simulation(on or lan(), play(script, groups=True), {}, **chosen)


def silent(me: NodeId, call: str, now: float) -> Actions:
    return ()


def calls(simulation: Simulation, me: NodeId) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = simulation.nodes[me].protocol.calls  # type: ignore[attr-defined]
    return found


def records(simulation: Simulation, kind: Event) -> list[tuple[int, float]]:
    """(host, seconds) of one kind."""
    found, hosts = simulation.recorder.finish()
    return [
        (int(host), record["time_ns"] / SECOND)
        for record, host in zip(found, hosts, strict=True)
        if record["event"] == kind
    ]


def chatter(answers: Mapping[tuple[NodeId, str], Sequence[Action]]) -> Script:
    return lambda me, call, now: answers.get((me, call), ())


def test_a_stream_is_sent_at_its_times() -> None:
    simulation = make(silent, sources=[1, 2], messages=3, interval_s=0.4)
    simulation.advance(2 * SECOND)
    for me in (1, 2):
        at = [call[1] for call in calls(simulation, me) if call[0] == "multicast"]
        assert at == pytest.approx([0.0, 0.4, 0.8])
    assert len(records(simulation, Event.multicast)) == 6


def test_a_stream_ends_when_every_node_has_delivered_or_lost_all_of_it() -> None:
    def script(me: NodeId, call: str, now: float) -> Actions:
        if call != "round":
            return ()
        id = MessageId(9, round(now))
        return [Lost(id) if me == 2 and now == 1 else Deliver(id)] if now < 2 + me else ()

    simulation = make(script, sources=[1], messages=3)
    simulation.advance(20 * SECOND, until_settled=True)
    assert simulation.unsettled == 2  # of nodes 0 and 1 there is less to settle than was sent
    simulation = make(script, sources=[1], messages=1)
    simulation.advance(20 * SECOND, until_settled=True)
    assert simulation.now_ns == SECOND and simulation.unsettled == 0


def test_a_crashed_node_hears_and_does_nothing() -> None:
    script = chatter({(0, "round"): [Send(1, Word(0, 1))], (1, "round"): [Send(0, Word(1, 1))]})
    simulation = make(script)
    simulation.at(3 * SECOND // 2, lambda: simulation.crash(1))
    simulation.advance(4 * SECOND)
    assert [call[0] for call in calls(simulation, 1)] == ["start", "round", "message"]
    assert [call[0] for call in calls(simulation, 0)].count("message") == 1
    assert records(simulation, Event.drop) == []


def test_what_was_under_way_when_its_sender_crashed_arrives() -> None:
    simulation = make(chatter({(0, "round"): [Send(1, Word(0, 1))]}), lan(delay_ms=500))
    simulation.at(1_200_000_000, lambda: simulation.crash(0))
    simulation.advance(4 * SECOND)
    assert [call[1] for call in calls(simulation, 1) if call[0] == "message"] == [1.5]


def test_a_restarted_node_begins_anew_with_what_it_stored() -> None:
    answers: dict[tuple[NodeId, str], list[Action]] = {
        (1, "multicast"): [Store("a", b"1"), Store("b", b"2"), Store("a", b"3")],
        (1, "start"): [SetTimer("t", 2.75)],
    }
    simulation = make(chatter(answers), sources=[1], messages=4, interval_s=1.0)
    simulation.at(SECOND // 2, lambda: simulation.crash(1))
    simulation.at(3 * SECOND // 2, lambda: simulation.restart(1))
    simulation.advance(round(3.2 * SECOND))
    assert calls(simulation, 1) == [
        ("stored", "a", b"3"),
        ("stored", "b", b"2"),
        ("start", 1.5),
        ("round", 2.0, 1),
        ("multicast", 2.0, 64),
        ("t", 2.75),
        ("round", 3.0, 2),
        ("multicast", 3.0, 64),
    ]
    assert records(simulation, Event.start)[-1] == (1, 1.5)


def test_a_second_life_draws_anew() -> None:
    simulation = make(silent, timing="free")
    first = simulation.nodes[1]
    simulation.crash(1)
    simulation.restart(1)
    assert simulation.nodes[1].protocol.rng.random() != first.protocol.rng.random()
    assert simulation.nodes[1].timing.due != first.timing.due


def test_a_paused_node_makes_up_for_its_wake_ups_before_its_messages() -> None:
    answers: dict[tuple[NodeId, str], list[Action]] = {
        (0, "round"): [Send(1, Word(0, 1))],
        (1, "start"): [SetTimer("t", 2.5)],
    }
    simulation = make(chatter(answers))
    simulation.at(3 * SECOND // 2, lambda: simulation.pause(1))
    simulation.at(7 * SECOND // 2, lambda: simulation.resume(1))
    simulation.advance(round(3.6 * SECOND))
    late = [(call[0], call[1]) for call in calls(simulation, 1) if call[1] > 1.5]
    assert late == [("round", 3.5), ("t", 3.5), ("round", 3.5), *[("message", 3.5)] * 2]


def test_what_is_sent_to_a_node_that_crashes_while_it_is_paused_is_gone() -> None:
    simulation = make(chatter({(0, "round"): [Send(1, Word(0, 1))]}))
    simulation.pause(1)
    simulation.advance(3 * SECOND // 2)
    simulation.crash(1)
    simulation.restart(1)
    simulation.advance(round(1.6 * SECOND))
    assert calls(simulation, 1) == [("start", 1.5)]


def test_a_stepped_clock_is_what_the_protocol_sees_and_asks_by() -> None:
    def script(me: NodeId, call: str, now: float) -> Actions:
        return [SetTimer("t", now + 0.25)] if call == "round" else ()

    simulation = make(script)
    simulation.at(3 * SECOND // 2, lambda: simulation.clock_step(1, 10.0))
    simulation.at(5 * SECOND // 2, lambda: simulation.clock_step(1, -4.0))
    simulation.advance(round(3.5 * SECOND))
    assert [call[:2] for call in calls(simulation, 1)] == [
        *[("start", 0.0), ("round", 1.0), ("t", 1.25)],
        *[("round", 12.0), ("t", 12.25), ("round", 9.0), ("t", 9.25)],
    ]


@pytest.mark.parametrize(("sources", "call"), [([1], "multicast"), ("all", "hold")])
def test_a_clock_stepped_before_the_start_is_seen_at_the_start(sources: Any, call: str) -> None:
    simulation = make(silent, sources=sources)
    simulation.clock_step(1, 10.0)
    simulation.advance(SECOND // 2)
    assert [each[:2] for each in calls(simulation, 1)] == [("start", 10.0), (call, 10.0)]


def test_a_clock_that_is_stepped_stays_so_for_the_next_life() -> None:
    simulation = make(silent)
    simulation.clock_step(1, 10.0)
    simulation.at(SECOND // 4, lambda: simulation.crash(1))
    simulation.at(SECOND // 4, lambda: simulation.clock_step(1, -2.0))
    simulation.at(SECOND // 2, lambda: simulation.restart(1))
    simulation.advance(3 * SECOND // 2)
    assert [each[:2] for each in calls(simulation, 1)] == [("start", 8.5), ("round", 9.0)]


def test_what_is_done_at_a_time_comes_before_all_else_of_that_instant() -> None:
    simulation = make(silent)
    order: list[Any] = []
    simulation.at(SECOND, lambda: order.append((simulation.now_ns, len(calls(simulation, 0)))))
    simulation.at(SECOND, lambda: order.append("second"))
    simulation.advance(2 * SECOND)
    assert order == [(SECOND, 1), "second"]
    with pytest.raises(TestbedError, match="is over"):
        simulation.at(SECOND, lambda: None)


def test_a_cut_is_met_by_datagrams_and_multicasts() -> None:
    said: list[Action] = [Send(1, Word(0, 1)), Send("all", Word(0, 2)), Broadcast(Word(0, 3))]
    simulation = make(chatter({(0, "round"): said}))
    simulation.reaches = lambda sender, to: to != 1
    simulation.advance(3 * SECOND // 2)
    heard = [[call[0] for call in calls(simulation, me)].count("message") for me in range(4)]
    assert heard == [0, 0, 2, 2]


def test_a_port_can_be_changed_on_the_way() -> None:
    network = Network(two_subnets.build(hosts=4))
    simulation = make(chatter({(0, "round"): [Send(1, Word(0, 1)), Send(3, Word(0, 1))]}), network)
    dead = Impairment(loss_ratio=1.0)
    simulation.at(3 * SECOND // 2, lambda: simulation.paths.impair("h2", dead))
    simulation.at(5 * SECOND // 2, lambda: simulation.paths.impair("h2", Impairment()))
    simulation.at(5 * SECOND // 2, lambda: simulation.paths.impair("r1>r0", dead))
    simulation.advance(round(3.5 * SECOND))
    heard = {
        me: [call[1] for call in calls(simulation, me) if call[0] == "message"] for me in (1, 3)
    }
    assert heard == {1: [1.0, 3.0], 3: [1.0, 2.0]}
    crossed = sum(sum(each.packets.values()) for each in simulation.crossings)
    assert crossed == 2
    for name in ("h9", "r1>r2", "r1", "r0>"):
        with pytest.raises(GraphError, match="no such port"):
            simulation.paths.impair(name, dead)


def test_a_node_that_is_not_coming_back_is_not_waited_for() -> None:
    script = chatter({(me, "round"): [Deliver(MessageId(9, 1))] for me in range(3)})
    left_out = make(script)
    left_out.crash(3, returns=False)
    left_out.advance(9 * SECOND, until_all=True)
    assert left_out.now_ns == SECOND
    waited_for = make(script)
    waited_for.crash(3)
    waited_for.advance(9 * SECOND, until_all=True)
    assert waited_for.now_ns == 9 * SECOND


@pytest.mark.parametrize("what", ["crash", "pause"])
def test_what_cannot_befall_a_node_says_so(what: str) -> None:
    simulation = make(silent)
    with pytest.raises(TestbedError, match="node 1 is up"):
        simulation.restart(1)
    simulation.crash(1)
    with pytest.raises(TestbedError, match=f"node 1 is down; restart it before you {what} it"):
        getattr(simulation, what)(1)


def test_a_stream_does_not_wait_for_a_node_that_is_not_coming_back() -> None:
    script = chatter({(me, "round"): [Deliver(MessageId(9, 1))] for me in range(3)})
    simulation = make(script, sources=[0])
    simulation.at(SECOND // 2, lambda: simulation.crash(3, returns=False))
    simulation.advance(9 * SECOND, until_settled=True)
    assert simulation.now_ns == SECOND
