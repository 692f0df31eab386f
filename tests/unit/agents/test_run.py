"""The driver keeps the promises that `agents.api` makes to a protocol."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest

from agents.api import (
    Actions,
    CancelTimer,
    Deliver,
    Lost,
    Message,
    MessageId,
    Note,
    Radio,
    Send,
    SetTimer,
)
from agents.options import OptionError
from agents.run import RunSpec
from agents.seeds import derive
from agents.trace import Event
from agents.wire import MAX_BODY, Dialect, Packet, Reason, decode
from tests.outlet import AT, PLUGIN, SECOND, Word, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "2.trace")


def test_a_run_starts_at_its_time_and_rounds_follow_the_schedule(world: World) -> None:
    world.until(2.5)
    assert world.protocol.calls == [("start", 0.0), ("round", 1, 1.0), ("round", 2, 2.0)]


def test_targets_are_drawn_from_the_run_seed_and_the_node(world: World) -> None:
    assert world.protocol.rng.random() == derive(1, 2, "targets").random()


def test_the_phase_is_drawn_from_a_source_of_its_own(tmp_path: Path) -> None:
    world = World(tmp_path / "a", timing="free", round_s=0.5)
    world.until(0.5)
    assert world.protocol.calls[1][2] == pytest.approx(derive(1, 2, "phase").random() * 0.5)


def test_a_late_driver_does_not_shift_the_schedule(world: World) -> None:
    world.late_ns = SECOND // 10
    world.until(2.5)
    assert [call[-1] for call in world.protocol.calls] == pytest.approx([0, 1.1, 2.1])
    assert [record.value for record in world.events(Event.tick)] == [SECOND / 10] * 2


def test_what_happens_at_the_start_is_done_before_it_with_its_time(world: World) -> None:
    world.protocol.answers["start"] = [Deliver(MessageId(2, 1))]
    world.run.open(AT - SECOND)
    assert world.protocol.calls == [("start", 0.0)]
    assert [record.time_ns for record in world.events(Event.deliver)] == [AT]
    assert [(r.time_ns, r.value) for r in world.events(Event.start)] == [(AT, 0)]


def test_a_send_at_the_start_waits_for_it(world: World) -> None:
    world.protocol.answers["start"] = [Deliver(MessageId(2, 1)), Send(4, Word(2, 1))]
    world.until(-0.1)
    assert world.sent == [] and world.events(Event.deliver) == []
    world.until(0)
    assert [node for node, _ in world.sent] == [4]
    assert [record.time_ns for record in world.events(Event.send)] == [AT]


def test_an_order_that_comes_late_is_recorded_as_late(world: World) -> None:
    world.protocol.answers["start"] = [Send(4, Word(2, 1))]
    world.late_ns = SECOND + SECOND // 4
    world.until(0.5)
    assert world.protocol.calls == [("start", 0.25)]
    assert [record.value for record in world.events(Event.start)] == [SECOND / 4]


def test_only_a_source_multicasts(tmp_path: Path) -> None:
    source = World(tmp_path / "a", sources=[2], payload_bytes=10)
    other = World(tmp_path / "b", sources=[1])
    for world in (source, other):
        world.until(0)
    assert source.protocol.calls == [("start", 0.0), ("multicast", 10, 0.0)]
    assert other.protocol.calls == [("start", 0.0)]


def test_with_all_as_sources_everybody_holds_one_multicast(tmp_path: Path) -> None:
    world = World(tmp_path / "a", sources="all", payload_bytes=10)
    world.until(0)
    assert world.protocol.calls[1] == ("hold", MessageId(0, 0), 10, 0.0)


def test_a_send_is_a_datagram_of_the_run_and_a_record(world: World) -> None:
    word = Word(2, 1, hop=3, round=1, body=b"hi")
    world.protocol.answers["round"] = [Send(4, word)]
    world.until(1)
    ((node, datagram),) = world.sent
    assert node == 4
    packet = decode(datagram, {7: Dialect(PLUGIN.number, PLUGIN.messages)})
    assert isinstance(packet, Packet) and (packet.message, packet.sender) == (word, 2)
    (record,) = world.events(Event.send)
    assert (record.peer, record.hop, record.type, record.bytes) == (4, 3, 0x90, len(datagram))


def test_a_send_that_fails_is_counted_and_the_run_goes_on(world: World) -> None:
    world.errno = 105
    world.protocol.answers["round"] = [Send(4, Word(2, 1))]
    world.until(2)
    assert world.events(Event.send) == []
    drops = world.events(Event.drop)
    assert [(d.reason, d.value, d.peer) for d in drops] == [(Reason.send_error, 105, 4)] * 2


def test_the_first_copy_is_received_and_the_next_ones_are_duplicates(world: World) -> None:
    word = Word(1, 9, hop=2, round=4)
    world.until(0)
    world.protocol.answers["message"] = [Deliver(word.id)]
    world.hear(word, sender=3)
    world.protocol.answers["message"] = []
    world.hear(word, sender=4)
    assert [record.peer for record in world.events(Event.receive)] == [3]
    assert [record.peer for record in world.events(Event.duplicate)] == [4]
    (deliver,) = world.events(Event.deliver)
    assert (deliver.parent, deliver.hop, deliver.origin, deliver.sequence) == (3, 3, 1, 9)


def test_a_delivery_out_of_a_bundle_has_the_hop_that_the_protocol_says(world: World) -> None:
    world.until(0)
    hops = {MessageId(1, 9): 5, MessageId(2, 1): 0, MessageId(3, 1): None}
    world.protocol.answers["message"] = [Deliver(id, hop) for id, hop in hops.items()]
    world.hear(Word(4, 2**32 - 1), sender=3)
    found = [(record.origin, record.parent, record.hop) for record in world.events(Event.deliver)]
    assert found == [(1, 3, 5), (2, 3, 0), (3, -1, 0)]


def test_the_first_delivery_is_reported_once(world: World) -> None:
    world.until(0)
    for sequence in (1, 2):
        word = Word(1, sequence)
        world.protocol.answers["message"] = [Deliver(word.id)]
        world.hear(word, seconds=0.5)
    assert world.reports == [{"is": "infected", "node": 2, "run": 7, "at_ns": AT + SECOND // 2}]


def test_delivering_twice_is_an_error_of_the_protocol(world: World) -> None:
    world.until(0)
    world.protocol.answers["message"] = [Deliver(MessageId(1, 1))]
    world.hear(Word(1, 1))
    world.hear(Word(1, 1))
    assert "delivered twice" in world.reports[-1]["text"]


@pytest.mark.parametrize(("timing", "due"), [("immediate", 0.25), ("restart", 1.25)])
def test_infection_starts_the_rounds_of_modes_that_wait(
    tmp_path: Path, timing: str, due: float
) -> None:
    world = World(tmp_path / "a", timing=timing)
    world.until(5)
    assert world.names() == ["start"]
    world.protocol.answers["message"] = [Deliver(MessageId(1, 1))]
    world.hear(Word(1, 1), seconds=0.25)
    world.until(due)
    assert world.protocol.calls[-1] == ("round", 1, due)


def test_actions_of_one_call_are_done_in_order_before_any_other_call(world: World) -> None:
    world.protocol.answers["round"] = [
        SetTimer("past", 0.5),
        Send(1, Word(2, 1)),
        Note("queue", 3),
        Send(2, Word(2, 2)),
    ]
    world.protocol.answers["past"] = [Send(3, Word(2, 3))]
    world.until(1)
    assert [node for node, _ in world.sent] == [1, 2, 3]
    assert world.names() == ["start", "round", "past"]
    assert [record.name for record in world.events(Event.note)] == ["queue"]


def test_a_timer_in_the_past_fires_before_anything_else(world: World) -> None:
    world.until(1)
    world.protocol.answers["round"] = [SetTimer("past", 0.0)]
    world.until(3)
    assert world.names() == ["start", "round", "round", "past", "round", "past"]


def test_setting_a_timer_again_replaces_it(world: World) -> None:
    world.protocol.answers["start"] = [SetTimer("a", 0.2), SetTimer("a", 0.6)]
    world.until(0.9)
    assert world.protocol.calls == [("start", 0.0), ("a", 0.6)]


def test_a_cancelled_timer_does_not_fire(world: World) -> None:
    world.protocol.answers["start"] = [
        SetTimer("a", 0.2),
        SetTimer("b", 0.3),
        CancelTimer("a"),
        CancelTimer("never set"),
    ]
    world.until(0.9)
    assert world.names() == ["start", "b"]


def test_a_message_to_oneself_takes_the_same_way_as_any_other(world: World) -> None:
    world.protocol.answers["round"] = [Send(2, Word(2, 1))]
    world.until(1)
    assert [node for node, _ in world.sent] == [2]
    assert "message" not in world.names()


def test_nothing_is_heard_while_the_radio_is_off(world: World) -> None:
    world.protocol.answers["start"] = [Radio(False)]
    world.protocol.answers["round"] = [Radio(True)]
    world.until(0)
    world.hear(Word(1, 1))
    world.until(1)
    world.hear(Word(1, 2), seconds=1)
    assert [call[1].sequence for call in world.protocol.calls if call[0] == "message"] == [2]
    assert [record.reason for record in world.events(Event.drop)] == [Reason.radio_off]


def test_a_loss_is_recorded(world: World) -> None:
    world.protocol.answers["round"] = [Lost(MessageId(1, 8))]
    world.until(1)
    assert [(r.origin, r.sequence) for r in world.events(Event.lost)] == [(1, 8)]


def test_no_call_comes_after_the_end(world: World) -> None:
    world.protocol.answers["start"] = [SetTimer("a", 0.5)]
    world.until(0.2)
    world.run.stop(AT + SECOND // 4)
    world.until(9)
    assert world.names() == ["start"]
    assert len(world.events(Event.stop)) == 1


def divide_by_zero() -> Actions:
    return [Note("never", 1 / 0)]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (divide_by_zero, "ZeroDivisionError"),
        ([Send(5, Word(2, 1))], r"Send to 5; there are 0\.\.4"),
        ([Send("group", Word(2, 1))], r"group 'group'; choose \"all\", or \"subnet:0\""),
        ([Send("all", Word(2, 1), ttl=0)], r"ttl=0; choose 1\.\.255"),
        ([Send(1, Message(2, 1))], "TYPE"),
        ([Send(1, Word(2, 1, body=bytes(MAX_BODY + 1)))], "send less"),
        ([Deliver(cast(Any, 3))], "TypeError|AttributeError"),
        (None, "TypeError"),
    ],
)
def test_a_protocol_that_fails_ends_its_run_at_this_node_only(
    world: World, answer: Any, text: str
) -> None:
    world.protocol.answers["round"] = answer if callable(answer) else lambda: answer
    world.until(9)
    assert world.names() == ["start", "round"]
    (report,) = world.reports
    assert (report["is"], report["node"], report["run"]) == ("error", 2, 7)
    assert re.search(text, report["text"])
    assert "\n" not in report["text"]
    assert len(world.events(Event.error)) == 1


def test_a_command_without_a_seed_is_refused() -> None:
    with pytest.raises(OptionError, match="seed"):
        RunSpec.of({"run": 1, "protocol": "push", "at_ns": 0, "options": {}})
