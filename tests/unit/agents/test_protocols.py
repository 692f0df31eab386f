"""Walks the plug-in folder: what holds for every protocol is tested on the day it appears."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from agents import registry
from agents.api import Action, Actions, Deliver, Message, MessageId, Protocol, Send, Store, View
from agents.options import OptionError, describe, make, parse
from agents.registry import Plugin
from agents.seeds import derive
from agents.wire import Dialect, Packet, decode, encode

NODES = 12
SUBNETS = (range(4), range(4, NODES))
GROUPS = [(subnet, range(NODES)) for subnet in SUBNETS]
PLUGINS = [registry.load(name) for name in registry.names()]
ROUNDS = 12


@pytest.fixture(params=PLUGINS, ids=lambda plugin: plugin.name)
def plugin(request: pytest.FixtureRequest) -> Plugin:
    value: Plugin = request.param
    return value


def group(plugin: Plugin, seed: int, nodes: int = NODES, **options: Any) -> list[Protocol]:
    chosen = make(plugin.protocol.Options, options)
    plugin.protocol.check(chosen, nodes)
    nested = GROUPS if nodes == NODES else [(range(nodes),)] * 2
    subnets = SUBNETS if nodes == NODES else (range(nodes),)
    return [
        plugin.protocol(View(me, nested[me >= 4], subnets), chosen, derive(seed, me, "targets"))
        for me in range(nodes)
    ]


def receivers(me: int, to: int | str) -> list[int]:
    """Who hears what is sent there; in these tests the subnets are the first groups."""
    if isinstance(to, int):
        return [to]
    kind, _, number = to.partition(":")
    assert kind in ("all", "subnet")
    members = range(NODES) if kind == "all" else SUBNETS[int(number)]
    return [node for node in members if node != me]


def play(nodes: list[Protocol]) -> Iterator[tuple[int, Action]]:
    """Runs rounds in step, links without loss; yields every action with the node that took it."""
    inbox: list[tuple[int, int, Message]] = []

    def act(me: int, actions: Actions) -> Iterator[tuple[int, Action]]:
        for action in actions:
            if isinstance(action, Send):
                inbox.extend((to, me, action.message) for to in receivers(me, action.to))
            yield me, action

    for me, node in enumerate(nodes):
        yield from act(me, node.on_start(0.0))
    yield from act(0, nodes[0].multicast(b"payload", 0.0))
    for k in range(1, ROUNDS + 1):
        for me, node in enumerate(nodes):
            yield from act(me, node.on_round(k, float(k)))
        while inbox:
            to, sender, message = inbox.pop(0)
            yield from act(to, nodes[to].on_message(message, sender, float(k)))


def sends(actions: list[tuple[int, Action]]) -> list[tuple[int, Send]]:
    return [(me, action) for me, action in actions if isinstance(action, Send)]


def test_the_same_seed_gives_the_same_actions_byte_for_byte(plugin: Plugin) -> None:
    one, two = (list(play(group(plugin, seed=5))) for _ in range(2))
    assert one == two
    assert repr(one) == repr(two)


def test_another_seed_gives_other_actions(plugin: Plugin) -> None:
    drawn = group(plugin, seed=5)
    actions = list(play(drawn))
    if all(
        node.rng.getstate() == derive(5, me, "targets").getstate() for me, node in enumerate(drawn)
    ):
        pytest.skip("draws nothing")
    assert actions != list(play(group(plugin, seed=6)))


def test_no_node_sends_to_itself_or_to_nobody(plugin: Plugin) -> None:
    for me, send in sends(list(play(group(plugin, seed=5)))):
        assert send.to != me
        assert isinstance(send.to, int) or plugin.protocol.GROUPS
        assert all(0 <= to < NODES for to in receivers(me, send.to))


def test_a_multicast_is_delivered_at_most_once_at_a_node(plugin: Plugin) -> None:
    delivered = [
        (me, action.id) for me, action in play(group(plugin, seed=5)) if isinstance(action, Deliver)
    ]
    assert len(delivered) == len(set(delivered))
    assert len(delivered) > 1


def test_every_message_sent_survives_the_wire(plugin: Plugin) -> None:
    runs = {1: Dialect(plugin.number, plugin.messages)}
    for me, send in sends(list(play(group(plugin, seed=5)))):
        data = encode(send.message, run=1, protocol=plugin.number, sender=me, sent_ns=0)
        assert decode(data, runs) == Packet(1, me, 0, send.message)
        assert data[0] in plugin.messages


def test_no_two_multicasts_of_a_node_have_the_same_name_not_even_after_a_crash(
    plugin: Plugin,
) -> None:
    before, after = group(plugin, seed=5)[3], group(plugin, seed=6)[3]
    names = []
    for node in (before, after):
        for number in range(2):
            actions = list(node.multicast(b"payload", float(number)))
            names += [action.id for action in actions if isinstance(action, Deliver)]
            for action in actions:
                if isinstance(action, Store) and node is before:
                    after.on_stored(action.key, action.value)
    assert names == [MessageId(3, number) for number in (1, 2, 3, 4)]


def test_a_multicast_held_from_the_start_is_delivered_once(plugin: Plugin) -> None:
    node = group(plugin, seed=5)[3]
    id = MessageId(0, 0)
    assert list(node.hold(id, b"payload", 0.0)) == [Deliver(id)]


def test_a_message_with_a_body_of_garbage_is_survived(plugin: Plugin) -> None:
    rng = Random(1)
    for message in plugin.messages.values():
        for size in range(12):
            node = group(plugin, seed=5)[3]
            list(node.on_message(message(0, 1, body=rng.randbytes(size)), 0, 0.0))
            list(node.on_round(1, 0.1))


def test_too_many_targets_are_refused_before_a_run(plugin: Plugin) -> None:
    if "fan_out" not in {info.name for info in describe(plugin.protocol.Options)}:
        pytest.skip("has no fan_out")
    with pytest.raises(OptionError, match=r"fan_out=12.*choose"):
        group(plugin, seed=1, fan_out=NODES)
    assert group(plugin, seed=1, fan_out=NODES - 1)


def test_each_default_is_in_its_domain_and_explained(plugin: Plugin) -> None:
    for info in describe(plugin.protocol.Options):
        assert parse(info, info.default) == info.default
        assert parse(info, str(info.default)) == info.default
        assert info.help, f"{info.name} has no help"


def test_a_file_says_what_it_models(plugin: Plugin) -> None:
    module = inspect.getmodule(plugin.protocol)
    assert module is not None and module.__doc__ and len(module.__doc__.split()) > 20
    for thing in (plugin.protocol, *plugin.messages.values()):
        assert inspect.getdoc(thing) not in (None, "", inspect.getdoc(Message))


def test_no_two_protocols_share_a_type() -> None:
    registry.check_types(PLUGINS)
