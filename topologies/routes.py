"""Static routes of a tree of routers, with one route for a whole subtree where its addresses allow.

Covers: the routes of every router, and the blocks that it must refuse. Leaves out: connected
prefixes, which the kernel adds by itself, and the hosts' own default routes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import TYPE_CHECKING, NamedTuple

from topologies.elements import Router, link_device

if TYPE_CHECKING:
    from topologies.graph import Graph

DEFAULT = IPv4Network("0.0.0.0/0")


class Route(NamedTuple):
    """`ip route add NETWORK via VIA dev DEVICE` in a router's namespace."""

    network: IPv4Network
    via: IPv4Address
    device: str


def routes(graph: Graph, router: str) -> list[Route]:
    """A router's static routes: to all that lies below each router below it, and default upwards.

    The core of `two_subnets` with 8 hosts has 10.0.0.0/29 and 10.0.0.8/29; the other two routers
    have the default route.
    """
    found = []
    for child in graph.children(router):
        link = graph.link_above(child.name)
        assert link is not None
        for network in _blocks_below(graph, child):
            if network != link.prefix:
                found.append(Route(network, link.lower_address, link_device(link, "upper")))
    above = graph.link_above(router)
    if above:
        found.append(Route(DEFAULT, above.upper_address, link_device(above, "lower")))
    return found


def unreachable(graph: Graph, router: str) -> list[IPv4Network]:
    """The blocks that others send down to a router, to be refused where it has no better route.

    Without them a datagram to an address that nobody has travels down by the block's route and up
    by the default route until its TTL ends, and is counted each time. Give them the highest
    metric: a connected subnet may have the same prefix.
    """
    link = graph.link_above(router)
    if link is None:
        return []
    return [net for net in _blocks_below(graph, graph.router(router)) if net != link.prefix]


def _blocks_below(graph: Graph, router: Router) -> list[IPv4Network]:
    """Covers the subnets and the links from a router's own link upwards to all below it."""
    above = graph.link_above(router.name)
    prefixes = _prefixes_below(graph, router)
    links = [above.prefix, *_links_below(graph, router)] if above else []
    return [
        *_cover(prefixes, graph.subnet_starts),
        *_cover(links, graph.link_starts),
    ]


def _cover(wanted: Sequence[IPv4Network], starts: list[int]) -> list[IPv4Network]:
    """The one block around some prefixes if no others start in it, else the fewest exact blocks."""
    if not wanted:
        return []
    first = min(int(network.network_address) for network in wanted)
    last = max(int(network.broadcast_address) for network in wanted)
    bits = (first ^ last).bit_length()
    block = IPv4Network((first >> bits << bits, 32 - bits))
    inside = bisect_right(starts, int(block.broadcast_address)) - bisect_left(
        starts, int(block.network_address)
    )
    return [block] if inside == len(wanted) else list(collapse_addresses(wanted))


def _prefixes_below(graph: Graph, router: Router) -> list[IPv4Network]:
    found = [subnet.prefix for subnet in graph.subnets_of(router.name)]
    for child in graph.children(router.name):
        found += _prefixes_below(graph, child)
    return found


def _links_below(graph: Graph, router: Router) -> list[IPv4Network]:
    found = []
    for child in graph.children(router.name):
        link = graph.link_above(child.name)
        assert link is not None
        found += [link.prefix, *_links_below(graph, child)]
    return found
