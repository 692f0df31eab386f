"""Push-pull tells its partner what is fresh, and is told what it lacks."""

from __future__ import annotations

from typing import Any

import pytest

from agents.api import Deliver, Message, MessageId, Note, Send, Store, View
from agents.options import OptionError, make
from agents.parts.push_pull_bodies import DIGEST_BYTES, HEAD
from agents.parts.retention import MAX_AGE
from agents.parts.stores import RANGE, UNNAMED
from agents.protocols.push_pull import (
    PushPull,
    PushPullCall,
    PushPullItem,
    PushPullPoll,
    PushPullReply,
)
from agents.seeds import derive

ID = MessageId(1, 1)
HERE = RANGE.pack(1, 1, 1)
EMPTY = PushPullPoll(2, UNNAMED)


def node(me: int = 1, nodes: int = 8, **options: Any) -> PushPull:
    chosen = make(PushPull.Options, options)
    return PushPull(View(me, (range(nodes),)), chosen, derive(1, me, "targets"))


def source(**options: Any) -> PushPull:
    made = node(**options)
    assert made.multicast(b"payload", 0.0) == [Deliver(ID), Store("created", b"1")]
    return made


def sent(maker: PushPull, k: int) -> list[Message]:
    sends = maker.on_round(k, float(k))
    return [send.message for send in sends if isinstance(send, Send)]


def test_a_node_that_has_nothing_polls_all_the_same() -> None:
    assert sent(node(), 1) == [PushPullPoll(1, UNNAMED, 0, 1)]


def test_a_call_without_a_fresh_multicast_is_no_data() -> None:
    maker = source(retention="infect_and_die")
    call, poll = (*sent(maker, 1), *sent(maker, 2))
    assert isinstance(call, PushPullCall) and call.DATA
    assert poll == PushPullPoll(1, UNNAMED, 0, 2, HERE) and not poll.DATA


def test_a_poll_has_room_for_more_of_the_digest_than_a_call() -> None:
    maker = node(retention="infect_and_die")
    for origin in range(20):
        maker.on_message(PushPullItem(origin, 1, body=HEAD.pack(0, 0)), 2, 0.0)
    assert HEAD.unpack_from(sent(maker, 1)[0].body)[0] == DIGEST_BYTES
    assert len(sent(maker, 2)[0].body) == 20 * RANGE.size


def test_in_two_ways_a_poll_is_answered_and_nothing_is_asked_for() -> None:
    callee = node(me=3)
    callee.multicast(b"other", 0.0)
    (answer,) = callee.on_message(PushPullPoll(1, UNNAMED, 0, 1, HERE), 1, 1.0)
    assert isinstance(answer, Send) and answer.message.id == MessageId(3, 1)


def test_a_call_carries_a_digest_and_a_fresh_multicast() -> None:
    assert sent(source(), 1) == [PushPullCall(1, 1, 0, 1, HEAD.pack(12, 1) + HERE + b"payload")]


def test_further_fresh_multicasts_follow_as_items() -> None:
    maker = source()
    maker.multicast(b"second", 0.0)
    call, item = sent(maker, 1)
    assert isinstance(call, PushPullCall) and call.id == ID
    assert item == PushPullItem(1, 2, 0, 1, HEAD.pack(0, 1) + b"second")


def test_a_call_is_answered_with_what_it_lacks_and_brings_what_is_new() -> None:
    callee = node(me=3)
    callee.multicast(b"other", 0.0)
    call = PushPullCall(1, 1, 2, 4, HEAD.pack(12, 1) + HERE + b"payload")
    send, deliver = callee.on_message(call, 1, 1.0)
    assert send == Send(1, PushPullItem(3, 1, 0, 0, HEAD.pack(0, 0) + b"other"))
    assert deliver == Deliver(ID)
    assert callee.store.items[ID].hop == 3


def test_what_came_at_this_instant_is_not_told_yet() -> None:
    callee = node(me=3)
    callee.on_message(PushPullItem(1, 1, body=HEAD.pack(0, 0)), 1, 1.0)
    assert callee.on_message(EMPTY, 2, 1.0) == []
    assert len(callee.on_message(EMPTY, 2, 1.1)) == 1


