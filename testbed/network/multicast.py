"""IP multicast by the kernel: static trees in the routers, and their counters.

Each router's namespace has a raw IGMP socket that switches multicast routing on, makes every side
of the router a virtual interface, and enters for each group the sides with members (linux/mroute.h;
no routing daemon, no privilege outside the lab). The entries are for any source: one (*,*) entry
names the sides of the tree, one (*,G) entry a group those to copy to, never back to where a packet
came from. They live as long as the sockets.

A host sends what its own subnet is to hear straight out, and the bridge hands it to every port;
what is for another subnet alone goes to its gateway. So nobody is handed what it is no member of.
The routers drop the hosts' IGMP reports, which the bridge would hand to everybody.

Neither a bridge nor a router counts the copies that it does not make since a link is down. How many
those are at most follows from what came to the router meanwhile: `withhold`, `resume`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Protocol

from agents import groups
from agents.hosts import PORT
from testbed import fanout
from testbed.accounts import Fanned
from testbed.errors import TestbedError
from testbed.kernel import namespaces, rtnetlink
from testbed.kernel.netlink import Channel
from testbed.kernel.nft import Nft, NftError
from topologies.elements import bridge_device, host_device, link_device
from topologies.graph import Graph

TABLE = "testbed_multicast"
PREFIX = IPv4Network((groups.BASE, 14))

_INIT, _ADD_VIF, _ADD_MFC_PROXY = 200, 202, 210
_USE_IFINDEX = 0x8
_VIF = struct.Struct("=HBBIiI")
_MFC = struct.Struct("=4s4sH32s2xIIIi")
_NOT = 255
"""The threshold of an interface that an entry leaves out."""

Port = tuple[str, str, str]
"""A router, one of its sides, and which of the links there: a host's name, "" for the only one."""

_COUNT_PRIORITY = -300
"""As `testbed.counters`: before any rule that drops."""


class Node(Protocol):
    """What multicast needs of a node: its network namespace's descriptor, its interfaces."""

    @property
    def netns(self) -> int: ...

    def intf(self, intf: str) -> Any: ...


class Nodes(Protocol):
    """What multicast needs of a network: its nodes by name."""

    def get(self, name: str) -> Node: ...


class Multicast:
    """The trees of a network that is up; `close` fells them."""

    def __init__(self, net: Nodes, graph: Graph) -> None:
        """Raises `UsageError` for a router with too many sides, `TestbedError` if it can't be."""
        fanout.check(graph)
        self._graph = graph
        self._sockets: list[socket.socket] = []
        self._nft: dict[str, Nft] = {}
        self._down: dict[Port, int] = {}
        """What had been due at a port when its link went down."""
        self._withheld: dict[tuple[str, str], int] = {}
        try:
            for router in graph.routers:
                self._route(router.name, net.get(router.name).netns)
            for host in graph.hosts:
                self._aim(host.node, net.get(host.name))
        except (OSError, NftError) as error:
            self.close()
            raise TestbedError(
                f"multicast routing: {error}; it needs a kernel with CONFIG_IP_MROUTE and nf_tables"
            ) from error

    def close(self) -> None:
        for each in self._sockets:
            each.close()
        for nft in self._nft.values():
            nft.close()

    def read(self, router: str) -> Fanned:
        """What a router has counted so far."""
        fanned = self._counted(router)
        return replace(fanned, withheld=self._missed(router, fanned))

    def _counted(self, router: str) -> Fanned:
        names = devices(self._graph, router)
        return Fanned(
            {
                (names[came], _group(to)): packets
                for (came, to), packets in self._set(router, "arrived").items()
            },
            {
                (names[came], _group(to)): packets
                for (came, to), packets in self._set(router, "ended").items()
            },
            {
                (names[came], names[went]): packets
                for (came, went), packets in self._set(router, "forwarded").items()
            },
        )

    def withhold(self, ports: Sequence[Port]) -> None:
        """Links are about to go down: copies for them will not be made."""
        for router, mine in _by_router(ports).items():
            fanned = self._counted(router)
            self._down |= {port: self._due(port, fanned) for port in mine if port not in self._down}

    def resume(self, ports: Sequence[Port]) -> None:
        """Links are up again."""
        for router, mine in _by_router(ports).items():
            fanned = self._counted(router)
            for port in mine:
                if port in self._down:
                    missed = self._due(port, fanned) - self._down.pop(port)
                    self._withheld[port[:2]] = self._withheld.get(port[:2], 0) + missed

    def _due(self, port: Port, fanned: Fanned) -> int:
        """Multicasts so far of which a copy was for a port."""
        router, side, _ = port
        if side in (subnet.name for subnet in self._graph.subnets_of(router)):
            return fanout.spread(self._graph, side, fanned)
        return fanout.due(self._graph, router, side, fanned)

    def _missed(self, router: str, fanned: Fanned) -> dict[str, int]:
        """By side, copies not made so far, at most."""
        found = dict.fromkeys(fanout.sides(self._graph, router), 0)
        found |= {side: missed for (at, side), missed in self._withheld.items() if at == router}
        for port, before in self._down.items():
            if port[0] == router:
                found[port[1]] += self._due(port, fanned) - before
        return found

    def _set(self, router: str, name: str) -> dict[tuple[str, str], int]:
        listed = self._nft[router].listed(f"set ip {TABLE} {name}")
        return _parse(listed)

    def _route(self, router: str, netns: int) -> None:
        names = devices(self._graph, router)
        with namespaces.entered(netns):
            igmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
            self._sockets.append(igmp)
            with Channel(router) as channel:
                found = {link.name: link.index for link in rtnetlink.links(channel)}
                for subnet in self._graph.subnets_of(router):
                    device = bridge_device(subnet)
                    channel.ask([rtnetlink.no_snooping(found[device], device)])
        _set_option(igmp, _INIT, struct.pack("=i", 1))
        for place, device in enumerate(names):
            vif = _VIF.pack(place, _USE_IFINDEX, 1, 0, found[device], 0)
            _set_option(igmp, _ADD_VIF, vif)
        _set_option(igmp, _ADD_MFC_PROXY, _entry("0.0.0.0", [1] * len(names)))
        for group in fanout.groups(self._graph):
            members = fanout.towards(self._graph, router, group)
            thresholds = [1 if side in members else _NOT for side in names.values()]
            _set_option(igmp, _ADD_MFC_PROXY, _entry(groups.address(group), thresholds))
        nft = self._nft[router] = Nft(netns)
        nft.change(_text(len(names), len(fanout.groups(self._graph))))

    def _aim(self, node: int, own: Node) -> None:
        """The routes of a host: straight out to those that hear it anyway, else by the gateway."""
        host = self._graph.hosts[node]
        subnet = self._graph.subnet(host.subnet)
        near = [groups.ALL, fanout.subnets(self._graph).index(subnet.name) + 1]
        name = host_device(host)
        with namespaces.entered(own.netns), Channel(host.name) as channel:
            index = rtnetlink.link(channel, name).index
            requests = [
                rtnetlink.route(IPv4Network(groups.address(group)), None, index, name)
                for group in near
            ]
            requests.append(rtnetlink.route(PREFIX, subnet.gateway, index, name))
            channel.ask(requests)
        interface = own.intf(name)
        interface.setup = (*interface.setup, *requests)  # the kernel forgets routes at `down`


