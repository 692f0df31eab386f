"""An agent that is killed and started again: what it stored comes back, what it sent is not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed import collector
from testbed.orders import Order
from testbed.session import Session
from topologies import two_subnets

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

KEEPER = '''
"""Stores how often it has started and what it has sent, and tells what it finds."""
from dataclasses import dataclass

from agents.api import Deliver, Message, MessageId, Note, Protocol, Send, Store


class Kept(Message):
    """A copy."""

    __slots__ = ()
    TYPE = 0x98


@dataclass(frozen=True)
class Options:
    """Nothing to choose."""


class Keeper(Protocol):
    """Stores, and tells."""

    Options = Options
    MESSAGES = (Kept,)
    GROUPS = True

    def __init__(self, view, options, rng):
        super().__init__(view, options, rng)
        self.lives = self.sent = 0

    def on_stored(self, key, value):
        setattr(self, key, int(value))

    def on_start(self, now):
        note = Note("lives", self.lives)
        self.lives += 1
        return [note, Store("lives", b"%d" % self.lives)]

    def multicast(self, payload, now):
        self.sent += 1
        id = MessageId(self.view.me, self.sent)
        return [Store("sent", b"%d" % self.sent), Deliver(id), Send("all", Kept(*id))]

    def on_message(self, message, sender, now):
        return [Deliver(message.id)]
'''


def events(folder: Path, order: Order, start_ns: int) -> pd.DataFrame:
    runs = pd.DataFrame([{"run": order.run, "start_ns": start_ns}])
    found, torn = collector.read_events(folder, runs)
    assert torn == 0
    return found[found["run"] == order.run]


def test_a_killed_source_comes_back_with_what_it_stored(tmp_path: Path) -> None:
    file = tmp_path / "keeper.py"
    file.write_text(KEEPER)
    common: dict[str, Any] = {"options": {}, "timing": "free", "round_s": 1.0, "payload_bytes": 8}
    order = Order(
        run=1,
        seed=1,
        protocol=str(file),
        sources=[1],
        messages=10,
        interval_s=0.1,
        settle=True,
        **common,
    )
    with Session(two_subnets.build(hosts=4), [str(file)], tmp_path) as session:
        start_ns = session.start([order])
        session.wait_until(start_ns / 1e9 + 0.25)
        session.kill([1])
        killed_ns = time.monotonic_ns()
        session.wait_until(start_ns / 1e9 + 0.55)
        revived_ns = time.monotonic_ns()
        session.revive([1])
        session.await_ready([1])
        session.wait_until(start_ns / 1e9 + 1.1)
        assert session.deaths() == []
        session.stop([1])
        report = session.finish()
    assert report.complaints == []
    found = events(tmp_path, order, start_ns)
    notes = found[(found["event"] == "note") & (found["host"] == 1)]
    assert list(notes["value"]) == [0.0, 1.0]
    sent = found[found["event"] == "multicast"].sort_values("time_ns")
    assert list(sent["sequence"]) == list(range(1, len(sent) + 1))
    assert 3 < len(sent) < 10 and set(sent["host"]) == {1}
    assert not (sent["time_ns"] + start_ns).between(killed_ns, revived_ns).any()
    starts = found[(found["event"] == "start") & (found["host"] == 1)]
    assert list(starts["round"]) == [0, 1]
    delivered = found[(found["event"] == "deliver") & (found["host"] == 3)]
    assert list(delivered["sequence"]) == list(sent["sequence"])


def test_a_node_that_settled_in_an_earlier_life_is_settled(tmp_path: Path) -> None:
    file = tmp_path / "keeper.py"
    file.write_text(KEEPER)
    order = Order(1, 1, str(file), {}, "free", 1.0, [1], 8, 5, 0.1, settle=True)
    with Session(two_subnets.build(hosts=4), [str(file)], tmp_path) as session:
        start_ns = session.start([order])
        session.wait_until(start_ns / 1e9 + 0.25)
        session.kill([3])
        session.revive([3])
        session.await_ready([3])
        session.wait_until(start_ns / 1e9 + 1.0)
        settled = set(session.settlements(0))
        session.stop([1])
        assert session.finish().complaints == []
    found = events(tmp_path, order, start_ns)
    delivered = found[(found["event"] == "deliver") & (found["host"] == 3)]
    whole = delivered["sequence"].nunique() == 5  # else one came while it was down
    assert settled == {(1, 0), (1, 1), (1, 2)} | ({(1, 3)} if whole else set())