def test_a_multicast_is_pushed_for_its_rounds_and_fetched_ever_after() -> None:
    maker = source(retention="infect_and_die")
    assert [message.sequence for message in sent(maker, 1)] == [1]
    assert [message.sequence for message in sent(maker, 2)] == [UNNAMED]
    answer = PushPullItem(1, 1, 0, 2, HEAD.pack(0, MAX_AGE) + b"payload")
    assert maker.on_message(EMPTY, 2, 2.5) == [Send(2, answer)]


def test_sends_count_where_they_decide() -> None:
    maker = source(retention="counter", k_counter=3, fan_out=2)
    pushed = [[message.sequence == 1 for message in sent(maker, k)] for k in (1, 2, 3)]
    assert pushed == [[True, True], [True, False], [False, False]]


def test_age_is_that_of_the_oldest_copy_heard() -> None:
    maker = source(retention="age", c=1.0)  # R = ceil(ln 7) = 2
    maker.on_message(PushPullItem(1, 1, body=HEAD.pack(0, 2)), 2, 0.5)
    assert [message.sequence for message in sent(maker, 1)] == [UNNAMED]


def test_short_and_bad_bodies_are_noted() -> None:
    assert source().on_message(PushPullItem(2, 1, body=b"x"), 2, 1.0) == [Note("short_body", 1)]
    call = PushPullCall(2, 1, body=HEAD.pack(5, 0) + b"12345")
    assert source().on_message(call, 2, 1.0) == [Note("bad_digest", 5)]
    assert source().on_message(PushPullPoll(2, UNNAMED, body=b"12345"), 2, 1.0) == [
        Note("bad_digest", 5)
    ]


@pytest.mark.parametrize("kind", [PushPullCall, PushPullItem])
@pytest.mark.parametrize("options", [{}, {"termination": "median_counter"}])
def test_a_head_that_is_longer_than_its_body_brings_nothing(
    kind: type[Message], options: dict[str, Any]
) -> None:
    maker = node(**options)
    cut = kind(2, 1, body=HEAD.pack(12, 0) + b"payload")
    assert maker.on_message(cut, 2, 1.0) == [Note("short_body", HEAD.size + 7)]
    assert not maker.store.items


def test_three_way_is_a_digest_then_what_it_lacks_and_a_request_then_the_rest() -> None:
    caller, callee = source(exchange="three_way"), node(me=3, exchange="three_way")
    callee.multicast(b"other", 0.0)
    (poll,) = sent(caller, 1)
    assert poll == PushPullPoll(1, UNNAMED, 0, 1, HERE)
    item, reply = callee.on_message(poll, 1, 1.0)
    assert isinstance(item, Send) and item.message.id == MessageId(3, 1)
    assert reply == Send(1, PushPullReply(3, UNNAMED, 0, 0, RANGE.pack(3, 1, 1)))
    (rest,) = caller.on_message(reply.message, 3, 1.1)
    assert rest == Send(3, PushPullItem(1, 1, 0, 1, HEAD.pack(0, 0) + b"payload"))


def test_who_lacks_nothing_asks_for_nothing() -> None:
    callee = node(me=3, exchange="three_way")
    assert callee.on_message(PushPullPoll(1, UNNAMED), 1, 1.0) == []


def test_under_the_median_counter_both_tell_what_they_spread() -> None:
    caller, callee = (source(termination="median_counter"), node(3, termination="median_counter"))
    callee.multicast(b"other", 0.0)
    (call,) = sent(caller, 1)
    assert call == PushPullCall(1, 1, 0, 1, HEAD.pack(0, 1) + b"payload")
    answer, delivered = callee.on_message(call, 1, 1.0)
    assert answer == Send(1, PushPullItem(3, 1, 0, 0, HEAD.pack(0, 1) + b"other"))
    assert delivered == Deliver(ID)
    assert sent(node(termination="median_counter"), 1) == [PushPullPoll(1, UNNAMED, 0, 1)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"termination": "median_counter", "exchange": "three_way"}, r"two_way .default"),
        ({"exchange": "three_way", "retention": "age"}, r"^retention=age: .*two_way.*, forever\)"),
        ({"termination": "median_counter", "retention": "coin"}, r"^retention=coin: .*=none.*"),
        ({"counter_limit": 3}, r"^counter_limit=3: .*median_counter .defaults 0"),
    ],
)
def test_what_the_exchange_has_no_use_for_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        PushPull.check(make(PushPull.Options, options), 8)
