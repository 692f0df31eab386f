"""Makes all namespaces, links and routes of a graph, as few system calls as the kernel allows.

For each host: one unshare, and two netlink batches, one in its router's namespace (veth pair,
place in the bridge, neighbour) and one in its own (addresses, default route, neighbour). Nothing
here knows Mininet; `testbed.network` puts nodes, interfaces and links around the result.

Subnets are one bridge in their router. With `lan="routed"` a host has a /32 address and sends all
to the gateway; both ends know each other's hardware address, so no ARP is on the wire, and no
table of the kernel grows with N squared. The bridge ports are not in hairpin mode: the router's IP
layer sends a packet back out of the bridge, which hairpin mode is not needed for, and it
would hand every multicast frame back to its sender. With `lan="switched"` hosts share a prefix
and ask by ARP.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from testbed.errors import TestbedError
from testbed.kernel import namespaces, rtnetlink, sysctls
from testbed.kernel.netlink import Channel, Request
from topologies import graph as graphs
from topologies.graph import Graph

# Fallback tunnels of the kernel (tunl0, sit0, ...) take the first indices of a new namespace. The
# two ends of a pair never have the same index: the kernel would take the end for its own peer, and
# its carrier coming up for something that can wait a second (linkwatch_urgent_event).
_HOST_INDEX = 255
_FIRST_INDEX = 256

_READY_S = 10.0
"""Deadline for all carriers; measured at 1,024 hosts: under 0.1 s after the last message."""

_DEFAULT = IPv4Network("0.0.0.0/0")


@dataclass(slots=True)
class End:
    """One end of a wire, and what the kernel forgets about it when it is set down."""

    node: str
    device: str
    mac: str
    address: IPv4Address | None = None
    length: int | None = None
    setup: tuple[Request, ...] = ()


@dataclass(slots=True)
class World:
    """What was made: a descriptor for each node's namespace, the bridges, and the wires."""

    namespaces: dict[str, int] = field(default_factory=dict)
    bridges: list[End] = field(default_factory=list)
    wires: list[tuple[End, End]] = field(default_factory=list)
    indices: Iterator[int] = field(default_factory=lambda: itertools.count(_FIRST_INDEX))

    def close(self) -> None:
        """Gives the namespaces back to the kernel, and with them all that is in them."""
        for descriptor in self.namespaces.values():
            os.close(descriptor)
        self.namespaces.clear()


def make(graph: Graph) -> World:
    """Builds a graph and waits until every interface passes frames. Raises TestbedError."""
    world = World()
    home = namespaces.network()
    routers: dict[str, _Router] = {}
    try:
        for router in graph.routers:
            descriptor = _new_namespace(world, router.name)
            sysctls.apply(sysctls.ROUTER, router.name)
            routers[router.name] = _Router(router.name, descriptor, world.indices)
        for link in graph.links:
            _join(world, graph, link, routers[link.upper], routers[link.lower])
        for subnet in graph.subnets:
            _fill(world, graph, subnet, routers[subnet.router])
        for made in routers.values():
            made.add_routes(graph)
        _wait_until_running(list(routers.values()))
    except BaseException:
        namespaces.setns(home)
        world.close()
        raise
    finally:
        for made in routers.values():
            made.channel.close()
        namespaces.setns(home)
        os.close(home)
    return world


class _Router:
    """A router under construction; the thread is in its namespace when it is made."""

    def __init__(self, name: str, descriptor: int, indices: Iterator[int]) -> None:
        self.name = name
        self.descriptor = descriptor
        self.channel = Channel(name)
        self.channel.ask([rtnetlink.switch(rtnetlink.LOOPBACK, True, "lo")])
        self.indices = indices
        self.devices: dict[str, int] = {}
        self.uplinks: dict[str, End] = {}

    def index(self, device: str) -> int:
        """A number for a new interface."""
        self.devices[device] = index = next(self.indices)
        return index

    def add_routes(self, graph: Graph) -> None:
        """Adds the static routes, and notes with each link those that go through it."""
        requests = [rtnetlink.refuse(prefix) for prefix in graph.unreachable(self.name)]
        for prefix, via, device in graph.routes(self.name):
            request = rtnetlink.route(prefix, via, self.devices[device], device)
            requests.append(request)
            self.uplinks[device].setup += (request,)
        self.channel.ask(requests)


def _new_namespace(world: World, name: str) -> int:
    """Moves the thread into a new network namespace without IPv6, and keeps a descriptor of it."""
    try:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        world.namespaces[name] = descriptor = namespaces.network()
    except OSError as error:
        raise TestbedError(namespace_problem(name, error)) from error
    sysctls.apply(sysctls.NODE, name)
    return descriptor


