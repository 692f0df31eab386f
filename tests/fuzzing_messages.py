"""Hostile messages for every protocol there is: decoded, and handed to a node that is at work.

An input is `HEAD` and a body: which kind of message, how the node is set up, who sent it, and the
fields of the envelope. The datagram made of it has a right checksum. What a node does about it has
to fit on the wire and into its network; samples are what the protocol itself sends, with each of
its switches the other way in turn, so a protocol is covered on the day it appears.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from struct import Struct
from typing import Any

from agents import wire
from agents.api import (
    Actions,
    Deliver,
    Message,
    MessageId,
    NodeId,
    Protocol,
    Send,
    SetTimer,
    View,
)
from agents.options import OptionError, describe, make
from agents.registry import Plugin
from agents.seeds import derive
from tests.groups import Drop, Group

HEAD = Struct(">BBBIIHI")
"""Kind, setup and sender by their place, modulo how many there are; origin to round as they are."""
SUBNETS = (range(3), range(3, 8))
NODES, ME = 8, 4
VIEW = View(ME, (SUBNETS[1], range(NODES)), SUBNETS)
OTHERS = [node for node in range(NODES) if node != ME]
RUN = 7
MOST_TIMERS = 6
SAMPLES = 4
"""Of each kind of message and setup; long ones take longer to fuzz and say the same."""


def setups(plugin: Plugin) -> list[dict[str, Any]]:
    """The default options, and each choice and switch the other way, where they go together."""
    found: list[dict[str, Any]] = [{}]
    for info in describe(plugin.protocol.Options):
        others = info.choices or ((not info.default,) if info.kind is bool else ())
        found += [{info.name: value} for value in others if value != info.default]
    return [options for options in found if _fits(plugin, options)]


def _fits(plugin: Plugin, options: dict[str, Any]) -> bool:
    try:
        plugin.protocol.check(make(plugin.protocol.Options, options), NODES)
    except OptionError:
        return False
    return True


def samples(plugin: Plugin) -> list[bytes]:
    """What a lossy group of each setup sends, and a message of each kind whatever happens."""
    kinds = sorted(plugin.messages)
    found = []
    for place, options in enumerate(setups(plugin)):
        seen = dict.fromkeys(kinds, 0)
        group = Group(
            plugin.protocol,
            [len(subnet) for subnet in SUBNETS],
            drop=_lossy(Random(1)),
            **options,
        )
        group.rounds(0.5, 8)
        for at in (0.1, 0.2, 0.3):
            group.at(at, lambda group=group: group.multicast(0))  # type: ignore[misc]
        group.until(4.0)
        for _, me, send in group.sends:
            message = send.message
            if seen[message.TYPE] < SAMPLES and me != ME:
                seen[message.TYPE] += 1
                found.append(sample(kinds.index(message.TYPE), place, me, message))
    bodies = (b"", b"\0\0\0\1" * 3)
    found += [
        sample(place, 0, 0, plugin.messages[kind](0, 1, body=body))
        for place, kind in enumerate(kinds)
        for body in bodies
    ]
    return found


def _lossy(rng: Random) -> Drop:
    return lambda sender, to, message: rng.random() < 0.2


def sample(kind: int, setup: int, sender: NodeId, message: Message) -> bytes:
    fields = message.origin, message.sequence, message.hop, message.round
    return HEAD.pack(kind, setup, OTHERS.index(sender), *fields) + message.body


def feeder(plugin: Plugin) -> Callable[[bytes], None]:
    """Feeds one message to a node of its own; AssertionError, or whatever it raises, is a fault."""
    kinds = [plugin.messages[kind] for kind in sorted(plugin.messages)]
    chosen = [make(plugin.protocol.Options, options) for options in setups(plugin)]
    dialects = {RUN: wire.Dialect(plugin.number, plugin.messages)}

    def feed(data: bytes) -> None:
        if len(data) < HEAD.size:
            return
        kind, setup, place, *fields = HEAD.unpack_from(data)
        body = data[HEAD.size : HEAD.size + wire.MAX_BODY]
        message = kinds[kind % len(kinds)](*fields, body)
        sender = OTHERS[place % len(OTHERS)]
        datagram = wire.encode(message, run=RUN, protocol=plugin.number, sender=sender, sent_ns=1)
        found = wire.decode(datagram, dialects)
        assert found == wire.Packet(RUN, sender, 1, message)
        node = plugin.protocol(VIEW, chosen[setup % len(chosen)], derive(1, ME, "targets"))
        _suffer(node, plugin, message, sender)

    return feed


def _suffer(node: Protocol, plugin: Plugin, message: Message, sender: NodeId) -> None:
    """Has a node that is at work take a message, and go on."""
    doing = _Doing(plugin)
    doing.check(node.on_start(0.0))
    doing.check(node.multicast(b"mine", 0.1))
    doing.check(node.on_round(1, 0.5))
    doing.check(node.on_message(message, sender, 0.6))
    doing.check(node.on_message(message, sender, 0.6))
    for name, at in list(doing.timers.items())[-MOST_TIMERS:]:
        doing.check(node.on_timer(name, max(at, 0.7)))
    doing.check(node.on_round(2, 1.0))


class _Doing:
    """Holds what a node does to the contract of `agents.api`."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.timers: dict[str, float] = {}
        self.delivered: set[MessageId] = set()

    def check(self, actions: Actions) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._sent(action)
            elif isinstance(action, SetTimer):
                self.timers[action.name] = action.at
            elif isinstance(action, Deliver):
                assert action.id not in self.delivered, "twice"
                self.delivered.add(action.id)

    def _sent(self, send: Send) -> None:
        wire.encode(send.message, run=RUN, protocol=self.plugin.number, sender=ME, sent_ns=1)
        if isinstance(send.to, int):
            assert send.to != ME and 0 <= send.to < NODES, f"to {send.to}"
        else:
            kind, _, number = send.to.partition(":")
            assert kind == "all" or (kind == "subnet" and int(number) < len(SUBNETS)), send.to
