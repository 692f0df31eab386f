"""The adversary finds what is wrong with a protocol: each promise broken once, on purpose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents import registry
from agents.api import Actions, Deliver, Message, MessageId, Note, Protocol, SetTimer, Store
from agents.options import make
from agents.parts.ordering import Fifo
from agents.parts.rumours import Rumours
from agents.protocols.tree import Tree
from agents.registry import Plugin
from agents.seeds import derive
from testbed import cli
from testbed.checking import examine, purity, report, world
from testbed.checking.invariants import violations
from testbed.checking.schedule import Schedule, draw
from testbed.checking.world import World

SCHEDULES = 60


def mutant(name: str, **changes: Any) -> Plugin:
    """A shipped protocol with some of its methods changed."""
    plugin = registry.load(name)
    return replace(plugin, protocol=type("Mutant", (plugin.protocol,), changes))


def wrong(plugin: Plugin) -> str:
    failure = examine.examine(plugin, SCHEDULES, seed=1).failure
    return "\n".join(failure.violations) if failure else ""


def test_a_dropped_check_for_duplicates_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: Rumours, message: Message) -> Actions:
        self.known.clear()
        return true(self, message)

    true = Rumours.hear
    monkeypatch.setattr(Rumours, "hear", forget)
    assert "after its deliver" in wrong(registry.load("push"))


def test_a_retransmission_left_out_is_found() -> None:
    plugin = mutant("centralized", on_timer=lambda self, name, now: ())
    assert "never delivered" in wrong(plugin)


def test_delivery_out_of_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(self: Fifo, id: MessageId) -> list[Deliver]:
        if self.has(id):
            return []
        self._early.setdefault(id.origin, set()).add(id.sequence)
        return [Deliver(id)]

    monkeypatch.setattr(Fifo, "add", at_once)
    assert wrong(registry.load("centralized"))


def test_a_name_used_twice_is_found() -> None:
    plugin = mutant("push", on_stored=lambda self, key, value: None)
    assert "to a second multicast" in wrong(plugin)


def test_an_invented_multicast_is_found() -> None:
    plugin = mutant("push", on_round=lambda self, k, now: [Deliver(MessageId(1, 99 + k))])
    assert "which nobody had sent" in wrong(plugin)


def test_a_body_that_is_not_looked_at_is_found() -> None:
    def trust(self: Protocol, message: Message, sender: int, now: float) -> Actions:
        return [Note("first", message.body[0])]

    plugin = mutant("push", on_message=trust)
    assert "IndexError" in wrong(plugin)


def test_randomness_of_ones_own_is_found() -> None:
    drawn = iter(range(10**6))
    plugin = mutant("push", on_start=lambda self, now: [Note("drawn", next(drawn))])
    assert wrong(plugin) == "the same seed and the same messages gave other actions"


def test_a_timer_that_sets_itself_in_the_past_is_found() -> None:
    plugin = mutant(
        "push",
        on_start=lambda self, now: [SetTimer("again", now)],
        on_timer=lambda self, name, now: [SetTimer(name, now - 1.0)],
    )
    assert "no end" in wrong(plugin)


def test_a_failing_schedule_is_made_simple() -> None:
    plugin = mutant("push", on_round=lambda self, k, now: [Deliver(MessageId(1, 99))])
    failure = examine.examine(plugin, 1, seed=1).failure
    assert failure is not None
    assert failure.schedule.crashes == () and failure.schedule.nodes == 2


def test_a_promise_that_an_option_breaks_is_found_and_the_option_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plugin = mutant("centralized", promised=classmethod(lambda cls, options: (True, True)))
    found = examine.examine(plugin, SCHEDULES, seed=1)
    assert found.failure is not None
    assert found.failure.values in ({"mode": "fire_and_forget"}, {"max_tries": 1})
    assert "never delivered" in found.failure.violations[0]
    report.show(found)
    ((name, value),) = found.failure.values.items()
    assert f"with {name}={value}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "values", "tried"),
    [
        ("tree", {"repair": "nak"}, True),
        ("tree", {"aggregate": False}, True),
        ("tree", {"tree": "bfs", "repair": "nak"}, True),
        ("tree", {"tree": "topology", "aggregate": False}, True),
        ("tree", {"repair": "nak", "aggregate": False}, False),  # refused
        ("rmtp", {"window": 1}, True),
        ("pbcast", {"multicast_after": 1}, True),
        ("pbcast", {"retransmission_limit": 0}, True),
        ("pbcast", {"retransmission_limit": 1}, False),  # refused
        ("srm", {"give_up_s": 0.0}, False),
    ],
)
def test_switches_choices_two_of_them_and_low_numbers_are_tried(
    name: str, values: dict[str, Any], tried: bool
) -> None:
    assert (values in examine.variants(registry.load(name), Schedule())) == tried


def test_options_that_give_a_promise_up_are_not_held_to_it() -> None:
    promised = {
        repair: Tree.promised(make(Tree.Options, {"repair": repair}))
        for repair in ("ack", "nak", "none")
    }
    assert promised == {"ack": (True, True), "nak": (True, False), "none": (False, False)}
    assert Tree.promised(make(Tree.Options, {"max_tries": 1})) == (True, False)


@pytest.mark.parametrize(
    ("name", "values"), [("centralized", {}), ("tree", {}), ("tree", {"aggregate": False})], ids=str
)
def test_delivery_is_promised_where_losses_end_before_the_tries_do(
    name: str, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of ten tries is 37 s after the first at the least, and 8 s later all is given up."""
    plugin, schedule = registry.load(name), Schedule(nodes=6, loss_ratio=1.0)

    def missed(lossy_s: float) -> bool:
        monkeypatch.setattr(world, "CALM_S", lossy_s)
        played = World(plugin, examine.options(plugin, schedule, values), schedule)
        played.advance(lossy_s + examine.SETTLE_S)
        return bool(violations(played.history, fifo=True, reliable=True))

    assert [missed(lossy_s) for lossy_s in (36.0, 66.0)] == [False, True]


