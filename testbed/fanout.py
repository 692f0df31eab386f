"""Where a multicast goes: for each router, the sides on which a group has members.

The network is a tree, so the trees of all sources are one undirected tree: a router hands a packet
of a group to each side with members but the one that it came from. Sides are named as the counters
name them: a subnet, a router below, or "up". Inside its own subnet the sender's switch has brought
the packet to everyone already.
"""

from __future__ import annotations

from functools import lru_cache

from agents.groups import ALL
from testbed.accounts import Fanned
from testbed.errors import UsageError
from topologies.graph import Graph

MOST_SIDES = 32
"""MAXVIFS of the kernel: interfaces of a router that multicast routing can use."""


def check(graph: Graph) -> None:
    """Raises `UsageError` for a router with more sides than multicast routing takes."""
    for router in graph.routers:
        count = len(sides(graph, router.name))
        if count > MOST_SIDES:
            raise UsageError(
                f"router {router.name}: {count} subnets and links, and the kernel's multicast "
                f"routing takes {MOST_SIDES} a router; use fewer subnets, or another level of "
                "routers"
            )


def sides(graph: Graph, router: str) -> tuple[str, ...]:
    """All sides of a router."""
    subnets = [subnet.name for subnet in graph.subnets_of(router)]
    below = [child.name for child in graph.children(router)]
    up = [] if graph.router(router).parent is None else ["up"]
    return (*subnets, *below, *up)


def groups(graph: Graph) -> range:
    """The numbers of all groups of a network."""
    return range(len(graph.subnets) + 1)


@lru_cache(maxsize=1024)
def subnets(graph: Graph) -> tuple[str, ...]:
    """All subnets in the order of `View.subnets`: by their first node."""
    names = [subnet.name for subnet in graph.subnets]
    return tuple(sorted(names, key=lambda name: graph.span(name).start))


@lru_cache(maxsize=65536)
def towards(graph: Graph, router: str, group: int) -> frozenset[str]:
    """The sides of a router on which a group has members."""
    if group == ALL:
        return frozenset(sides(graph, router))
    subnet = subnets(graph)[group - 1]
    span, home = graph.span(subnet), graph.subnet(subnet).router
    if home == router:
        return frozenset((subnet,))
    for child in graph.children(router):
        below = graph.below(child.name)
        if span.start in below:
            return frozenset((child.name,))
    return frozenset(("up",))


def outputs(graph: Graph, router: str, came: str, group: int) -> frozenset[str]:
    """The sides to which a router hands on what came from one of them."""
    return towards(graph, router, group) - {came}


def floods(graph: Graph, subnet: str, group: int) -> bool:
    """Whether what a host of the subnet sends to a group is for the subnet itself, too."""
    return group == ALL or subnets(graph)[group - 1] == subnet


def spread(graph: Graph, subnet: str, fanned: Fanned) -> int:
    """Multicasts that the bridge of a subnet had for all of its ports, the sender's left out."""
    number = sum(packets for (_, went), packets in fanned.forwarded.items() if went == subnet)
    for (came, group), packets in (*fanned.arrived.items(), *fanned.ended.items()):
        if came == subnet and floods(graph, subnet, group):
            number += packets
    return number


def due(graph: Graph, router: str, side: str, fanned: Fanned) -> int:
    """Copies that a router had for one side, of the multicasts that came to it."""
    return sum(
        packets
        for (came, group), packets in fanned.arrived.items()
        if side in outputs(graph, router, came, group)
    )
