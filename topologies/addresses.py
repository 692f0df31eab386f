"""The address plan: aligned blocks, nested like the routers, so that one route covers a subtree.

Hosts are numbered from 10.0.0.0/8, router links from 172.16.0.0/12. Every block is a power of two
in size and starts at a multiple of it. Nesting costs space: a block is rounded up at each level,
so a deep and lopsided tree may not fit although its subnets would. Such a plan is packed without
nesting, and has more routes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from topologies.elements import GraphError

HOST_SPACE = IPv4Network("10.0.0.0/8")
LINK_SPACE = IPv4Network("172.16.0.0/12")

NOT_HOSTS = 3
"""Addresses of a subnet that no host has: the network's, the gateway's, the broadcast's."""


@dataclass
class Block:
    """A run of addresses: `size` of its own (named `key`), or what its parts need together."""

    key: str = ""
    size: int = 0
    parts: list[Block] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = power_of_two(self.size + sum(part.size for part in self.parts))

    def leaves(self) -> Iterator[Block]:
        if not self.parts and self.size:
            yield self
        for part in self.parts:
            yield from part.leaves()


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below a number; 0 for 0."""
    return 1 << (number - 1).bit_length() if number else 0


def plan(root: Block, space: IPv4Network, what: str) -> dict[str, IPv4Network]:
    """Gives each leaf of a tree of blocks its prefix. Raises GraphError when they don't fit."""
    if root.size > space.num_addresses:
        leaves = list(root.leaves())
        wanted = sum(leaf.size for leaf in leaves)
        if wanted > space.num_addresses:
            raise GraphError(
                f"{what}: {wanted} addresses wanted, {space} has {space.num_addresses}; "
                "ask for fewer or smaller subnets"
            )
        root = Block(parts=leaves)
    return dict(_place(root, int(space.network_address)))


def _place(block: Block, start: int) -> Iterator[tuple[str, IPv4Network]]:
    if not block.parts and block.size:
        yield block.key, IPv4Network((start, 33 - block.size.bit_length()))
    # The largest first, so that each part starts at a multiple of its size without gaps.
    for part in sorted(block.parts, key=lambda part: -part.size):
        yield from _place(part, start)
        start += part.size
