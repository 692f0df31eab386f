"""Reads the terms of packet conservation from the kernel: sockets, devices, counters, shaping.

Source: /proc/net/snmp, netstat (names of RFC 4113 and 4293) and dev of each namespace, read through
/proc/thread-self, which shows the namespace that the calling thread is in. A held descriptor
serves for a host whose agent is dead, too.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from testbed.accounts import Fanned, HostTerms, Loss, PortTerms, RouterTerms, Terms
from testbed.counters import Counters, Nodes, Offered, device_names
from testbed.faults.rules import Cut
from testbed.kernel import namespaces, snmp
from testbed.kernel.snmp import Counts
from testbed.network.multicast import Multicast
from testbed.shaping import Shaped, Shaping
from topologies.elements import Host, Link, host_device, link_device, router_port
from topologies.graph import Graph

_REFUSED = ("InHdrErrors", "InAddrErrors", "InDiscards", "OutDiscards", "OutNoRoutes", "FragFails")
_NOT_SENT = ("OutDiscards", "OutNoRoutes")

SMALLEST_BYTES = 576
"""What the kernel charges a socket for an empty datagram at least: SKB_TRUESIZE(0), the 256 bytes
of its head and 320 of its shared info. Kernel 6.18 charges 832 for the smallest."""


class Device(NamedTuple):
    """Counters of one interface, as /proc/net/dev has them."""

    received: int
    receive_dropped: int
    sent: int
    send_dropped: int


class Namespace(NamedTuple):
    """What one network namespace has counted since it was made."""

    snmp: Counts
    """A router's has "IpExt" too."""
    devices: dict[str, Device]


def read(
    net: Nodes,
    graph: Graph,
    counters: Counters,
    shaping: Shaping,
    cut: Cut | None = None,
    multicast: Multicast | None = None,
) -> Terms:
    """The terms of a whole network as they stand; consistent once traffic has stopped.

    `cut` is what the rules of faults have dropped; `multicast` counts copies, where there are any.
    """
    cut = cut or Cut()
    shaped = shaping.counted()
    routers, hosts = {}, {}
    with _at_home_again():
        for router in graph.routers:
            routers[router.name] = _visit(net.get(router.name).netns, "snmp", "netstat")
        for host in graph.hosts:
            hosts[host.name] = _visit(net.get(host.name).netns, "snmp")
    offered: dict[str, Offered] = {}
    for router in graph.routers:
        offered.update(counters.offered(router.name))
    return Terms(
        {
            host.name: host_terms(
                host,
                hosts[host.name],
                routers[graph.router_of(host).name],
                offered[host.name],
                shaped.get((graph.router_of(host).name, router_port(host))),
                shaped.get((graph.router_of(host).name, f"{router_port(host)} in")),
                cut.ports.get(host.name, 0),
            )
            for host in graph.hosts
        },
        {
            router.name: _router_terms(
                router.name,
                graph,
                routers,
                counters,
                shaped,
                cut.forwarded.get(router.name, {}),
                Fanned() if multicast is None else multicast.read(router.name),
            )
            for router in graph.routers
        },
        room(),
    )


