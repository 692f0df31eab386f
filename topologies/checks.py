"""What makes parts a network: one tree, names and addresses that are unique and fit, nested groups.

Each check assumes those before it, and reports the first part that is wrong, with the remedy.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from topologies.elements import (
    GraphError,
    bridge_device,
    host_device,
    link_device,
    router_port,
)

if TYPE_CHECKING:
    from topologies.graph import Graph

NAME_LENGTH = 15
"""IFNAMSIZ is 16, with the closing zero."""

BRIDGE_PORTS = 1023
"""BR_MAX_PORTS of a Linux bridge is 1024, and port 0 is not used."""

DEEPEST = 31
"""A path from there to the core and down again crosses 63 routers, all that a TTL of 64 allows."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")


def check(graph: Graph) -> None:
    """Raises GraphError unless everything of a graph fits together."""
    if graph.lan not in ("routed", "switched"):
        raise GraphError(f"lan = {graph.lan!r}: choose 'routed' or 'switched'")
    if len(graph.hosts) < 2:
        raise GraphError(f"{graph.name}: {len(graph.hosts)} hosts; gossip needs 2 at least")
    _check_tree(graph)
    _check_subnets(graph)
    _check_hosts(graph)
    _check_names(graph)
    _check_numbering(graph)


def _check_tree(graph: Graph) -> None:
    levels = {router.name: router.level for router in graph.routers}
    if len(levels) < len(graph.routers):
        _unique("router name", (router.name for router in graph.routers))
    cores = [router.name for router in graph.routers if router.parent is None]
    if len(cores) != 1:
        raise GraphError(
            f"{graph.name}: {len(cores)} core routers {cores}; leave one without parent"
        )
    parents = {}
    for router in graph.routers:
        # A level more than the parent's, all the way: nothing can go in circles.
        above = -1 if router.parent is None else levels.get(router.parent)
        if above is None:
            raise GraphError(f"router {router.name}: no parent {router.parent!r}; add that router")
        if router.level != above + 1:
            raise GraphError(f"router {router.name}: level {router.level}; make it {above + 1}")
        if router.level > DEEPEST:
            raise GraphError(
                f"router {router.name}: level {router.level}; a datagram's TTL of 64 allows "
                f"{DEEPEST} levels below the core, use fewer"
            )
        parents[router.name] = router.parent
    for link in graph.links:
        if link.lower not in parents or parents.pop(link.lower) != link.upper:
            raise GraphError(
                f"link {link.upper}-{link.lower}: join each router once, to its parent"
            )
        pair = (int(link.upper_address), int(link.lower_address))
        if max(pair) != min(pair) + 1 or min(pair) % 2:
            raise GraphError(
                f"link {link.upper}-{link.lower}: {link.upper_address} and {link.lower_address} "
                "are not one /31; use an even address and the next"
            )
    missing = [name for name, parent in parents.items() if parent is not None]
    if missing:
        raise GraphError(f"router {missing[0]}: not linked to its parent; add the link")


def _check_subnets(graph: Graph) -> None:
    routers = {router.name for router in graph.routers}
    sizes = Counter(host.subnet for host in graph.hosts)
    for subnet in graph.subnets:
        if subnet.router not in routers:
            raise GraphError(f"subnet {subnet.name}: no router {subnet.router!r}; add that router")
        size = sizes[subnet.name]
        if not 1 <= size <= BRIDGE_PORTS:
            raise GraphError(
                f"subnet {subnet.name}: {size} hosts; a Linux bridge takes 1..{BRIDGE_PORTS}, "
                "use more subnets"
            )
        ends = (subnet.prefix.network_address, subnet.prefix.broadcast_address)
        if subnet.gateway not in subnet.prefix or subnet.gateway in ends:
            raise GraphError(
                f"subnet {subnet.name}: gateway {subnet.gateway} is no host address of "
                f"{subnet.prefix}; choose another"
            )
    prefixes = [(subnet.prefix, subnet.name) for subnet in graph.subnets]
    prefixes += [(link.prefix, f"{link.upper}-{link.lower}") for link in graph.links]
    for (lower, one), (upper, other) in pairwise(sorted(prefixes)):
        if lower.overlaps(upper):
            raise GraphError(f"{one} {lower} and {other} {upper} overlap; move one of them")


def _check_hosts(graph: Graph) -> None:
    subnets = {subnet.name: subnet for subnet in graph.subnets}
    spans = {
        name: (int(subnet.prefix.network_address), int(subnet.prefix.broadcast_address))
        for name, subnet in subnets.items()
    }
    gateways = {int(subnet.gateway) for subnet in graph.subnets}
    for node, host in enumerate(graph.hosts):
        if host.node != node:
            raise GraphError(f"host {host.name}: node {host.node} in place {node}; number from 0")
        if host.subnet not in subnets:
            raise GraphError(f"host {host.name}: no subnet {host.subnet!r}; add that subnet")
        low, high = spans[host.subnet]
        if not low < int(host.address) < high or int(host.address) in gateways:
            raise GraphError(
                f"host {host.name}: {host.address} is not free in "
                f"{subnets[host.subnet].prefix}; choose another address or a wider prefix"
            )
        if not _MAC.fullmatch(host.mac):
            raise GraphError(
                f"host {host.name}: {host.mac!r} is no unicast MAC address; "
                "write it like 02:00:0a:00:00:01"
            )
    _unique("address", (host.address for host in graph.hosts))
    _unique("MAC address", (host.mac for host in graph.hosts))


def _check_names(graph: Graph) -> None:
    names = [router.name for router in graph.routers]
    names += [subnet.name for subnet in graph.subnets]
    names += [host.name for host in graph.hosts]
    for name in names:
        if not _NAME.fullmatch(name):
            raise GraphError(f"name {name!r}: use a letter, then letters, digits, '_', '.' or '-'")
    _unique("name", names)
    devices = [bridge_device(subnet) for subnet in graph.subnets]
    devices += [link_device(link, "upper") for link in graph.links]
    for host in graph.hosts:
        devices += [host_device(host), router_port(host)]
    for device in devices:
        if len(device) > NAME_LENGTH:
            raise GraphError(
                f"interface {device}: {len(device)} characters, the kernel takes {NAME_LENGTH}; "
                "shorten the name of the host, subnet or router"
            )


def _check_numbering(graph: Graph) -> None:
    members: defaultdict[str, list[int]] = defaultdict(list)
    for host in graph.hosts:
        members[host.subnet].append(host.node)
    for subnet in graph.subnets:
        members[subnet.router] += members[subnet.name]

    for router in sorted(graph.routers, key=lambda router: -router.level):
        if router.parent is not None:
            members[router.parent] += members[router.name]
    for name, nodes in members.items():
        if nodes and max(nodes) - min(nodes) + 1 != len(nodes):
            raise GraphError(
                f"{name}: its nodes are not consecutive; number the hosts subnet by subnet, "
                "router by router"
            )


def _unique(what: str, values: Iterable[object]) -> None:
    value, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise GraphError(f"{what} {value}: given {times} times; make each unique")
