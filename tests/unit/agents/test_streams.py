"""Groups, streams and further lives of a node, in the UDP driver."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents import streams
from agents.api import (
    Broadcast,
    Deliver,
    Lost,
    MessageId,
    Note,
    Send,
    SetTimer,
    Store,
)
from agents.trace import Event
from tests.outlet import AT, SECOND, Scripted, Word, World

STREAM = [(0, 1, 0), (0, 2, 1), (1, 1, 0), (0, 2, 1), (1, 2, 0)]
"""Origin, sequence, whether lost; one of them twice."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "2.trace")


def test_groups_and_neighbours_are_aimed_at_by_number(world: World) -> None:
    word = Word(2, 1)
    world.protocol.answers["round"] = [
        Send("all", word),
        Send("subnet:0", word, ttl=3),
        Broadcast(word),
    ]
    world.until(1)
    assert world.casts == [(0, None), (1, 3), (2, 1)]
    assert [record.peer for record in world.events(Event.send)] == [-2, -3, -1]


def test_a_protocol_that_says_nothing_of_groups_may_not_send_to_any(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scripted, "GROUPS", False)
    world.protocol.answers["round"] = [Broadcast(Word(2, 1))]
    world.until(1)
    assert re.search("Scripted sends to many; .* GROUPS = True", world.reports[0]["text"])


def test_a_stream_is_sent_at_its_times(tmp_path: Path) -> None:
    world = World(tmp_path / "a", sources=[0, 2], messages=3, interval_s=0.4)
    world.protocol.answers["multicast"] = lambda: [
        Deliver(MessageId(2, 10 + world.names().count("multicast")))
    ]
    world.until(0.9)
    assert [call for call in world.protocol.calls if call[0] == "multicast"] == [
        ("multicast", 64, pytest.approx(0.4 * index)) for index in range(3)
    ]
    records = world.events(Event.multicast)
    assert [(r.origin, r.sequence, r.time_ns - AT) for r in records] == [
        (2, 11 + index, round(0.4 * index * SECOND)) for index in range(3)
    ]


def test_a_stream_begins_after_the_warm_up_of_its_protocol(tmp_path: Path) -> None:
    world = World(tmp_path / "a", sources=[2], messages=2, interval_s=0.4, warm_up_s=1.5)
    world.until(3.0)
    calls = [call for call in world.protocol.calls if call[0] in ("start", "multicast")]
    times = [call[-1] for call in calls]
    assert times == pytest.approx([0.0, 1.5, 1.9])


def test_without_an_interval_all_of_a_stream_is_sent_at_the_start(tmp_path: Path) -> None:
    world = World(tmp_path / "a", sources=[2], messages=3)
    world.protocol.answers["multicast"] = [Send(1, Word(2, 1))]
    world.until(0)
    assert world.names() == ["start", *["multicast"] * 3]
    assert [record.time_ns for record in world.events(Event.multicast)] == [AT] * 3


def test_a_node_that_has_all_of_a_stream_reports_it_once(tmp_path: Path) -> None:
    world = World(tmp_path / "a", sources=[0, 1], messages=2, settle=True)
    world.until(0)
    for origin, sequence, lost in (
        (0, 1, 0),
        (0, 2, 1),
        (1, 1, 0),
        (0, 2, 1),
        (1, 2, 0),
        (1, 3, 0),
    ):
        id = MessageId(origin, sequence)
        world.protocol.answers["message"] = [Lost(id) if lost else Deliver(id)]
        assert [each["is"] for each in world.reports].count("settled") == (sequence == 3)
        world.hear(Word(origin, sequence))
    assert [each for each in world.reports if each["is"] == "settled"] == [
        {"is": "settled", "node": 2, "run": 7}
    ]


def test_a_node_that_starts_again_gets_what_it_stored_and_repeats_no_multicast(
    tmp_path: Path,
) -> None:
    first = World(tmp_path / "a", sources=[2], messages=4, interval_s=1.0)
    first.protocol.answers["start"] = [Store("a", b"1"), Store("b", b"2"), Store("a", b"3")]
    first.until(0)
    world = World(tmp_path / "a", sources=[2], messages=4, interval_s=1.0, again=1)
    world.kept = first.kept
    world.late_ns = SECOND + 3 * SECOND // 2  # 1.5 s into the run
    world.until(0)
    world.late_ns = 0
    world.until(3.0)
    assert world.protocol.calls == [
        ("stored", "a", b"3"),
        ("stored", "b", b"2"),
        ("start", 1.5),
        ("round", 1, 2.0),
        ("multicast", 64, 2.0),
        ("round", 2, 3.0),
        ("multicast", 64, 3.0),
    ]
    assert [(r.value, r.round) for r in world.events(Event.start)] == [(0, 0), (0, 1)]


def test_what_an_earlier_life_delivered_counts_as_settled(tmp_path: Path) -> None:
    world = World(tmp_path / "a", sources=[1], messages=2, settle=True, again=1)
    world.before = {MessageId(1, 1)}
    world.until(0)
    world.protocol.answers["message"] = [Deliver(MessageId(1, 2))]
    world.hear(Word(1, 2))
    assert [each["is"] for each in world.reports] == ["infected", "settled"]


def test_a_second_life_draws_anew(tmp_path: Path) -> None:
    first, second = (World(tmp_path / "a", again=again, timing="free") for again in (0, 1))
    assert first.protocol.rng.random() != second.protocol.rng.random()
    assert first.run.timing.due != second.run.timing.due


def test_a_stepped_clock_moves_the_time_that_the_protocol_sees(world: World) -> None:
    world.protocol.answers["round"] = [SetTimer("a", 11.5)]
    world.until(0.5)
    world.run.set_clock(10.0)
    world.until(1.6)
    assert world.protocol.calls == [("start", 0.0), ("round", 1, 11.0), ("a", 11.5)]


def test_multicasts_due_by_a_time() -> None:
    assert streams.due_by(10**9, 0.4, 9) == 3
    assert streams.due_by(0, 0.0, 5) == 5
    assert streams.due_by(10**12, 1.0, 5) == 5


def test_the_name_of_a_multicast_is_found_in_what_begins_it() -> None:
    other, mine = Word(1, 7), Word(2, 3)
    assert streams.named(2, [Send(1, other), Send(1, mine)]) == MessageId(2, 3)
    assert streams.named(2, [Send(1, mine), Deliver(MessageId(2, 4))]) == MessageId(2, 4)
    assert streams.named(2, [Note("n", 1.0)]) == streams.NAMELESS