def test_values_stored_come_back_and_nothing_else_does() -> None:
    heard: list[tuple[str, bytes]] = []
    plugin = mutant(
        "push",
        on_start=lambda self, now: [Store("k", b"v")],
        on_stored=lambda self, key, value: heard.append((key, value)),
    )
    schedule = Schedule(multicasts=())
    world = World(plugin, examine.options(plugin, schedule, {}), schedule)
    world._crash(2)
    world._start(2)
    assert heard == [("k", b"v")]


def test_a_schedule_is_drawn_from_its_seed_alone() -> None:
    assert draw(derive(1, "x")) == draw(derive(1, "x")) != draw(derive(2, "x"))


MINE = '''
"""Floods, and tells everybody twice."""
from dataclasses import dataclass
from agents.api import Deliver, Message, Protocol, Send

class Copy(Message):
    """A copy."""
    __slots__ = ()
    TYPE = 0x80

@dataclass(frozen=True)
class NoOptions:
    """None."""

class Flood(Protocol):
    """Floods."""
    Options = NoOptions
    MESSAGES = (Copy,)

    def multicast(self, payload, now):
        id, kept = self.new_id()
        sends = [Send(to, Copy(*id, body=payload)) for to in self.view.everyone]
        return [Deliver(id), kept, *sends]

    def on_message(self, message, sender, now):
        return [Deliver(message.id)]
'''


def test_the_command_names_the_promise_and_the_schedule_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    assert cli.main(["check", str(file)]) == 3
    told = capsys.readouterr().out
    assert "mine: broken in schedule 1" in told
    assert "deliver of" in told and "Schedule(seed=" in told


def test_the_command_is_content_with_a_shipped_protocol(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["check", "centralized", "--schedules", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] and told["promises"] == ["order", "delivery"] and told["schedules"] == 3


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import math\nimport time", "line 2: imports time"),
        ("def f():\n    from socket import socket", "line 2: imports socket.socket"),
        ("import random", "line 1: imports random"),
        ("from random import choice", "line 1: imports random.choice"),
        ("from agents.runner import Runner", "line 1: imports agents.runner.Runner"),
        ("from . import other", "line 1: imports .other"),
        ("x = 1\nprint(x)", "line 2: calls print"),
    ],
)
def test_what_a_protocol_must_not_use_is_named_with_its_line(source: str, words: str) -> None:
    assert purity.impurities(source) == [words]


def test_what_a_protocol_may_use_is_no_impurity() -> None:
    source = "import random as r\nfrom agents.api import Send\nfrom agents.parts import targets\n"
    allowed = source.replace("import random as r", "from random import Random")
    assert purity.impurities(allowed) == []
    assert purity.impurities(source) != []


def test_check_ends_with_the_line_of_an_impurity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = registry.load("push").path.read_text()
    file = tmp_path / "timed.py"
    file.write_text(shipped.replace("TYPE = 0x10", "TYPE = 0x90") + "\nimport time\n")
    assert cli.main(["check", str(file)]) == 3
    assert f"line {len(shipped.splitlines()) + 2}: imports time" in capsys.readouterr().out
