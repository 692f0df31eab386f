"""Pull asks for what it lacks and answers with what it has."""

from __future__ import annotations

from typing import Any

from agents.api import Deliver, MessageId, Note, Send, Store, View
from agents.options import make
from agents.parts.stores import RANGE, UNNAMED
from agents.protocols.pull import Pull, PullAnswer, PullRequest
from agents.seeds import derive

ID = MessageId(1, 1)
EMPTY = PullRequest(2, UNNAMED)


def node(me: int = 1, nodes: int = 8, **options: Any) -> Pull:
    chosen = make(Pull.Options, options)
    return Pull(View(me, (range(nodes),)), chosen, derive(1, me, "targets"))


def source() -> Pull:
    made = node()
    assert made.multicast(b"payload", 0.0) == [Deliver(ID), Store("created", b"1")]
    return made


def test_every_node_asks_k_different_others_in_every_round() -> None:
    asker = node(fan_out=7)
    for k in (1, 2):
        sends = asker.on_round(k, float(k))
        assert all(isinstance(send, Send) for send in sends)
        assert sorted(send.to for send in sends if isinstance(send, Send)) == [0, 2, 3, 4, 5, 6, 7]


def test_a_request_tells_what_is_here() -> None:
    (send,) = source().on_round(1, 0.5)
    assert isinstance(send, Send)
    assert send.message == PullRequest(1, UNNAMED, 0, 1, RANGE.pack(1, 1, 1))


def test_an_answer_holds_what_the_request_lacks() -> None:
    holder = source()
    holder.on_round(3, 0.5)
    assert holder.on_message(EMPTY, 2, 1.0) == [Send(2, PullAnswer(1, 1, 0, 3, b"payload"))]


def test_nothing_missing_is_not_answered() -> None:
    request = PullRequest(2, UNNAMED, body=RANGE.pack(1, 0, 5))
    assert source().on_message(request, 2, 1.0) == []
    assert node().on_message(EMPTY, 2, 1.0) == []


def test_an_answer_is_delivered_once_and_handed_on_a_hop_further() -> None:
    asker = node(me=3)
    assert asker.on_message(PullAnswer(1, 1, 4, 1, b"payload"), 1, 1.0) == [Deliver(ID)]
    assert asker.on_message(PullAnswer(1, 1, 0, 1, b"payload"), 1, 1.0) == ()
    (send,) = asker.on_message(EMPTY, 2, 1.5)
    assert isinstance(send, Send) and (send.message.hop, send.message.body) == (5, b"payload")


def test_what_came_at_this_instant_is_not_told_yet() -> None:
    asker = node(me=3)
    asker.on_message(PullAnswer(1, 1), 1, 1.0)
    assert asker.on_message(EMPTY, 2, 1.0) == []


def test_a_bad_digest_is_noted() -> None:
    assert source().on_message(PullRequest(2, UNNAMED, body=b"x"), 2, 1.0) == [
        Note("bad_digest", 1)
    ]
