"""A run of the UDP driver without sockets: an outlet with a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from typing import Any

from agents.api import (
    Action,
    Actions,
    Message,
    MessageId,
    Protocol,
    View,
)
from agents.registry import Plugin
from agents.run import Run, RunSpec
from agents.trace import Event, Record, Trace, read
from agents.wire import Packet

SECOND = 1_000_000_000
AT = 100 * SECOND


class Word(Message):
    __slots__ = ()
    TYPE = 0x90


@dataclass(frozen=True)
class NoOptions:
    """Nothing to choose."""


class Scripted(Protocol):
    """Answers each call with what the test wrote down for it."""

    Options = NoOptions
    MESSAGES = (Word,)
    GROUPS = True
    answers: dict[str, list[Action] | Callable[[], Actions]]

    def __init__(self, view: View, options: Any, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.calls: list[tuple[Any, ...]] = []
        self.answers = {}

    def answer(self, *call: Any) -> Actions:
        self.calls.append(call)
        answer = self.answers.get(call[0], [])
        return answer() if callable(answer) else answer

    def on_start(self, now: float) -> Actions:
        return self.answer("start", now)

    def on_stored(self, key: str, value: bytes) -> None:
        self.calls.append(("stored", key, value))

    def multicast(self, payload: bytes, now: float) -> Actions:
        return self.answer("multicast", len(payload), now)

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        return self.answer("hold", id, len(payload), now)

    def on_message(self, message: Message, sender: int, now: float) -> Actions:
        return self.answer("message", message, sender, now)

    def on_timer(self, name: str, now: float) -> Actions:
        return self.answer(name, now)

    def on_round(self, k: int, now: float) -> Actions:
        return self.answer("round", k, now)


PLUGIN = Plugin("scripted", Path("scripted.py"), Scripted, {Word.TYPE: Word})


class World:
    """An outlet with a clock of its own: `until` moves it and fires what is due."""

    def __init__(self, path: Path, **fields: Any) -> None:
        self.path = path
        self.trace = Trace(path)
        self.wakes: list[tuple[int, int, Run, str | int]] = []
        self.sent: list[tuple[int, bytes]] = []
        self.reports: list[dict[str, Any]] = []
        self.errno = 0
        self.casts: list[tuple[int, int | None]] = []
        self.kept: dict[str, bytes] = {}
        self.before: set[MessageId] = set()
        self.late_ns = 0
        self.opened = False
        spec = {"run": 7, "seed": 1, "protocol": "scripted", "at_ns": AT, "options": {}, **fields}
        self.run = Run(
            RunSpec.of({"round_s": 1.0, "timing": "sync", "sources": [], **spec}),
            PLUGIN,
            View(2, (range(2, 5), range(5)), (range(2), range(2, 5))),
            self,
        )
        assert isinstance(self.run.protocol, Scripted)
        self.protocol = self.run.protocol

    def send(self, node: int, datagram: bytes) -> int:
        if not self.errno:
            self.sent.append((node, datagram))
        return self.errno

    def cast(self, group: int, datagram: bytes, ttl: int | None) -> int:
        self.casts.append((group, ttl))
        return self.errno

    def store(self, run: int, key: str, value: bytes) -> None:
        self.kept[key] = value

    def stored(self, run: int) -> dict[str, bytes]:
        return self.kept

    def settled(self, run: int) -> set[MessageId]:
        return self.before

    def wake(self, due_ns: int, serial: int, run: Run, name: str | int) -> None:
        heappush(self.wakes, (due_ns, serial, run, name))

    def report(self, message: dict[str, Any]) -> None:
        self.reports.append(message)

    def until(self, seconds: float) -> None:
        if not self.opened:
            self.opened = True
            self.run.open(AT - SECOND + self.late_ns)
        end = AT + round(seconds * SECOND)
        while self.wakes and self.wakes[0][0] <= end:
            due, serial, run, name = heappop(self.wakes)
            run.fire(serial, name, due, max(due, AT) + self.late_ns)

    def hear(self, message: Message, sender: int = 1, seconds: float = 0.0) -> None:
        self.run.take(Packet(7, sender, 0, message), 44, 5, AT + round(seconds * SECOND))

    def events(self, kind: Event) -> list[Record]:
        return [record for record in read(self.path) if record.event == kind]

    def names(self) -> list[str]:
        return [call[0] for call in self.protocol.calls]
