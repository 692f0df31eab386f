"""Datagrams that nobody sane has sent: whatever the bytes, a protocol neither fails nor invents.

Each message type gets bodies of noise, bodies that a true message had with bits flipped, cut short
or grown, and true bodies under another id. They come from members: the driver drops all others.
Left out: a member that makes up multicasts of the very node that hears them.
"""

from __future__ import annotations

from random import Random
from struct import pack

from agents.api import Message, MessageId, Send
from agents.registry import Plugin
from agents.wire import MAX_BODY
from testbed.checking.schedule import CALM_S, Schedule
from testbed.checking.world import World

STRANGE = (0, 1, 2, 3, 255, 65_535, 65_536, 2**31, 2**32 - 2, 2**32 - 1)
MESSAGES = 20
"""Strange messages a run, between the true ones."""


def forge(rng: Random, kinds: list[type[Message]], true: list[Message], nodes: int) -> Message:
    """Makes one strange message, half of the time from one that was sent."""
    origin = rng.choice((rng.randrange(nodes), rng.choice(STRANGE)))
    sequence = rng.choice((rng.randrange(10), rng.choice(STRANGE)))
    hop, round_ = min(rng.choice(STRANGE), 0xFFFF), rng.choice(STRANGE)
    if not true or rng.random() < 0.5:
        size = rng.choice((0, 1, 2, 3, 4, 8, 12, 16, rng.randrange(64), MAX_BODY))
        body = rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size))
        return rng.choice(kinds)(origin, sequence, hop, round_, body)
    model = rng.choice(true)
    flipped = bytearray(model.body)
    for _ in range(rng.randrange(4)):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    cut = rng.choice((len(flipped), rng.randrange(len(flipped) + 1)))
    grown = bytes(flipped[:cut]) + rng.randbytes(rng.choice((0, 0, 1, 4)))
    if rng.random() < 0.5:
        origin, sequence = model.id
    return rng.choice((type(model), rng.choice(kinds)))(
        origin, sequence, hop, round_, grown[:MAX_BODY]
    )


def violations(plugin: Plugin, options: object, schedule: Schedule) -> list[str]:
    """Runs a schedule with strange messages in between; returns what the protocol did wrong.

    It may deliver what a strange message names, as its id or in its body, and nothing else.
    """
    world = World(plugin, options, schedule)
    rng = Random(schedule.seed)
    kinds = list(plugin.messages.values())
    named: set[MessageId] = set()
    bodies: list[bytes] = []
    for step in range(MESSAGES):
        world.advance(CALM_S * (step + 1) / MESSAGES)
        true = [action.message for _, action in world.actions if isinstance(action, Send)]
        forged = forge(rng, kinds, true[-50:], schedule.nodes)
        to, sender = rng.randrange(schedule.nodes), rng.randrange(schedule.nodes)
        if forged.origin != to:
            named.add(forged.id)
            bodies.append(forged.body)
            world.hear(to, forged, sender)
    world.advance(CALM_S * 2)
    sent = {at.id for at in world.history if at.kind == "multicast"}
    found = []
    for at in world.history:
        if at.kind == "error":
            found.append(f"node {at.node} at {at.time_s:.3f} s failed: {at.text}")
        elif at.kind == "deliver" and at.id is not None and at.id not in sent | named:
            text = pack(">I", at.id.sequence)
            if not any(text in body for body in bodies):
                found.append(f"node {at.node} delivered {tuple(at.id)}, which nothing had named")
    return found
