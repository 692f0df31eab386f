"""Turns a tree of routers and the sizes of its subnets into the numbered parts of a Graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from topologies.addresses import HOST_SPACE, LINK_SPACE, NOT_HOSTS, Block, plan, power_of_two
from topologies.checks import BRIDGE_PORTS, DEEPEST
from topologies.elements import (
    PERFECT,
    GraphError,
    Host,
    Impairment,
    Link,
    Router,
    Subnet,
    mac_of,
)


class Parts(NamedTuple):
    """The fields of a Graph after its name."""

    routers: tuple[Router, ...]
    subnets: tuple[Subnet, ...]
    hosts: tuple[Host, ...]
    links: tuple[Link, ...]


def lay_out(
    routers: Sequence[Router],
    sizes: Sequence[tuple[str, int]],
    receive: Impairment,
    across: Impairment,
    send: Impairment = PERFECT,
    across_up: Impairment | None = None,
) -> Parts:
    """Names subnets s1.. and hosts h1.. and numbers them along the tree, depth first.

    `sizes` has (router, hosts) for each subnet. A host counts up from the first address of its
    prefix, so h1 is 10.0.0.1; the gateway has the last. Links of routers are impaired alike in both
    directions unless `across_up` says otherwise. Raises GraphError before it makes anything
    when a subnet is too large or all of them are.
    """
    children: defaultdict[str | None, list[Router]] = defaultdict(list)
    for router in routers:
        children[router.parent].append(router)
        if router.level > DEEPEST:
            raise GraphError(
                f"{router.level} levels of routers: a datagram's TTL of 64 allows {DEEPEST}; "
                "use fewer"
            )
    sizes_of: defaultdict[str, list[int]] = defaultdict(list)
    for name, size in sizes:
        if not 1 <= size <= BRIDGE_PORTS:
            raise GraphError(
                f"a subnet of {size} hosts: a Linux bridge takes 1..{BRIDGE_PORTS}; "
                "use more subnets or change their sizes"
            )
        sizes_of[name].append(size)
    planned: list[tuple[str, str, int]] = []

    def hosts_below(router: Router) -> Block:
        parts = []
        for size in sizes_of[router.name]:
            name = f"s{len(planned) + 1}"
            planned.append((name, router.name, size))
            parts.append(Block(name, power_of_two(size + NOT_HOSTS)))
        return Block(parts=[*parts, *map(hosts_below, children[router.name])])

    def links_below(router: Router) -> Block:
        below = [Block(parts=[Block(c.name, 2), links_below(c)]) for c in children[router.name]]
        return Block(parts=below)

    core = children[None][0]
    prefixes = plan(hosts_below(core), HOST_SPACE, "hosts")
    pairs = plan(links_below(core), LINK_SPACE, "router links")
    subnets = []
    hosts: list[Host] = []
    for name, router_name, size in planned:
        prefix = prefixes[name]
        subnets.append(Subnet(name, router_name, prefix, prefix[-2]))
        first = prefix.network_address + 1
        for place in range(size):
            address = first + place
            node = len(hosts)
            hosts.append(Host(f"h{node + 1}", node, name, address, mac_of(address), receive, send))
    up = across if across_up is None else across_up
    links = [
        Link(router.parent, router.name, pair[0], pair[1], down=across, up=up)
        for router in routers
        if router.parent is not None and (pair := pairs[router.name])
    ]
    return Parts(tuple(routers), tuple(subnets), tuple(hosts), tuple(links))