def _by_router(ports: Sequence[Port]) -> dict[str, list[Port]]:
    found: dict[str, list[Port]] = {}
    for port in ports:
        found.setdefault(port[0], []).append(port)
    return found


def devices(graph: Graph, router: str) -> dict[str, str]:
    """The side that each device of a router leads to, in the order of their numbers."""
    named = {bridge_device(subnet): subnet.name for subnet in graph.subnets_of(router)}
    for child in graph.children(router):
        link = graph.link_above(child.name)
        assert link is not None
        named[link_device(link, "upper")] = child.name
    above = graph.link_above(router)
    if above is not None:
        named[link_device(above, "lower")] = "up"
    return named


def _entry(group: str, thresholds: list[int]) -> bytes:
    """A forwarding entry for any source; `thresholds` by interface, `_NOT` to leave one out."""
    ttls = bytes(thresholds).ljust(fanout.MOST_SIDES, bytes([_NOT]))
    return _MFC.pack(bytes(4), socket.inet_aton(group), 0, ttls, 0, 0, 0, 0)


def _set_option(igmp: socket.socket, option: int, value: bytes) -> None:
    igmp.setsockopt(socket.IPPROTO_IP, option, value)


def _text(sides: int, groups_count: int) -> str:
    """The commands that count multicasts at a router, and keep IGMP off its bridges."""
    keyed = f"size {sides * groups_count}; flags dynamic; counter;"
    return f"""table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
set arrived {{ typeof iifname . ip daddr; {keyed} }}
set ended {{ typeof iifname . ip daddr; {keyed} }}
set forwarded {{ typeof iifname . oifname; size {sides * sides}; flags dynamic; counter; }}
chain arriving {{
ip ttl 1 update @ended {{ iifname . ip daddr }} return
update @arrived {{ iifname . ip daddr }}
}}
chain came {{
type filter hook prerouting priority {_COUNT_PRIORITY};
ip daddr {PREFIX} udp dport {PORT} goto arriving
}}
chain went {{
type filter hook forward priority {_COUNT_PRIORITY};
ip daddr {PREFIX} udp dport {PORT} update @forwarded {{ iifname . oifname }}
}}
}}
table bridge {TABLE}
delete table bridge {TABLE}
table bridge {TABLE} {{
chain reports {{
type filter hook prerouting priority {_COUNT_PRIORITY};
ip protocol igmp drop
}}
}}
"""


def _group(address: str) -> int:
    return int(IPv4Address(address)) - groups.BASE


def _parse(objects: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Packets by the two parts of the key of the set that is listed."""
    found = {}
    for each in objects:
        for element in each.get("set", {}).get("elem", []):
            first, second = element["elem"]["val"]["concat"]
            found[first, second] = element["elem"]["counter"]["packets"]
    return found
