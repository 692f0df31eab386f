"""SRM asks for what it misses and repairs what it has, each in good time and mostly once."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest

from agents.api import Deliver, Message, MessageId, NodeId, Note, View
from agents.options import make
from agents.parts.srm_sessions import Session, pack
from agents.protocols.srm import (
    DISTANCE,
    MAX_PAYLOAD,
    MOST_AHEAD,
    REPAIR_HEAD,
    Srm,
    SrmData,
    SrmRepair,
    SrmRequest,
    SrmSession,
)
from agents.seeds import derive
from testbed.theory import srm_star
from tests.groups import Group

D = 0.05  # one way, between any two
FIRST, SECOND = MessageId(0, 1), MessageId(0, 2)


def first_copy(sender: NodeId, to: NodeId, message: Message) -> bool:
    """Loses the first multicast next to its source: nobody gets it."""
    return isinstance(message, SrmData) and message.sequence == 1


def star(nodes: int, **options: Any) -> Group:
    """Nodes that know their distances after five seconds; then all lose the first of two."""
    group = Group(Srm, [1] * nodes, drop=first_copy, **options)
    group.until(5.0)
    group.multicast(0)
    group.multicast(0)
    return group


def node(me: NodeId = 3, nodes: int = 8, **options: Any) -> Srm:
    made = make(Srm.Options, options)
    return Srm(View(me, (range(nodes),)), made, derive(1, me, "targets"))


def test_what_is_lost_is_asked_for_and_repaired() -> None:
    group = star(8)
    group.until(7.0)
    assert {(me, id) for _, me, id in group.delivered} == {
        (me, id) for me in range(8) for id in (FIRST, SECOND)
    }
    assert len(group.of(SrmRepair)) == 1 and group.of(SrmRequest)


def test_sessions_measure_the_distances() -> None:
    group = Group(Srm, [4, 4], delay=lambda a, b: 0.01 * (1 + abs(a - b)))
    group.until(4.0)
    for me, srm in enumerate(group.nodes):
        assert isinstance(srm, Srm)
        assert srm.distances.known == {
            other: pytest.approx(0.01 * (1 + abs(me - other)), abs=2e-6)
            for other in range(8)
            if other != me
        }


@pytest.mark.parametrize(
    ("nodes", "options"), [(8, {}), (64, {"session_kbit": 64.0}), (100, {"session_s": 0.5})]
)
def test_all_distances_are_known_after_the_warm_up_even_if_each_way_loses_one(
    nodes: int, options: dict[str, Any]
) -> None:
    heard: set[tuple[NodeId, NodeId]] = set()

    def first(sender: NodeId, to: NodeId, message: Message) -> bool:
        lost = (sender, to) not in heard
        heard.add((sender, to))
        return lost

    group = Group(Srm, [nodes], delay=lambda a, b: 0.001, drop=first, **options)
    group.until(Srm.warm_up_s(make(Srm.Options, options), nodes))
    for srm in group.nodes:
        assert isinstance(srm, Srm)
        assert len(srm.distances.known) == nodes - 1


def test_a_lost_last_multicast_shows_in_the_next_session_message() -> None:
    group = Group(Srm, [1] * 4, drop=first_copy)
    group.multicast(0)
    group.until(20.0)
    assert len(group.delivered) == 4


def test_the_first_requests_of_a_star_are_as_many_as_the_exact_formula() -> None:
    """Suppression as the formula has it: 1 + (G-1)/C2, with the repair after the first window."""
    sent, delays = [], []
    for seed in range(40):
        group = star(16, seed=seed, log_repair=False)
        group.until(7.0)
        requests = group.of(SrmRequest)
        sent.append(len(requests))
        delays.append((requests[0][0] - 5.0 - D) / D)
    assert fmean(sent) == pytest.approx(srm_star.requests(16, 2.0), abs=3 * 2 / 40**0.5)
    assert fmean(delays) == pytest.approx(srm_star.request_delay(16, 2.0, 2.0), abs=0.06)


def test_without_randomness_everybody_asks_at_once() -> None:
    group = star(16, randomness=False, log_repair=False)
    group.until(7.0)
    assert len({round(time, 6) for time, _, _ in group.of(SrmRequest)}) == 1
    assert len(group.of(SrmRequest)) == 15


def test_without_suppression_everybody_asks() -> None:
    group = star(16, suppression=False, log_repair=False)
    group.until(7.0)
    assert {me for _, me, _ in group.of(SrmRequest)} == set(range(1, 16))


def unrepaired(**options: Any) -> list[float]:
    """When a single receiver asks, in distances since it saw the loss; no repair ever comes."""
    lossy = Group(
        Srm,
        [1, 1],
        drop=lambda a, b, message: first_copy(a, b, message) or isinstance(message, SrmRepair),
        c2=0,
        **options,
    )
    lossy.until(5.0)
    lossy.multicast(0)
    lossy.multicast(0)
    lossy.until(40.0)
    return [(time - 5.0 - D) / D for time, _, _ in lossy.of(SrmRequest)]


def test_each_request_doubles_the_wait_for_the_next_five_times() -> None:
    times = unrepaired()
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert gaps[:8] == pytest.approx([2, 4, 8, 16, 32, 64, 64, 64], rel=1e-3)


def test_without_backoff_the_wait_stays() -> None:
    times = unrepaired(backoff=False)
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert gaps[:5] == pytest.approx([2] * 5, rel=1e-3)


def test_what_never_comes_is_given_up_once() -> None:
    group = Group(Srm, [1, 1], drop=lambda a, b, m: m.sequence == 1, give_up_s=3)
    group.until(5.0)
    group.multicast(0)
    group.multicast(0)
    group.until(60.0)
    assert [(me, id) for _, me, id in group.lost] == [(1, FIRST)]
    assert group.lost[0][0] == pytest.approx(5.0 + D + 3)
    group.act(1, group.nodes[1].on_message(SrmData(0, 1, 0, 0, b"late"), 0, 60.0))
    assert (1, FIRST) not in [(me, id) for _, me, id in group.delivered]


def test_further_requests_of_one_round_back_off_once() -> None:
    srm = node()
    list(srm.on_message(SrmData(0, 2), 0, 0.0))
    request = SrmRequest(0, 1, 0, 0, DISTANCE.pack(1_000_000))
    list(srm.on_message(request, 1, 1.0))
    assert srm.missing[FIRST].round == 1
    until = srm.missing[FIRST].ignore_until
    list(srm.on_message(request, 2, until - 0.01))
    assert srm.missing[FIRST].round == 1
    list(srm.on_message(request, 2, until))
    assert srm.missing[FIRST].round == 2


def request(sequence: int, round: int = 0) -> SrmRequest:
    """By a member a second away from the source."""
    return SrmRequest(0, sequence, 0, round, DISTANCE.pack(1_000_000))


WINDOWS = [(2.0, 2.0), (2.0, 2.5), (1.9, 2.4), (1.9, 2.9), (2.0, 3.4), (2.0, 3.4)]
"""C1 and C2 as `adapting` moves them, by hand; the averages of duplicates are 2, 1.5, 1.375, 1.03
and 0.77, that of the delay is half a round trip, and C1 stays within 2."""


def adapting() -> list[tuple[float, float]]:
    """The window for requests at each of six losses that a member of eight notices."""
    srm = node(timers="adaptive")
    windows = []

    def lose(sequence: int, now: float) -> None:
        list(srm.on_message(SrmData(0, sequence + 1), 0, now))
        windows.append((round(srm.requests.start, 3), round(srm.requests.width, 3)))

    def hear(sequence: int, now: float, of_round: int = 0) -> None:
        list(srm.on_message(request(sequence, of_round), 1, now))

    lose(1, 0.0)
    hear(1, 1.0)
    hear(1, 2.0)  # two duplicates, one that asks again
    hear(1, 2.0)
    hear(1, 3.0, of_round=1)
    hear(1, 20.0)  # the wait is half over: another round
    hear(1, 20.1)
    lose(3, 30.0)
    list(srm.on_timer("request:0:3", 31.0))  # the only one to ask, so the closest
    lose(5, 40.0)
    list(srm.on_timer("request:0:5", 41.0))
    hear(5, 41.5)  # another one is as near
    for sequence in (7, 9):
        lose(sequence, sequence * 10.0)
        for later in range(8):
            hear(sequence, sequence * 10 + 1 + later / 10, of_round=later)
    lose(11, 110.0)
    return windows


def test_windows_adapt_to_duplicates_of_the_first_round_and_to_who_asks() -> None:
    assert adapting() == WINDOWS


def test_the_delay_of_the_first_request_is_noted_once() -> None:
    """Whatever is switched off: what comes later is no first request."""
    srm = node(suppression=False)
    list(srm.on_message(SrmData(0, 2), 0, 0.0))
    heard = [*srm.on_message(request(1), 1, 3.0), *srm.on_message(request(1), 2, 4.0)]
    sent = srm.on_timer("request:0:1", 5.0)
    assert [a for a in [*heard, *sent] if isinstance(a, Note)] == [Note("request_delay", 3.0)]


def test_repairs_are_duplicates_only_of_what_one_planned_to_repair() -> None:
    srm = node(timers="adaptive")
    list(srm.on_message(SrmData(0, 1), 0, 0.0))
    repair = SrmRepair(0, 1, 0, 0, REPAIR_HEAD.pack(2, 1_000_000))
    for now in (1.0, 1.1):
        list(srm.on_message(repair, 1, now))
    assert srm.repaired == {}
    list(srm.on_message(request(1), 2, 9.0))
    list(srm.on_message(repair, 1, 9.1))
    assert srm.repaired == {FIRST: False}


def test_a_request_shows_that_the_multicast_exists() -> None:
    srm = node()
    list(srm.on_message(SrmRequest(0, 2, 0, 0, DISTANCE.pack(1)), 1, 0.0))
    assert set(srm.missing) == {FIRST, SECOND}
    assert srm.missing[SECOND].round == 1 and srm.missing[FIRST].round == 0


def test_a_repair_makes_deaf_to_requests_for_three_distances() -> None:
    srm = node(first_distance_s=0.1)
    list(srm.on_message(SrmData(0, 1), 0, 0.0))
    request = SrmRequest(0, 1, 0, 0, DISTANCE.pack(1))
    list(srm.on_message(request, 1, 1.0))
    list(srm.on_timer("repair:0:1", 1.2))
    assert list(srm.on_message(request, 2, 1.49)) == []
    assert list(srm.on_message(request, 2, 1.51)) != []


def test_a_repair_heard_first_cancels_ones_own() -> None:
    repairs = []
    for suppression in (True, False):
        group = star(16, d1=1, d2=40, log_repair=False, suppression=suppression, randomness=True)
        group.drop = lambda a, b, m: isinstance(m, SrmData) and m.sequence == 3 and b == 15
        group.until(20.0)
        before = len(group.of(SrmRepair))
        group.multicast(0)
        group.multicast(0)
        group.until(30.0)
        repairs.append(len(group.of(SrmRepair)) - before)
    assert repairs[0] < 5 and repairs[1] == 15


def test_a_hostile_sequence_number_shows_a_bounded_loss() -> None:
    srm = node()
    list(srm.on_message(SrmData(0, 2**32 - 1), 0, 0.0))
    assert len(srm.missing) == MOST_AHEAD
    assert list(srm.on_message(SrmData(99, 1), 0, 0.0)) == [Note("unknown_origin", 99)]


def test_of_its_own_multicasts_a_node_misses_none() -> None:
    srm = node()
    session = SrmSession(1, 0, body=pack(Session(0, ((3, 9),), ())))
    assert list(srm.on_message(session, 1, 0.0)) == []
    assert srm.multicast(b"x", 0.0)[0] == Deliver(MessageId(3, 1))


def test_a_payload_too_large_for_a_repair_is_refused() -> None:
    with pytest.raises(ValueError, match="choose at most"):
        node().multicast(bytes(MAX_PAYLOAD + 1), 0.0)


def test_session_messages_slow_down_to_keep_to_their_bandwidth() -> None:
    sent = []
    for kbit in (0, 4):
        group = Group(Srm, [8], session_kbit=kbit)
        group.until(60.0)
        bodies = [40 + len(send.message.body) for _, _, send in group.of(SrmSession)]
        sent.append(sum(bodies) * 8 / 1000 / 60)
    assert sent[1] < 4.2 < sent[0]


def chain(cut: NodeId) -> Group:
    """Eight in a line, of which the first multicast does not reach `cut` and those behind it."""
    group = Group(
        Srm,
        [1] * 8,
        delay=lambda a, b: D * abs(a - b),
        drop=lambda a, b, message: first_copy(a, b, message) and b >= cut,
        c1=1,
        c2=0,
        d1=1,
        d2=0,
        log_repair=False,
    )
    group.until(5.0)
    group.multicast(0)
    group.multicast(0)
    group.until(20.0)
    assert len(group.delivered) == 16
    return group


@pytest.mark.parametrize("cut", range(2, 8))
def test_in_a_chain_with_fixed_timers_there_is_one_request_and_one_repair(cut: int) -> None:
    """C1 = D1 = 1, C2 = D2 = 0: who is next to the lost link asks, and its neighbour answers."""
    group = chain(cut)
    assert [me for _, me, _ in group.of(SrmRequest)] == [cut]
    assert [me for _, me, _ in group.of(SrmRepair)] == [cut - 1]


def test_the_neighbour_of_the_source_asks_again_before_the_repair_can_come() -> None:
    """Its backoff is 2 C1 d = 2 d, the repair takes 2 d + D1 d = 3 d; deafness stops a second."""
    group = chain(1)
    times = [(time - 5.0 - D) / D for time, _, _ in group.of(SrmRequest)]
    assert times == pytest.approx([1, 3], abs=1e-3)
    assert len(group.of(SrmRepair)) == 1