def room() -> int:
    """Datagrams at most that a socket of the default size holds: the kernel's limit is in bytes.

    370 of Linux's default 212,992 bytes. It takes one more as long as it is not above its limit.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        return udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // SMALLEST_BYTES + 1


def datagrams(net: Nodes, graph: Graph) -> tuple[int, int]:
    """UDP datagrams (sent, come to an end) of all hosts so far: read, refused or for no port.

    Both stand still when nothing is under way; takes some 50 us a host.
    """
    sent = ended = 0
    with _at_home_again():
        for host in graph.hosts:
            namespaces.setns(net.get(host.name).netns, namespaces.CLONE_NEWNET)
            udp = snmp.read("snmp")["Udp"]
            sent += udp["OutDatagrams"]
            ended += udp["InDatagrams"] + udp["NoPorts"] + udp["InErrors"]
    return sent, ended


def overflows(netns: int) -> int:
    """Datagrams of a namespace so far that found their socket full."""
    with namespaces.entered(netns):
        return snmp.read("snmp")["Udp"]["RcvbufErrors"]


def host_terms(
    host: Host,
    own: Namespace,
    router: Namespace,
    offered: Offered,
    shaped: Shaped | None,
    shaped_up: Shaped | None = None,
    cut: int = 0,
) -> HostTerms:
    """Puts together what concerns one host, from its namespace and its router's."""
    udp, ip = own.snmp["Udp"], own.snmp["Ip"]
    near, far = own.devices[host_device(host)], router.devices[router_port(host)]
    return HostTerms(
        sent=udp["OutDatagrams"],
        looped=own.devices["lo"].received,
        read=udp["InDatagrams"],
        no_port=udp["NoPorts"],
        errors=udp["InErrors"],
        overflows=udp["RcvbufErrors"],
        offered=offered.udp,
        offered_other=offered.other,
        lost=_loss(shaped),
        lost_up=_loss(shaped_up),
        cut=cut,
        dropped_up=near.send_dropped + far.receive_dropped + sum(ip[name] for name in _NOT_SENT),
        dropped_down=far.send_dropped + near.receive_dropped + ip["InDiscards"],
    )


def parse_devices(text: str) -> dict[str, Device]:
    """The table of /proc/net/dev: 8 columns received, 8 columns sent, after two lines of titles."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, columns = line.partition(":")
        numbers = columns.split()
        found[name.strip()] = Device(
            int(numbers[1]), int(numbers[3]), int(numbers[9]), int(numbers[11])
        )
    return found


def _router_terms(
    name: str,
    graph: Graph,
    routers: dict[str, Namespace],
    counters: Counters,
    shaped: dict[tuple[str, str], Shaped],
    cut: Mapping[str, int],
    fanned: Fanned,
) -> RouterTerms:
    own = routers[name]
    names = device_names(graph, name)
    forwarded: dict[tuple[str, str], int] = {}
    for count in counters.read(name):
        way = count.input, count.output
        forwarded[way] = forwarded.get(way, 0) + count.packets
    totals = counters.totals(name)
    return RouterTerms(
        forwarded,
        {names.get(device, device): packets for device, packets in cut.items()},
        sum(own.snmp["Ip"][each] for each in _REFUSED) + own.snmp["IpExt"]["InNoRoutes"],
        totals.icmp + totals.other,
        {
            device: PortTerms(
                _loss(shaped.get((name, device))),
                own.devices[device].send_dropped + routers[peer].devices[far].receive_dropped,
            )
            for device, peer, far in _links_of(graph.links, name)
        },
        fanned,
    )


def _links_of(links: tuple[Link, ...], router: str) -> Iterator[tuple[str, str, str]]:
    """(own device, other router, its device) of each link of a router."""
    for link in links:
        upper, lower = link_device(link, "upper"), link_device(link, "lower")
        if link.upper == router:
            yield upper, link.lower, lower
        if link.lower == router:
            yield lower, link.upper, upper


def _loss(shaped: Shaped | None) -> Loss:
    if shaped is None:
        return Loss()
    return Loss(
        shaped.dropped_udp,
        shaped.dropped,
        shaped.full_udp,
        shaped.copies_udp,
        shaped.stranded_udp,
        shaped.doubtful,
        shaped.emptied,
    )


@contextmanager
def _at_home_again() -> Iterator[None]:
    """Has the thread back in its own network namespace after a walk through many."""
    home = namespaces.network()
    try:
        yield
    finally:
        namespaces.setns(home, namespaces.CLONE_NEWNET)
        os.close(home)


def _visit(netns: int, *files: str) -> Namespace:
    namespaces.setns(netns, namespaces.CLONE_NEWNET)
    with open("/proc/thread-self/net/dev") as devices:
        return Namespace(snmp.read(*files), parse_devices(devices.read()))
