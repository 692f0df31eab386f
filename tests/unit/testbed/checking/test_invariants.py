"""Each promise, held against a history written by hand."""

from __future__ import annotations

import pytest

from agents.api import MessageId
from testbed.checking.invariants import violations
from testbed.checking.world import Happening


def history(text: str) -> list[Happening]:
    """`1:deliver:2`: node 1 delivers multicast 2 of node 0; `1.1:` is its second life."""
    found = [Happening(0.0, node, 0, "start") for node in range(2)]
    for word in text.split():
        who, kind, *number = word.split(":")
        node, _, life = who.partition(".")
        id = MessageId(0, int(number[0])) if number else None
        found.append(Happening(1.0, int(node), int(life or 0), kind, id))
    return found


SENT = "0:multicast:1 0:deliver:1 0:multicast:2 0:deliver:2 0:multicast:3 0:deliver:3 "

WRONG = [
    ("1:deliver:1 1:deliver:2 1:deliver:2 1:deliver:3", "deliver of (0, 2) after its deliver"),
    ("1:deliver:1 1:lost:2 1:deliver:2 1:deliver:3", "deliver of (0, 2) after its lost"),
    ("1:deliver:1 1:deliver:2 1:lost:2 1:deliver:3", "lost of (0, 2) after its deliver"),
    ("1:deliver:1 1:deliver:2 1:deliver:3 1:deliver:4", "(0, 4), which nobody had sent"),
    ("0:multicast:3 1:deliver:1 1:deliver:2 1:deliver:3", "(0, 3) to a second multicast"),
    ("1:deliver:2 1:deliver:1 1:deliver:3", "delivered (0, 1) after number 2"),
    ("1:deliver:1 1:deliver:3", "(0, 3) without a word on number 2"),
    ("1:deliver:1 1:deliver:2", "node 1 never delivered (0, 3)"),
    ("1:deliver:1 1:deliver:2 1:deliver:3 1:error", "node 1 at 1.000 s failed"),
]

RIGHT = [
    "1:deliver:1 1:deliver:2 1:deliver:3",
    "1:crash 1.1:start",
    "1:deliver:1 1:crash 1.1:start 1.1:deliver:1 1.1:lost:2 1.1:deliver:3",
    "0:crash",
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_a_broken_promise_is_told(text: str, told: str) -> None:
    assert told in "\n".join(violations(history(SENT + text), fifo=True, reliable=True))


@pytest.mark.parametrize("text", RIGHT)
def test_a_kept_promise_is_not(text: str) -> None:
    assert violations(history(SENT + text), fifo=True, reliable=True) == []


def test_order_and_delivery_are_asked_of_those_who_promise_them() -> None:
    late = history(SENT + "1:deliver:3 1:deliver:1")
    assert violations(late, fifo=False, reliable=False) == []
    assert "after number 3" in violations(late, fifo=True, reliable=False)[0]
    assert "never delivered (0, 2)" in violations(late, fifo=False, reliable=True)[0]
