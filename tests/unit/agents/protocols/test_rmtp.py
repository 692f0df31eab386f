"""RMTP repairs near where the loss was, and tells the source little of it."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import Any

import pytest

from agents.api import Message, MessageId, NodeId, Note, View
from agents.options import OptionError, make
from agents.parts.rmtp_status import Status, pack
from agents.parts.stores import UNNAMED
from agents.protocols.rmtp import (
    Rmtp,
    RmtpAckTxNow,
    RmtpData,
    RmtpLeave,
    RmtpRepair,
    RmtpRttMeasure,
    RmtpSndAckToMe,
    RmtpStatus,
)
from agents.seeds import derive
from agents.wire import MAX_BODY
from tests.groups import Drop, Group


def lost_at(*nodes: NodeId, number: int = 2) -> Drop:
    """These nodes do not get the first copy of a multicast."""

    def drop(sender: NodeId, to: NodeId, message: Message) -> bool:
        return isinstance(message, RmtpData) and message.sequence == number and to in nodes

    return drop


def stream(group: Group, messages: int = 3, interval: float = 0.1, source: NodeId = 0) -> None:
    for place in range(messages):
        group.at(place * interval, lambda: group.multicast(source))


def order(group: Group, me: NodeId) -> list[int]:
    return [id.sequence for _, node, id in group.delivered if node == me]


def node(me: NodeId = 4, **options: Any) -> Rmtp:
    made = make(Rmtp.Options, options)
    subnets = (range(4), range(4, 8))
    return Rmtp(View(me, (subnets[me // 4], range(8)), subnets), made, derive(1, me, "targets"))


def test_a_loss_in_a_far_subnet_is_repaired_by_its_designated_receiver() -> None:
    group = Group(Rmtp, [4, 4], drop=lost_at(6))
    stream(group)
    group.until(3.0)
    assert order(group, 6) == [1, 2, 3]
    assert [(me, send.to) for _, me, send in group.of(RmtpRepair)] == [(4, 6)]


def test_a_subnet_that_lost_it_whole_gets_it_from_above_once() -> None:
    group = Group(Rmtp, [4, 4], drop=lost_at(4, 5, 6, 7))
    stream(group)
    group.until(4.0)
    assert all(order(group, me) == [1, 2, 3] for me in range(8))
    across = [(me, send.to) for _, me, send in group.of(RmtpRepair) if me < 4]
    assert across == [(0, 4)]


@pytest.mark.parametrize(
    ("missing", "to"), [((5,), {5}), ((5, 6), {5, 6}), ((5, 6, 7), {"subnet:1"})]
)
def test_more_than_two_who_miss_it_get_a_multicast(
    missing: tuple[int, ...], to: set[int | str]
) -> None:
    group = Group(Rmtp, [4, 4], drop=lost_at(*missing))
    stream(group)
    group.until(3.0)
    assert {send.to for _, _, send in group.of(RmtpRepair)} == to


def test_status_goes_to_the_designated_receiver_and_only_its_own_to_the_source() -> None:
    group = Group(Rmtp, [4, 4, 4])
    stream(group)
    group.until(3.0)
    ways = {(me, send.to) for _, me, send in group.of(RmtpStatus)}
    near, far = {(1, 0), (2, 0), (3, 0)}, {(4, 0), (8, 0)}
    assert ways == near | far | {(5, 4), (6, 4), (7, 4), (9, 8), (10, 8), (11, 8)}


def test_each_receiver_reports_once_in_t_ack() -> None:
    group = Group(Rmtp, [4, 4], delay=lambda a, b: 0.01)
    stream(group, messages=40)
    group.until(3.0)
    counts = Counter(me for time, me, _ in group.of(RmtpStatus) if 1.0 < time <= 3.0)
    assert counts == dict.fromkeys(range(1, 8), 10)


def test_a_long_round_trip_makes_status_rarer() -> None:
    group = Group(Rmtp, [4], delay=lambda a, b: 0.2)
    stream(group, messages=60)
    group.until(6.0)
    times = [time for time, me, _ in group.of(RmtpStatus) if me == 1 and time > 2]
    gaps = {round(b - a, 3) for a, b in itertools.pairwise(times)}
    assert gaps == {0.8}
    assert group.of(RmtpRttMeasure)


def test_a_lost_end_is_told_by_the_next_advertisement() -> None:
    group = Group(Rmtp, [4, 4], drop=lambda a, b, message: isinstance(message, RmtpData))
    group.multicast(0)
    group.until(5.0)
    assert all(order(group, me) == [1] for me in range(8))


def test_who_comes_late_asks_for_everything_at_once() -> None:
    group = Group(Rmtp, [4], drop=lambda a, b, message: b == 3 and group.now < 2.0)
    stream(group, messages=25)
    group.until(2.3)
    assert [me for _, me, _ in group.of(RmtpAckTxNow)] == [3]
    assert order(group, 3) == list(range(1, 24))


def test_reports_end_some_time_after_the_last_news() -> None:
    group = Group(Rmtp, [4, 4], t_dally_s=2)
    stream(group)
    group.until(20.0)
    last = max(time for time, _, _ in group.of(RmtpStatus))
    assert 2.0 < last < 2.6
    assert max(time for time, _, _ in group.of(RmtpSndAckToMe)) > 19.0


def test_a_silent_designated_receiver_is_passed_over() -> None:
    dead = {4}
    lossy = lost_at(6)
    group = Group(
        Rmtp, [4, 4], drop=lambda a, b, message: a in dead or b in dead or lossy(a, b, message)
    )
    stream(group)
    group.until(10.0)
    assert order(group, 6) == [1, 2, 3]
    assert {me for _, me, _ in group.of(RmtpRepair)} == {0}


def test_who_returns_to_its_designated_receiver_no_longer_holds_the_source() -> None:
    """Node 4 is mute to its own for five seconds, and they report to the source meanwhile."""
    group = Group(
        Rmtp,
        [4, 4],
        delay=lambda a, b: 0.01,
        drop=lambda a, b, message: a == 4 and b > 4 and 1.0 <= group.now < 6.0,
        window=16,
    )
    stream(group, messages=300, interval=0.05)
    group.until(20.0)
    upwards = [time for time, me, send in group.of(RmtpStatus) if me > 4 and send.to == 0]
    assert upwards and 6.0 < max(upwards) < 7.0
    assert order(group, 1) == list(range(1, 301))
    times = [time for time, me, _ in group.delivered if me == 1]
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.5
    assert len(group.of(RmtpLeave)) == 3 * 3


def test_a_member_that_stops_to_acknowledge_holds_the_source_until_it_is_forgotten() -> None:
    asleep = {3}
    group = Group(
        Rmtp,
        [4],
        drop=lambda a, b, message: group.now >= 1.0 and (a in asleep or b in asleep),
        window=8,
        t_dally_s=3,
    )
    stream(group, messages=100, interval=0.05)
    group.until(3.5)
    stalled = len(order(group, 1))
    assert stalled < 40
    assert any(note.kind == "window_stall" for _, _, note in group.notes)
    group.until(30.0)
    assert order(group, 1) == list(range(1, 101))


def test_delivery_is_in_order_and_complete_whatever_is_lost() -> None:
    rng = Random(4)
    group = Group(Rmtp, [3, 1, 4], drop=lambda a, b, message: rng.random() < 0.3)
    stream(group, messages=30, interval=0.02)
    stream(group, messages=10, interval=0.05, source=6)
    group.until(40.0)
    for me in range(8):
        for source, messages in ((0, 30), (6, 10)):
            mine = [id.sequence for _, n, id in group.delivered if n == me and id.origin == source]
            assert mine == list(range(1, messages + 1))


def test_what_waits_for_the_window_is_missed_by_nobody() -> None:
    group = Group(Rmtp, [4], window=2)
    for _ in range(10):
        group.multicast(0)
    group.until(10.0)
    assert order(group, 3) == list(range(1, 11))
    assert not group.of(RmtpRepair)


def test_what_is_beyond_the_window_is_left_to_the_repair() -> None:
    rmtp = node(5, window=4)
    done = list(rmtp.on_message(RmtpData(0, 9), 0, 0.0))
    assert Note("beyond_window", 8) in done
    assert rmtp.sessions[0].highest == 4 and not rmtp.sessions[0].cache


def test_nonsense_is_noted_and_survived() -> None:
    rmtp = node(5)
    assert list(rmtp.on_message(RmtpData(99, 1), 0, 0.0)) == [Note("unknown_origin", 99)]
    for kind in (RmtpSndAckToMe, RmtpRttMeasure, RmtpStatus):
        assert list(rmtp.on_message(kind(0, UNNAMED, body=b"abc"), 0, 0.0)) == [Note("bad_body", 3)]
    hostile = RmtpStatus(0, UNNAMED, body=pack(Status(2**32 - 9, frozenset())))
    assert list(rmtp.on_message(hostile, 0, 0.0)) == []
    with pytest.raises(ValueError, match="choose at most"):
        rmtp.multicast(bytes(MAX_BODY + 1), 0.0)


def test_a_held_multicast_is_delivered_and_not_reported() -> None:
    rmtp = node(5)
    assert len(rmtp.hold(MessageId(0, 0), b"x", 0.0)) == 1
    assert rmtp.sessions[0].status() == Status(1, frozenset())


def test_a_window_of_nothing_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match=r"window=0: choose int 1\.\."):
        make(Rmtp.Options, {"window": 0})
