"""Rumor mongering loses interest by the rules of its options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agents.api import Action, Deliver, Message, MessageId, Note, Send, Store, View
from agents.options import OptionError, make
from agents.parts.stores import UNNAMED
from agents.protocols.rumor import (
    ANSWER,
    BUSY,
    COLD,
    WELCOME,
    Rumor,
    RumorCall,
    RumorFeedback,
    RumorReply,
    RumorUpdate,
)
from agents.seeds import derive

ID = MessageId(1, 1)
CALL = RumorCall(2, UNNAMED)


def node(me: int = 1, nodes: int = 8, **options: Any) -> Rumor:
    chosen = make(Rumor.Options, options)
    Rumor.check(chosen, nodes)
    return Rumor(View(me, (range(nodes),)), chosen, derive(1, me, "targets"))


def source(**options: Any) -> Rumor:
    made = node(**options)
    assert made.multicast(b"payload", 0.0) == [Deliver(ID), Store("created", b"1")]
    return made


def messages(actions: Sequence[Action]) -> list[Message]:
    return [action.message for action in actions if isinstance(action, Send)]


def kinds(actions: Sequence[Action]) -> list[str]:
    return [type(message).__name__ for message in messages(actions)]


def feedback(needed: bool, counter: int = COLD) -> RumorFeedback:
    return RumorFeedback(1, 1, body=ANSWER.pack(needed, counter))


@pytest.mark.parametrize(
    ("direction", "hot", "cold"),
    [
        ("push", ["RumorUpdate"], []),
        ("pull", ["RumorCall"], ["RumorCall"]),
        ("push_pull", ["RumorCall", "RumorUpdate"], ["RumorCall"]),
    ],
)
def test_who_calls_and_with_what(direction: str, hot: list[str], cold: list[str]) -> None:
    assert kinds(source(direction=direction).on_round(1, 1.0)) == hot
    assert kinds(node(direction=direction).on_round(1, 1.0)) == cold


@pytest.mark.parametrize(("direction", "told"), [("pull", 1), ("push_pull", 1)])
def test_a_call_is_answered_with_what_is_hot(direction: str, told: int) -> None:
    assert kinds(source(direction=direction).on_message(CALL, 2, 1.0)) == ["RumorUpdate"] * told
    assert kinds(node(direction=direction).on_message(CALL, 2, 1.0)) == []


def test_an_update_is_delivered_once_and_answered_each_time() -> None:
    hearer = node(me=3)
    update = RumorUpdate(1, 1, 2, 5, b"payload")
    deliver, send = hearer.on_message(update, 1, 1.0)
    assert deliver == Deliver(ID)
    assert isinstance(send, Send) and send.message.body == ANSWER.pack(True, 0)
    (again,) = hearer.on_message(update, 2, 1.5)
    assert isinstance(again, Send) and again.message.body == ANSWER.pack(False, 0)
    assert hearer.hot[ID].hop == 3


def test_what_comes_twice_at_one_instant_is_needed_both_times_and_not_told_yet() -> None:
    hearer = node(me=3)
    hearer.on_message(RumorUpdate(1, 1), 1, 1.0)
    (send,) = messages(hearer.on_message(RumorUpdate(1, 1), 2, 1.0))
    assert send.body == ANSWER.pack(True, 0)
    assert hearer.on_message(CALL, 2, 1.0) == []
    assert kinds(hearer.on_message(CALL, 2, 1.1)) == ["RumorUpdate"]


def test_blind_sends_no_feedback() -> None:
    assert node(feedback=False).on_message(RumorUpdate(1, 1), 1, 1.0) == [Deliver(ID)]


def test_the_counter_counts_rounds_of_unnecessary_contacts_in_a_row() -> None:
    spreader = source(direction="push", k_counter=2)
    for needed in (False, True, False):
        spreader.on_round(1, 1.0)
        spreader.on_message(feedback(needed), 2, 1.5)
    spreader.on_round(4, 4.0)
    assert spreader.hot[ID].counter == 1
    spreader.on_message(feedback(False), 2, 4.5)
    assert spreader.on_round(5, 5.0) == () and not spreader.hot


def test_one_round_is_one_test_however_many_came() -> None:
    spreader = source(direction="pull", k_counter=3)
    for _ in range(5):
        spreader.on_message(feedback(False), 2, 0.5)
    spreader.on_round(1, 1.0)
    assert spreader.hot[ID].counter == 1
    for needed in (False, True, False):
        spreader.on_message(feedback(needed), 2, 1.5)
    spreader.on_round(2, 2.0)
    assert spreader.hot[ID].counter == 0


def test_a_round_without_news_of_an_update_changes_nothing() -> None:
    spreader = source(direction="push", k_counter=1)
    for k in range(1, 5):
        assert spreader.on_round(k, float(k))


def test_blind_and_counter_sends_in_k_rounds() -> None:
    spreader = source(direction="push", feedback=False, k_counter=3)
    assert [len(spreader.on_round(k, float(k))) for k in range(1, 6)] == [1, 1, 1, 0, 0]


def test_blind_and_coin_sends_in_k_rounds_on_average() -> None:
    total = 0
    for seed in range(400):
        spreader = source(direction="push", feedback=False, interest="coin", k_counter=3)
        spreader.rng.seed(seed)
        while spreader.hot:
            total += len(spreader.on_round(1, 1.0))
    assert total / 400 == pytest.approx(3.0, abs=4 * (6 / 400) ** 0.5)


@pytest.mark.parametrize(("other", "rises"), [(0, False), (1, True), (2, True), (COLD, True)])
def test_minimization_raises_the_smaller_counter_or_both(other: int, rises: bool) -> None:
    spreader = source(minimization=True, k_counter=5)
    spreader.hot[ID].counter = 1
    spreader.on_message(feedback(False, other), 2, 0.5)
    spreader.on_round(1, 1.0)
    assert spreader.hot[ID].counter == (2 if rises else 1)


def test_with_a_limit_a_conversation_is_opened_first() -> None:
    caller = source(direction="push", connection_limit=1)
    assert kinds(caller.on_round(1, 1.0)) == ["RumorCall"]
    welcome = RumorReply(2, UNNAMED, body=WELCOME)
    assert kinds(caller.on_message(welcome, 2, 1.1)) == ["RumorUpdate"]


def test_a_rejected_caller_hunts_and_gives_up() -> None:
    caller = source(direction="push", connection_limit=1, hunt_limit=2)
    caller.on_round(1, 1.0)
    busy = RumorReply(2, UNNAMED, body=BUSY)
    tried = [kinds(caller.on_message(busy, 2, 1.1)) for _ in range(3)]
    assert tried == [["RumorCall"], ["RumorCall"], []]
    caller.on_round(2, 2.0)
    assert kinds(caller.on_message(busy, 2, 2.1)) == ["RumorCall"]


def test_a_node_takes_so_many_calls_a_round() -> None:
    callee = source(connection_limit=2)
    answers = [messages(callee.on_message(CALL, 2, 0.5)) for _ in range(3)]
    assert [answer[0].body for answer in answers] == [WELCOME, WELCOME, BUSY]
    assert [len(answer) for answer in answers] == [2, 2, 1]
    callee.on_round(1, 1.0)
    assert messages(callee.on_message(CALL, 2, 1.5))[0].body == WELCOME


@pytest.mark.parametrize(
    "options",
    [
        {"minimization": True, "direction": "push"},
        {"minimization": True, "interest": "coin"},
        {"minimization": True, "feedback": False},
        {"hunt_limit": 1},
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="choose"):
        node(**options)


def test_feedback_of_a_wrong_size_is_noted() -> None:
    short = RumorFeedback(1, 1, body=b"x")
    assert source().on_message(short, 2, 1.0) == [Note("short_body", 1)]