def namespace_problem(name: str, error: OSError) -> str:
    """Words why a network namespace could not be made, and what to do."""
    return (
        f"{name}: cannot make its network namespace: {error.strerror}; run as root or inside a lab,"
        " and check `ulimit -n` and /proc/sys/user/max_net_namespaces"
    )


def _join(world: World, graph: Graph, link: graphs.Link, upper: _Router, lower: _Router) -> None:
    """A point-to-point link of two routers."""
    sides: tuple[tuple[_Router, Literal["upper", "lower"], IPv4Address], ...] = (
        (upper, "upper", link.upper_address),
        (lower, "lower", link.lower_address),
    )
    ends = []
    for router, side, own in sides:
        device = graphs.link_device(link, side)
        end = End(router.name, device, graphs.mac_of(own), own, link.prefix.prefixlen)
        router.uplinks[device] = end
        router.index(device)
        ends.append(end)
    near, far = ends
    upper.channel.ask(
        [
            rtnetlink.veth(
                near.device,
                upper.devices[near.device],
                near.mac,
                far.device,
                lower.devices[far.device],
                far.mac,
                lower.descriptor,
                up=True,
            )
        ]
    )
    for router, end, other in ((upper, near, far), (lower, far, near)):
        index = router.devices[end.device]
        assert end.address and end.length and other.address
        end.setup = (rtnetlink.neighbour(index, other.address, other.mac, end.device),)
        router.channel.ask(
            [
                rtnetlink.switch(index, True, end.device),
                rtnetlink.address(index, end.address, end.length, end.device),
                *end.setup,
            ]
        )
    world.wires.append((near, far))


def _fill(world: World, graph: Graph, subnet: graphs.Subnet, router: _Router) -> None:
    """The bridge of a subnet, and its hosts."""
    routed = graph.lan == "routed"
    device = graphs.bridge_device(subnet)
    gateway = End(
        router.name, device, graphs.mac_of(subnet.gateway), subnet.gateway, subnet.prefix.prefixlen
    )
    bridge = router.index(device)
    router.channel.ask(
        [
            rtnetlink.bridge(device, bridge, gateway.mac),
            rtnetlink.address(bridge, subnet.gateway, subnet.prefix.prefixlen, device),
        ]
    )
    world.bridges.append(gateway)
    for host in graph.hosts_of(subnet.name):
        descriptor = _new_namespace(world, host.name)
        name, port = graphs.host_device(host), graphs.router_port(host)
        near = End(host.name, name, host.mac, host.address, 32 if routed else gateway.length)
        # 06 instead of 02: the port's own address, which no packet carries, is not the host's.
        far = End(router.name, port, "06" + host.mac[2:])
        index = router.index(port)
        there = [
            rtnetlink.veth(
                port,
                index,
                far.mac,
                name,
                _HOST_INDEX,
                near.mac,
                descriptor,
                bridge=bridge,
                up=True,
            )
        ]
        near.setup = (rtnetlink.route(_DEFAULT, subnet.gateway, _HOST_INDEX, name),)
        if routed:
            there.append(rtnetlink.forward(index, host.mac, port))
            there.append(rtnetlink.neighbour(bridge, host.address, host.mac, device))
            near.setup += (rtnetlink.neighbour(_HOST_INDEX, subnet.gateway, gateway.mac, name),)
        router.channel.ask(there)
        assert near.length
        with Channel(host.name) as channel:
            channel.ask(
                [
                    rtnetlink.switch(rtnetlink.LOOPBACK, True, "lo"),
                    rtnetlink.switch(_HOST_INDEX, True, name),
                    rtnetlink.address(_HOST_INDEX, host.address, near.length, name),
                    *near.setup,
                ]
            )
        world.wires.append((near, far))


def _wait_until_running(routers: list[_Router]) -> None:
    """Carriers come up a moment after the interfaces, in a work queue of the kernel."""
    deadline = time.monotonic() + _READY_S
    for router in routers:
        while waiting := [
            link.name
            for link in rtnetlink.links(router.channel)
            if link.name in router.devices and not link.running
        ]:
            if time.monotonic() > deadline:
                names = ", ".join(waiting[:3])
                raise TestbedError(
                    f"{router.name}: {names} ({len(waiting)} in all) pass no frames {_READY_S:g} s"
                    " after being set up; is the machine overloaded?"
                )
            time.sleep(0.002)
