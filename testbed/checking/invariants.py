"""The promises of `agents.api`, held against a history. Each check returns what breaks it.

A node that starts again is a new application: it may deliver once more what its former life did.
Reliability is promised to nodes that never crashed, for the multicasts of origins that never did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agents.api import MessageId, NodeId
from testbed.checking.world import Happening


def violations(history: Sequence[Happening], *, fifo: bool, reliable: bool) -> list[str]:
    """What the protocol did wrong, one line each; order and delivery are asked for if promised."""
    found = [*_errors(history), *_repeated(history), *_created(history)]
    if fifo:
        found += _out_of_order(history)
    if reliable:
        found += _missing(history)
    return found


def _errors(history: Sequence[Happening]) -> Iterator[str]:
    return (f"{_who(at)} failed: {at.text}" for at in history if at.kind == "error")


def _repeated(history: Sequence[Happening]) -> Iterator[str]:
    settled: dict[tuple[NodeId, int, MessageId | None], str] = {}
    for at in history:
        if at.kind in ("deliver", "lost"):
            key = at.node, at.life, at.id
            if key in settled:
                yield f"{_who(at)}: {at.kind} of {_id(at)} after its {settled[key]}"
            settled[key] = at.kind


def _created(history: Sequence[Happening]) -> Iterator[str]:
    made: set[MessageId | None] = set()
    for at in history:
        if at.kind == "multicast":
            if at.id in made:
                yield f"{_who(at)} gave {_id(at)} to a second multicast"
            made.add(at.id)
        elif at.kind == "deliver" and at.id not in made:
            yield f"{_who(at)} delivered {_id(at)}, which nobody had sent"


def _out_of_order(history: Sequence[Happening]) -> Iterator[str]:
    last: dict[tuple[NodeId, int, NodeId], int] = {}
    lost: set[tuple[NodeId, int, MessageId]] = set()
    for at in history:
        if at.id is None or at.kind not in ("deliver", "lost"):
            continue
        if at.kind == "lost":
            lost.add((at.node, at.life, at.id))
            continue
        origin, sequence = at.id
        key = at.node, at.life, origin
        before = last.get(key)
        last[key] = sequence
        if before is None or origin == at.node:
            continue
        if sequence < before:
            yield f"{_who(at)} delivered {_id(at)} after number {before}"
        for between in range(before + 1, sequence):
            if (at.node, at.life, MessageId(origin, between)) not in lost:
                yield f"{_who(at)} delivered {_id(at)} without a word on number {between}"


def _missing(history: Sequence[Happening]) -> Iterator[str]:
    nodes = {at.node for at in history if at.kind == "start"}
    steady = nodes - {at.node for at in history if at.kind in ("crash", "error")}
    done = {(at.node, at.id) for at in history if at.kind == "deliver"}
    for at in history:
        if at.kind == "multicast" and at.node in steady:
            for node in sorted(steady):
                if (node, at.id) not in done:
                    yield f"node {node} never delivered {_id(at)}, sent at {at.time_s:.3f} s"


def _who(at: Happening) -> str:
    return f"node {at.node} at {at.time_s:.3f} s"


def _id(at: Happening) -> str:
    return f"({at.id.origin}, {at.id.sequence})" if at.id else "nothing"
