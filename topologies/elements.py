"""What a network is made of: routers, subnets, hosts, links, and what impairs a link.

Plain values without behaviour; `topologies.graph` joins them, checks them and answers questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from topologies.errors import LISTED, GraphError, near
from topologies.impairments import PERFECT, Impairment

__all__ = [
    "LISTED",
    "PERFECT",
    "GraphError",
    "Host",
    "Impairment",
    "Link",
    "Router",
    "Subnet",
    "bridge_device",
    "host_device",
    "link_device",
    "mac_of",
    "near",
    "router_port",
]


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
    """`receive` is met once, on the way into the host, by everything that is sent to it; `send` by
    everything that it sends, once, however many it is for."""

    name: str
    node: int
    subnet: str
    address: IPv4Address
    mac: str
    receive: Impairment = PERFECT
    send: Impairment = PERFECT


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
