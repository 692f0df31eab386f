"""The simulator keeps the promises that `agents.api` makes to a protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agents.api import (
    Action,
    Actions,
    Broadcast,
    CancelTimer,
    Deliver,
    Lost,
    MessageId,
    NodeId,
    Note,
    Radio,
    Send,
    SetTimer,
)
from agents.seeds import derive
from agents.timing import MODES, Timing
from agents.trace import Event
from agents.wire import MAX_BODY, Reason
from testbed.simulator.event import Simulation, StandstillError
from testbed.simulator.paths import Network
from tests.scripted import Script, Unlisted, Word, play
from topologies import two_subnets
from topologies.graph import Graph, Impairment, Router

SECOND = 1_000_000_000


def network(nodes: int = 4, delay_ms: float = 0.0, loss_ratio: float = 0.0) -> Network:
    routers = [Router("r0", 0, None)]
    receive = Impairment(delay_ms=delay_ms, loss_ratio=loss_ratio)
    return Network(Graph.grow("lan", routers, [("r0", nodes)], receive=receive))


Answers = Mapping[tuple[NodeId, str], Sequence[Action]]


def simulate(
    answers: Answers, seconds: float = 3.5, on: Network | None = None, **settings: Any
) -> Simulation:
    """Gives each answer once: to node `me` when it is called `start`, `round`, ..."""
    left = dict(answers)
    return follow(lambda me, call, now: left.pop((me, call), ()), seconds, on, **settings)


def follow(
    script: Script, seconds: float, on: Network | None = None, **settings: Any
) -> Simulation:
    chosen = {"timing": "sync", "round_s": 1.0, "seed": 1, "sources": [], **settings}
    simulation = Simulation(on or network(), play(script), {}, **chosen)
    simulation.advance(round(seconds * SECOND))
    return simulation


def calls(simulation: Simulation, me: NodeId) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = simulation.nodes[me].protocol.calls  # type: ignore[attr-defined]
    return found


def events(simulation: Simulation, *kinds: Event) -> list[tuple[Any, ...]]:
    """(event, host, seconds, peer) of the kinds asked for, in order."""
    records, hosts = simulation.recorder.finish()
    return [
        (Event(record["event"]).name, int(host), record["time_ns"] / SECOND, int(record["peer"]))
        for record, host in zip(records, hosts, strict=True)
        if not kinds or record["event"] in kinds
    ]


def test_rounds_follow_the_schedule_and_are_numbered() -> None:
    assert calls(simulate({}), 2) == [
        ("start", 0.0),
        ("round", 1.0, 1),
        ("round", 2.0, 2),
        ("round", 3.0, 3),
    ]


def test_the_actions_of_a_call_are_done_in_their_order() -> None:
    actions: list[Action] = [
        Note("first", 1.0),
        Send(0, Word(2, 1)),
        Deliver(MessageId(2, 1)),
        Lost(MessageId(2, 2)),
        Note("last", 2.0),
    ]
    records, _ = simulate({(2, "start"): actions}, seconds=0).recorder.finish()
    order = [Event.note, Event.send, Event.deliver, Event.lost, Event.note, Event.start]
    at = [int(kind) for kind in records["event"]].index(Event.note)
    assert list(records["event"][at : at + 6]) == order


def test_setting_a_timer_again_replaces_it() -> None:
    simulation = simulate({(1, "start"): [SetTimer("t", 0.5), SetTimer("t", 0.75)]}, 0.9)
    assert calls(simulation, 1) == [("start", 0.0), ("t", 0.75)]


def test_a_timer_may_be_set_again_for_an_earlier_time() -> None:
    simulation = simulate({(1, "start"): [SetTimer("t", 0.75), SetTimer("t", 0.5)]}, 0.9)
    assert calls(simulation, 1) == [("start", 0.0), ("t", 0.5)]


def test_a_cancelled_timer_does_not_fire_and_an_unknown_one_is_no_error() -> None:
    actions: list[Action] = [SetTimer("t", 0.5), CancelTimer("t"), CancelTimer("never")]
    simulation = simulate({(1, "start"): actions}, 0.9)
    assert calls(simulation, 1) == [("start", 0.0)]
    assert not simulation.failures


def test_a_timer_in_the_past_fires_after_the_call_with_the_time_of_now() -> None:
    """Before the message that the same call sent, and after all of its other actions."""
    first: list[Action] = [SetTimer("past", 0.25), Send(1, Word(1, 1)), Note("n", 0.0)]
    simulation = simulate({(1, "round"): first}, 1.5)
    assert calls(simulation, 1)[1:] == [
        ("round", 1.0, 1),
        ("past", 1.0),
        ("message", 1.0, Word(1, 1), 1),
    ]


def test_a_message_to_oneself_arrives_later_and_meets_no_link() -> None:
    dead = network(delay_ms=100.0, loss_ratio=1.0)
    simulation = simulate({(1, "round"): [Send(1, Word(1, 1)), Send(2, Word(1, 1))]}, 1.5, dead)
    assert calls(simulation, 1)[1:] == [("round", 1.0, 1), ("message", 1.0, Word(1, 1), 1)]
    assert [call[0] for call in calls(simulation, 2)] == ["start", "round"]


def test_all_rounds_of_an_instant_begin_before_its_first_message() -> None:
    simulation = simulate({(0, "round"): [Send(3, Word(0, 1))]}, 1.5)
    kinds = [kind for kind, *_ in events(simulation, Event.tick, Event.receive)]
    assert kinds == ["tick"] * 4 + ["receive"]


def test_messages_of_an_instant_arrive_in_the_order_of_sending() -> None:
    words = [Word(0, number) for number in range(5)]
    simulation = simulate({(0, "round"): [Send(3, word) for word in words]}, 1.5)
    assert [call[2] for call in calls(simulation, 3) if call[0] == "message"] == words


def test_a_message_takes_the_delay_of_its_path() -> None:
    simulation = simulate({(0, "round"): [Send(3, Word(0, 1))]}, 1.5, network(delay_ms=20.0))
    assert events(simulation, Event.send, Event.receive) == [
        ("send", 0, 1.0, 3),
        ("receive", 3, 1.02, 0),
    ]


def test_what_arrives_after_the_end_is_not_heard() -> None:
    simulation = simulate({(0, "round"): [Send(3, Word(0, 1))]}, 1.01, network(delay_ms=20.0))
    assert events(simulation, Event.receive) == []
    simulation.advance(2 * SECOND)
    assert len(events(simulation, Event.receive)) == 1


def test_the_second_copy_is_a_duplicate_and_the_first_has_a_parent() -> None:
    id = MessageId(0, 1)
    copies = [Send(3, Word(0, 1, hop=2)), Send(3, Word(0, 1, hop=2))]
    simulation = simulate({(0, "round"): copies, (3, "message"): [Deliver(id)]}, 1.5)
    records, hosts = simulation.recorder.finish()
    here = [r for r, host in zip(records, hosts, strict=True) if host == 3]
    kinds = [Event(r["event"]).name for r in here if r["event"] != Event.tick]
    assert kinds == ["start", "receive", "deliver", "duplicate"]
    (deliver,) = (r for r in here if r["event"] == Event.deliver)
    assert (deliver["parent"], deliver["hop"], deliver["round"]) == (0, 3, 1)
    assert simulation.infected == 1


def test_with_all_as_sources_everybody_holds_one_multicast() -> None:
    simulation = simulate({}, 0, sources="all")
    assert calls(simulation, 3) == [("start", 0.0), ("hold", 0.0, MessageId(0, 0))]


def test_only_a_source_multicasts() -> None:
    simulation = simulate({}, 0, sources=[2], payload_bytes=10)
    assert calls(simulation, 2)[1:] == [("multicast", 0.0, 10)]
    assert calls(simulation, 1)[1:] == []


def test_nothing_is_heard_while_the_radio_is_off() -> None:
    answers: Answers = {(3, "start"): [Radio(False)], (0, "round"): [Send(3, Word(0, 1))]}
    simulation = simulate(answers, 1.5)
    assert [call[0] for call in calls(simulation, 3)] == ["start", "round"]
    records, _ = simulation.recorder.finish()
    (drop,) = records[records["event"] == Event.drop]
    assert (drop["reason"], drop["peer"], drop["type"]) == (Reason.radio_off, 0, Word.TYPE)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Send(9, Word(1, 1)), "Send to 9; there are 0..3"),
        (Send("all", Word(1, 1)), "Scripted sends to many"),
        (Broadcast(Word(1, 1)), "Scripted sends to many; say so in the class: GROUPS = True"),
        (Send(0, Unlisted(1, 1)), "Unlisted is not listed in MESSAGES"),
        (Send(0, Word(1, 1, body=bytes(MAX_BODY + 1))), f"a datagram holds {MAX_BODY}"),
        (Send(0, Word(1, -1)), "keep within the field"),
    ],
)
def test_what_cannot_be_done_ends_the_run_at_that_node_only(action: Action, words: str) -> None:
    simulation = simulate({(1, "round"): [action]}, 2.5)
    assert len(simulation.failures) == 1
    assert simulation.failures[0].startswith("the agent of h2 failed: ")
    assert words in simulation.failures[0]
    assert [call[0] for call in calls(simulation, 1)] == ["start", "round"]
    assert [call[0] for call in calls(simulation, 0)] == ["start", "round", "round"]
    ends = events(simulation, Event.error, Event.stop)
    assert ends == [("error", 1, 1.0, -1), ("stop", 1, 1.0, -1)]


def test_a_protocol_that_raises_is_named_and_a_second_delivery_is_refused() -> None:
    def script(me: NodeId, call: str, now: float) -> Actions:
        if (me, call) == (1, "start"):
            raise KeyError("no such thing")
        return [Deliver(MessageId(0, 1))] if me == 2 and call == "round" else ()

    simulation = follow(script, 2.5)
    first, second = simulation.failures
    assert first.startswith("the agent of h2 failed: KeyError: 'no such thing' (scripted.py, line ")
    assert second == (
        "the agent of h3 failed: ProtocolError: MessageId(origin=0, sequence=1) is delivered twice"
    )


@pytest.mark.parametrize("action", [SetTimer("again", 0.0), Send(1, Word(1, 1))])
def test_time_that_stands_still_is_an_error(
    action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.simulator.event.STANDSTILL", 1)
    with pytest.raises(StandstillError, match="protocol scripted: 1004 events at 0"):
        follow(lambda me, call, now: [action] if me == 1 else (), 1.0)


@pytest.mark.parametrize("mode", MODES)
def test_rounds_are_those_of_the_udp_driver(mode: str) -> None:
    """The same mode, seed and node give the same ticks: infected at 0.3 here."""
    answers: Answers = {(2, "start"): [SetTimer("t", 0.3)], (2, "t"): [Deliver(MessageId(0, 1))]}
    simulation = simulate(answers, 5.0, timing=mode, seed=7)
    timing = Timing(mode, 1.0, derive(7, 2, "phase"))
    expected = []
    infected = False
    while min(timing.due, 9.0 if infected else 0.3) <= 5.0:
        if timing.due > 0.3 and not infected:
            infected = timing.infect(0.3) or True
            continue
        expected.append(round(timing.due * SECOND) / SECOND)
        timing.begin()
    assert [call[1] for call in calls(simulation, 2) if call[0] == "round"] == expected
    assert len(expected) >= 1


def test_a_note_keeps_its_name_and_value() -> None:
    simulation = simulate({(1, "start"): [Note("queue_length", 7.5)]}, 0)
    records, _ = simulation.recorder.finish()
    (record,) = records[records["event"] == Event.note]
    assert record["value"] == 7.5
    assert record.tobytes()[20:40].rstrip(b"\0") == b"queue_length"


def test_stopping_writes_one_record_a_node() -> None:
    simulation = simulate({}, 1.5)
    simulation.stop()
    assert events(simulation, Event.stop) == [("stop", me, 1.5, -1) for me in range(4)]


def test_the_end_of_a_dissemination_is_the_instant_of_the_last_infection() -> None:
    def script(me: NodeId, call: str, now: float) -> Actions:
        return [Deliver(MessageId(0, 1))] if call == "round" and now == 1.0 + (me == 3) else ()

    simulation = Simulation(
        network(), play(script), {}, seed=1, timing="sync", round_s=1.0, sources=[]
    )
    simulation.advance(9 * SECOND, until_all=True)
    assert simulation.now_ns == 2 * SECOND
    assert len(events(simulation, Event.tick)) == 8


def test_crossings_are_counted_by_way_and_type() -> None:
    lan = Network(two_subnets.build(hosts=4))
    sends = [Send(1, Word(0, 1)), Send(2, Word(0, 1)), Send(3, Word(0, 1, body=b"12"))]
    simulation = simulate({(0, "round"): sends, (3, "round"): [Send(0, Word(0, 1))]}, 1.5, lan)
    assert [(c.input, c.output, c.packets, c.bytes) for c in simulation.crossings] == [
        ("r1", "r2", {Word.TYPE: 2}, {Word.TYPE: 82}),
        ("r2", "r1", {Word.TYPE: 1}, {Word.TYPE: 40}),
    ]
