"""What a network is made of: routers, subnets, hosts, links, and what impairs a link.

Plain values without behaviour; `topologies.graph` joins them, checks them and answers questions.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv4Network
from typing import Literal


class GraphError(ValueError):
    """A network that cannot be built. One line: the thing, the value, the remedy."""


LISTED = 12
"""More names than this on an error's line hide the remedy."""


def near(name: str, known: Iterable[str]) -> str:
    """Words the names that exist: `did you mean star? there are hierarchy, star, two_subnets`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{hint}there are {', '.join(names[:LISTED]) or 'none'}{more}"


@dataclass(frozen=True, slots=True)
class Impairment:
    """What shaping does to one direction of one link. All zero: nothing.

    Ratios are 0..1 of the packets (a loss of 1 is a dead link); `rate_mbit` None is unlimited.
    Raises GraphError for a value outside its domain, nan included.
    """

    loss_ratio: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    rate_mbit: float | None = None
    duplicate_ratio: float = 0.0
    reorder_ratio: float = 0.0
    corrupt_ratio: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name == "rate_mbit" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise GraphError(f"{name} = {value!r}: not a number; give one")
            # Written so that nan fails too.
            if name.endswith("_ratio") and not 0 <= value <= 1:
                raise GraphError(f"{name} = {value}: outside 0..1; 0.5 is half of the packets")
            if name.endswith("_ms") and not 0 <= value < math.inf:
                raise GraphError(f"{name} = {value}: give a finite number of milliseconds from 0")
            if name == "rate_mbit" and not 0 < value < math.inf:
                raise GraphError(f"{name} = {value}: give a rate over 0, or leave it out")

    @property
    def perfect(self) -> bool:
        """True when there is nothing to shape."""
        return self == PERFECT


PERFECT = Impairment()


@dataclass(frozen=True, slots=True)
class Router:
    """`level` 0 is the core, whose `parent` (the router above) is None."""

    name: str
    level: int
    parent: str | None


@dataclass(frozen=True, slots=True)
class Subnet:
    """A LAN of hosts below one router, which is their gateway."""

    name: str
    router: str
    prefix: IPv4Network
    gateway: IPv4Address


@dataclass(frozen=True, slots=True)
class Host:
    """`receive` is met once, on the way into the host, by everything that is sent to it."""

    name: str
    node: int
    subnet: str
    address: IPv4Address
    mac: str
    receive: Impairment = PERFECT


@dataclass(frozen=True, slots=True)
class Link:
    """A point-to-point link of two routers; its two addresses are one /31 (RFC 3021)."""

    upper: str
    lower: str
    upper_address: IPv4Address
    lower_address: IPv4Address
    down: Impairment = PERFECT
    up: Impairment = PERFECT

    @property
    def prefix(self) -> IPv4Network:
        return IPv4Network((int(self.upper_address) & ~1, 31))


def mac_of(address: IPv4Address) -> str:
    """The hardware address of whoever has this address; 02 marks it as locally administered.

    10.0.1.2 is 02:00:0a:00:01:02.
    """
    return "02:00:" + address.packed.hex(":")


# The names of the interfaces. The kernel takes 15 characters, unique within a namespace.


def host_device(host: Host) -> str:
    """The host's only interface, in its own namespace; the name that Mininet gives it."""
    return f"{host.name}-eth0"


def router_port(host: Host) -> str:
    """The other end of `host_device`: a port of the subnet's bridge, in the router's namespace."""
    return f"p{host.node}"


def bridge_device(subnet: Subnet) -> str:
    """The bridge that holds a subnet together, in its router's namespace."""
    return f"br-{subnet.name}"


def link_device(link: Link, side: Literal["upper", "lower"]) -> str:
    """One end of a link; a router has one `up` at most, and one `d-` a router below it."""
    return f"d-{link.lower}" if side == "upper" else "up"
