"""One simulated node: what the driver keeps of it beside its protocol object, and its clock."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

from agents.api import Action, Actions, Message, MessageId, NodeId, Protocol, SetTimer
from agents.timing import Timing

Wake = tuple[int, int, "Node", "str | int | None"]
"""due_ns, serial, node, timer; None for a round, a number for what is the driver's own."""
Flight = tuple[int, int, NodeId, NodeId, Message]
"""arrival_ns, serial, receiver, sender, message."""


class Node:
    """One life of a node."""

    __slots__ = (
        "begun",
        "delivered",
        "down",
        "held",
        "life",
        "listening",
        "me",
        "over",
        "protocol",
        "reached",
        "row",
        "settled",
        "timers",
        "timing",
    )

    def __init__(self, me: NodeId, row: int, protocol: Protocol, timing: Timing) -> None:
        self.me = me
        self.row = row
        """Of the table of paths: its subnet's place times the number of subnets."""
        self.protocol = protocol
        self.timing = timing
        self.listening = True
        self.over = False
        """Whether it is passed over: its run has ended, it is down, or it is paused."""
        self.down = False
        self.held: list[Wake | Flight] | None = None
        """What waits for the end of a pause; None when there is none."""
        self.life = 0
        """Lives before this one."""
        self.begun = 0
        """Multicasts so far, those included that an earlier life did not live for."""
        self.reached = False
        """Whether this life or an earlier one delivered something."""
        self.delivered: Set[MessageId] = frozenset()
        self.settled: set[MessageId] | None = None
        """What this life or an earlier one delivered or declared lost, in a stream."""
        self.timers: dict[str | int, int] | None = None
        """The serial of the wake-up that each timer waits for."""


class Stepped:
    """A protocol on a clock that a fault has moved: it is told another time, and asks by it."""

    def __init__(self, protocol: Protocol, seconds: float) -> None:
        self.inner = protocol
        self.seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def on_start(self, now: float) -> Actions:
        return self._back(self.inner.on_start(now + self.seconds))

    def multicast(self, payload: bytes, now: float) -> Actions:
        return self._back(self.inner.multicast(payload, now + self.seconds))

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        return self._back(self.inner.hold(id, payload, now + self.seconds))

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        return self._back(self.inner.on_message(message, sender, now + self.seconds))

    def on_timer(self, name: str, now: float) -> Actions:
        return self._back(self.inner.on_timer(name, now + self.seconds))

    def on_round(self, k: int, now: float) -> Actions:
        return self._back(self.inner.on_round(k, now + self.seconds))

    def _back(self, actions: Sequence[Action]) -> Actions:
        return [
            replace(action, at=action.at - self.seconds) if isinstance(action, SetTimer) else action
            for action in actions
        ]
