"""Multicast groups: their names, their members, and their addresses on the wire.

Group 0 is "all", group i + 1 is "subnet:i", in the order of `View.subnets`. The addresses are of
239.192.0.0/14, which RFC 2365 leaves to an organisation. Several groups must not share a hardware
address, which has the last 23 bits only: 2^16 subnets are far from that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from agents.api import Broadcast, Protocol, Send, View

ALL = 0
BASE = (239 << 24) + (192 << 16)
MOST_SUBNETS = 0xFFFF

NEIGHBOURS = -1
"""In a record of a send: a broadcast to the own subnet."""


def aim(action: Send | Broadcast, protocol: Protocol) -> tuple[int, int | None]:
    """The group and the TTL of what goes to many. Raises `ValueError` for what cannot be sent."""
    name = type(protocol).__name__
    if not protocol.GROUPS:
        raise ValueError(f"{name} sends to many; say so in the class: GROUPS = True")
    if isinstance(action, Broadcast):
        return own(protocol.view), 1
    if not isinstance(action.to, str):
        raise ValueError(f"Send to {action.to!r}; choose the number of a node, or a group's name")
    if action.ttl is not None and not 1 <= action.ttl <= 255:
        raise ValueError(f"Send with ttl={action.ttl!r}; choose 1..255, or None for no limit")
    return number(action.to, protocol.view), action.ttl


def number(name: str, view: View) -> int:
    """The group of that name: `number("subnet:3", view) = 4`. Raises `ValueError`."""
    if name == "all":
        return ALL
    kind, _, index = name.partition(":")
    if kind == "subnet" and index.isdecimal() and int(index) < len(view.subnets):
        return int(index) + 1
    last = len(view.subnets) - 1
    raise ValueError(f'group {name!r}; choose "all", or "subnet:0" to "subnet:{last}"')


def own(view: View) -> int:
    """The group of the node's own subnet."""
    return bisect_right(view.subnets, view.me, key=lambda span: span.start)


def peer(group: int) -> int:
    """What a record of a send has for its receiver, from -2 downwards: -2 is "all"."""
    return -2 - group


def address(group: int) -> str:
    """The address of a group: `address(0) = 239.192.0.0`, `address(258) = 239.192.1.2`."""
    return ".".join(map(str, (BASE + group).to_bytes(4, "big")))


def subnets(groups: Sequence[tuple[range, ...]]) -> tuple[range, ...]:
    """All subnets, in the order of their nodes, out of every node's nested groups."""
    return tuple(sorted({nested[0] for nested in groups}, key=lambda span: span.start))
