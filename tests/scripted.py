"""A protocol that does what a test wrote down, and remembers how it was called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from agents.api import Actions, Message, MessageId, NodeId, Protocol, View
from agents.registry import Plugin

Script = Callable[[NodeId, str, float], Actions]
"""What node `me` wants done when it is called: `start`, `round`, a timer's name, ..."""


class Word(Message):
    """All that a script can say."""

    __slots__ = ()
    TYPE = 0x90


class Unlisted(Message):
    """A message that the protocol does not list."""

    __slots__ = ()
    TYPE = 0x91


@dataclass(frozen=True)
class NoOptions:
    """Nothing to choose."""


def play(script: Script, *, groups: bool = False) -> Plugin:
    """A protocol that follows the script; each node keeps its `calls`."""

    class Scripted(Protocol):
        """Follows a script."""

        Options = NoOptions
        MESSAGES = (Word,)
        GROUPS = groups

        def __init__(self, view: View, options: Any, rng: Random) -> None:
            super().__init__(view, options, rng)
            self.calls: list[tuple[Any, ...]] = []

        def called(self, name: str, now: float, *more: Any) -> Actions:
            self.calls.append((name, now, *more))
            return script(self.view.me, name, now)

        def on_start(self, now: float) -> Actions:
            return self.called("start", now)

        def on_stored(self, key: str, value: bytes) -> None:
            self.calls.append(("stored", key, value))

        def multicast(self, payload: bytes, now: float) -> Actions:
            return self.called("multicast", now, len(payload))

        def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
            return self.called("hold", now, id)

        def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
            return self.called("message", now, message, sender)

        def on_timer(self, name: str, now: float) -> Actions:
            return self.called(name, now)

        def on_round(self, k: int, now: float) -> Actions:
            return self.called("round", now, k)

    return Plugin("scripted", Path("scripted.py"), Scripted, {Word.TYPE: Word})
