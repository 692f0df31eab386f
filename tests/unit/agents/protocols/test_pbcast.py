"""Bimodal Multicast fills gaps by gossip for as long as it keeps things, and then goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from agents.api import Action, Deliver, Lost, Message, MessageId, NodeId, Note, Send, Store, View
from agents.options import OptionError, make
from agents.parts import digests
from agents.parts.digests import Span
from agents.parts.stores import UNNAMED
from agents.protocols.pbcast import (
    MOST_ASKED,
    ROUND,
    Pbcast,
    PbcastData,
    PbcastDigest,
    PbcastRetransmit,
    PbcastSolicit,
)
from agents.seeds import derive
from agents.wire import MAX_BODY
from tests.groups import Group


def node(me: NodeId = 3, nodes: int = 8, **options: Any) -> Pbcast:
    made = make(Pbcast.Options, options)
    Pbcast.check(made, nodes)
    return Pbcast(View(me, (range(nodes),)), made, derive(1, me, "targets"))


def source(messages: int = 1, size: int = 7, **options: Any) -> Pbcast:
    """Node 0 with some multicasts, in its round 1."""
    made = node(0, **options)
    for _ in range(messages):
        list(made.multicast(bytes(size), 0.0))
    list(made.on_round(1, 1.0))
    return made


def digest(*spans: Span, round_: int = 1) -> PbcastDigest:
    return PbcastDigest(0, UNNAMED, 0, round_, digests.pack(list(spans), Random(1), MAX_BODY))


def solicit(*numbers: int, round_: int = 1) -> PbcastSolicit:
    names = digests.pack_names(MessageId(0, number) for number in numbers)
    return PbcastSolicit(3, UNNAMED, 0, 1, ROUND.pack(round_) + names)


def sent(actions: Sequence[Action]) -> list[tuple[NodeId | str, int]]:
    return [(each.to, each.message.sequence) for each in actions if isinstance(each, Send)]


def names(actions: Sequence[Action]) -> list[int]:
    (send,) = actions
    assert isinstance(send, Send)
    return [id.sequence for id in digests.unpack_names(send.message.body[ROUND.size :])]


def order(group: Group, me: NodeId) -> list[int]:
    return [id.sequence for _, other, id in group.delivered if other == me]


def test_gossip_fills_what_the_multicast_left_out() -> None:
    rng = Random(2)
    group = Group(Pbcast, [8], delay=lambda a, b: 0.01, drop=lambda a, b, m: rng.random() < 0.3)
    group.rounds(0.5, 40)
    for place in range(10):
        group.at(0.2 * place, lambda: group.multicast(0))
    group.until(21.0)
    assert all(order(group, me) == list(range(1, 11)) for me in range(8))
    assert not group.lost
    assert group.of(PbcastRetransmit)


def test_a_digest_names_what_is_kept_and_its_sender_is_asked_for_what_is_missing() -> None:
    (send,) = source(3).on_round(2, 2.0)
    assert isinstance(send, Send) and digests.unpack(send.message.body) == [Span(0, 1, 3)]
    assert names(list(node().on_message(send.message, 0, 2.0))) == [3, 2, 1]
    oldest_first = node(most_recent_first=False)
    assert names(list(oldest_first.on_message(send.message, 0, 2.0))) == [1, 2, 3]


def test_origins_are_asked_for_in_turn_whatever_their_numbers() -> None:
    spans = [Span(0, 1, 3), Span(1, 1, 1), Span(1, 3, 3), Span(2, 7, 8)]
    first = Counter[NodeId]()
    for seed in range(60):
        asks = Pbcast(View(3, (range(8),)), make(Pbcast.Options, {}), Random(seed))
        (send,) = asks.on_message(digest(*spans), 0, 2.0)
        assert isinstance(send, Send)
        asked = digests.unpack_names(send.message.body[ROUND.size :])
        turns = [{id.origin for id in asked[at : at + 3]} for at in (0, 3)]
        assert turns == [{0, 1, 2}, {0, 1, 2}] and asked[6] == MessageId(0, 1)
        assert [id.sequence for id in asked if id.origin == 1] == [3, 1]
        first[asked[0].origin] += 1
    assert min(first[origin] for origin in range(3)) > 10


def test_a_node_that_has_everything_asks_for_nothing() -> None:
    full = node()
    list(full.on_message(PbcastData(0, 1), 0, 0.0))
    assert list(full.on_message(digest(Span(0, 1, 1)), 0, 1.0)) == []


def test_a_multicast_is_kept_for_so_many_rounds_after_it_came() -> None:
    late = node(buffer_rounds=3)
    list(late.on_round(5, 5.0))
    list(late.on_message(PbcastData(0, 1, 0, 2), 0, 5.5))
    told = [bool(late.on_round(k, float(k))) for k in range(6, 11)]
    assert told == [True, True, True, False, False]


def test_or_after_the_round_of_its_origin() -> None:
    late = node(buffer_rounds=3, independent_rounds=False)
    list(late.on_round(4, 4.0))
    list(late.on_message(PbcastData(0, 1, 0, 2), 0, 4.5))
    told = [bool(late.on_round(k, float(k))) for k in range(5, 8)]
    assert told == [True, False, False]


def test_a_gap_that_is_too_old_is_lost_and_delivery_goes_on() -> None:
    gappy = node(buffer_rounds=2)
    assert list(gappy.on_message(PbcastData(0, 3), 0, 0.0)) == []
    seen = [[a for a in gappy.on_round(k, k) if not isinstance(a, Send)] for k in (1, 2, 3)]
    assert seen[:2] == [[], []]
    lost = [Lost(MessageId(0, 1)), Lost(MessageId(0, 2))]
    assert seen[2] == [*lost, Deliver(MessageId(0, 3))]
    assert list(gappy.on_message(PbcastRetransmit(0, 1), 1, 4.0)) == []


def test_what_a_digest_names_is_a_gap_too() -> None:
    gappy = node(buffer_rounds=2)
    list(gappy.on_message(digest(Span(0, 1, 1)), 0, 0.0))
    assert [list(gappy.on_round(k, k)) for k in (1, 2, 3)] == [[], [], [Lost(MessageId(0, 1))]]


def test_delivery_is_in_order() -> None:
    early = node()
    assert list(early.on_message(PbcastData(0, 2), 0, 0.0)) == []
    done = list(early.on_message(PbcastRetransmit(0, 1), 1, 0.0))
    assert done == [Deliver(MessageId(0, 1)), Deliver(MessageId(0, 2))]


@pytest.mark.parametrize(("strict", "answers"), [(True, 0), (False, 1)])
def test_a_late_solicitation_is_dropped(strict: bool, answers: int) -> None:
    made = source(soft_failure_detection=strict)
    list(made.on_round(2, 2.0))
    done = list(made.on_message(solicit(1, round_=1), 3, 2.1))
    assert len(sent(done)) == answers
    assert (Note("late_solicitation", 1) in done) == strict


def test_a_round_sends_no_more_than_its_bytes() -> None:
    made = source(4, 700, retransmission_limit=2 * (40 + 700) + 10)
    done = list(made.on_message(solicit(4, 3, 2, 1), 3, 1.1))
    assert sent(done) == [(3, 4), (3, 3)] and done[-1] == Note("over_limit", 740)
    list(made.on_round(2, 2.0))
    assert sent(list(made.on_message(solicit(2, 1, round_=2), 3, 2.1))) == [(3, 2), (3, 1)]


@pytest.mark.parametrize(("cyclic", "answers"), [(True, [1, 0, 1]), (False, [1, 1, 1])])
def test_what_was_sent_in_the_round_before_is_not_sent_again(
    cyclic: bool, answers: list[int]
) -> None:
    made = source(cyclic=cyclic)
    counts = []
    for k in (1, 2, 3):
        if k > 1:
            list(made.on_round(k, k))
        counts.append(len(sent(list(made.on_message(solicit(1, round_=k), 3, k)))))
    assert counts == answers
    assert sent(list(made.on_message(solicit(1, round_=3), 4, 3))) == [(4, 1)]


def test_what_many_ask_for_is_multicast_once() -> None:
    made = source(multicast_after=3)
    to = [sent(list(made.on_message(solicit(1), peer, 1.1))) for peer in range(1, 6)]
    assert to == [[(1, 1)], [(2, 1)], [("all", 1)], [], []]


def test_digests_go_to_others_uniformly_or_to_the_neighbours_alone() -> None:
    everywhere, few = source(buffer_rounds=1000), source(buffer_rounds=1000, neighbours=2)
    counts = [Counter[NodeId | str](), Counter[NodeId | str]()]
    for k in range(2, 900):
        for count, made in zip(counts, (everywhere, few), strict=True):
            count.update(to for to, _ in sent(made.on_round(k, k)))
    assert set(counts[0]) == set(range(1, 8)) and min(counts[0].values()) > 80
    assert set(counts[1]) == set(few.graph) and len(few.graph) == 2


def test_without_a_first_phase_only_digests_go_out() -> None:
    quiet = node(0, first_phase="none")
    assert quiet.multicast(b"x", 0.0) == [Deliver(MessageId(0, 1)), Store("created", b"1")]
    assert len(sent(list(quiet.on_round(1, 1.0)))) == 1


def test_nonsense_is_noted_and_survived() -> None:
    made = source()
    assert list(made.on_message(PbcastData(99, 1), 1, 0.0)) == [Note("unknown_origin", 99)]
    for kind in (PbcastDigest, PbcastSolicit):
        bad: Message = kind(1, UNNAMED, body=bytes(9))
        assert list(made.on_message(bad, 1, 0.0)) == [Note("bad_body", 9)]
    assert list(made.on_message(PbcastSolicit(1, UNNAMED, body=b""), 1, 0.0)) == [
        Note("bad_body", 0)
    ]
    with pytest.raises(ValueError, match="choose at most"):
        made.multicast(bytes(MAX_BODY + 1), 0.0)


def test_a_hostile_digest_costs_one_full_solicitation() -> None:
    made = node()
    spans = [Span(0, 1, 2**32 - 1), Span(1, 5, 4), Span(99, 1, 9)]
    assert len(names(list(made.on_message(digest(*spans), 0, 0.0)))) == MOST_ASKED
    assert list(made.on_message(PbcastData(0, 2**32 - 1), 0, 0.0)) == [Note("too_far", 2**32 - 1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": 8}, r"neighbours=8: .*choose 0\.\.7 \(default 0"),
        ({"neighbours": 2, "fan_out": 3}, r"fan_out=3: .*2 other\(s\).*default 1"),
        ({"buffer_rounds": 0}, r"buffer_rounds=0: choose int 1\.\."),
        ({"retransmission_limit": 39}, r"limit=39: .*choose 40 .*0 for any \(default 10000"),
    ],
)
def test_what_does_not_fit_the_group_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        node(**options)
