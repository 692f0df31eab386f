"""What a network is made of, as netlink requests: links, addresses, routes, neighbours.

Source: rtnetlink(7), linux/if_link.h, linux/neighbour.h. Interfaces are given their index when
they are created, so that nothing has to be asked back before they are configured.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

from testbed.kernel.netlink import (
    CREATE,
    EXCL,
    REPLACE,
    Channel,
    Request,
    attribute,
    attributes,
    number,
    text,
)

Address = ipaddress.IPv4Address
Prefix = ipaddress.IPv4Network

LOOPBACK = 1
"""Index of lo in every namespace."""

FORWARDING = 3
"""State of a bridge port that passes frames."""

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _GETROUTE = 24, 26
_NEWNEIGH = 28

_MAC, _NAME, _MASTER, _OPERSTATE, _LINKINFO, _NAMESPACE, _CARRIER = 1, 3, 10, 16, 18, 28, 33
_KIND, _DATA, _SLAVE_DATA = 1, 2, 5
_VETH_PEER = 1
_BRIDGE_STP, _BRIDGE_PRIORITY, _BRIDGE_SNOOPING = 5, 6, 23
_PORT_STATE = 1
_OPERSTATE_UP = 6
_UP = 0x1

_LOCAL_PEER, _LOCAL, _BROADCAST = 1, 2, 4
_DESTINATION, _DEVICE, _GATEWAY, _METRIC = 1, 4, 5, 6
_ONLINK = 4
_MAIN_TABLE, _STATIC, _UNICAST, _THROW = 254, 4, 1, 9
_LAST_METRIC = 0xFFFFFFFF
_SCOPE_GLOBAL, _SCOPE_LINK = 0, 253
_NEIGHBOUR_ADDRESS, _NEIGHBOUR_MAC = 1, 2
_PERMANENT, _FIXED = 0x80, 0x40
_IN_MASTER = 0x04

_LINK = struct.Struct("=BxHiII")
_ADDR = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGH = struct.Struct("=BxxxiHBB")


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What the kernel says of one interface."""

    index: int
    name: str
    mac: str
    up: bool
    """Set up by its owner."""
    running: bool
    """Able to pass frames: up at both ends and, where it is a bridge's port, forwarding."""
    settling: bool
    """Up at both ends, but the kernel has not acted on it yet; a matter of milliseconds."""


def _mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


def _link(index: int, flags: int = 0, change: int = 0) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, change)


def veth(
    name: str,
    index: int,
    mac: str | None,
    peer: str,
    peer_index: int,
    peer_mac: str | None,
    peer_netns: int,
    *,
    bridge: int = 0,
    up: bool = False,
) -> Request:
    """A pair of joined interfaces, the peer in the namespace behind descriptor `peer_netns`.

    An index of 0 lets the kernel choose (both must be 0, or neither). `bridge` is the index of
    the bridge that the near end becomes a port of. The peer is down: a veth end cannot come up
    before its other end exists (ENOTCONN).
    """
    far = _link(peer_index) + text(_NAME, peer) + number(_NAMESPACE, peer_netns)
    if peer_mac:
        far += attribute(_MAC, _mac(peer_mac))
    body = _link(index, _UP if up else 0, _UP if up else 0) + text(_NAME, name)
    if mac:
        body += attribute(_MAC, _mac(mac))
    if bridge:
        body += number(_MASTER, bridge)
    body += attribute(_LINKINFO, text(_KIND, "veth") + attribute(_DATA, attribute(_VETH_PEER, far)))
    return Request(_NEWLINK, CREATE | EXCL, body, f"make the veth pair {name} - {peer}")


def bridge(
    name: str, index: int = 0, mac: str | None = None, *, stp: bool = False, priority: int = 0x8000
) -> Request:
    """A bridge that is up. `priority` (0..65535, lowest wins) counts with the spanning tree."""
    data = number(_BRIDGE_STP, int(stp)) + attribute(_BRIDGE_PRIORITY, struct.pack("=H", priority))
    body = _link(index, _UP, _UP) + text(_NAME, name)
    if mac:
        body += attribute(_MAC, _mac(mac))
    body += attribute(_LINKINFO, text(_KIND, "bridge") + attribute(_DATA, data))
    return Request(_NEWLINK, CREATE | EXCL, body, f"make the bridge {name}")


def no_snooping(index: int, name: str) -> Request:
    """Has a bridge hand multicasts to all its ports, whatever IGMP it hears."""
    data = attribute(_BRIDGE_SNOOPING, b"\0")
    info = attribute(_LINKINFO, text(_KIND, "bridge") + attribute(_DATA, data))
    return Request(_NEWLINK, 0, _link(index) + info, f"switch multicast snooping of {name} off")


def join(index: int, bridge: int, name: str) -> Request:
    """Makes an interface a port of a bridge; with `bridge` 0 takes it out again."""
    return Request(
        _SETLINK, 0, _link(index) + number(_MASTER, bridge), f"make {name} a bridge port"
    )


def switch(index: int, up: bool, name: str) -> Request:
    """Sets an interface up or down."""
    word = "up" if up else "down"
    return Request(_SETLINK, 0, _link(index, _UP if up else 0, _UP), f"set {name} {word}")


def set_mac(index: int, mac: str, name: str) -> Request:
    """Gives an interface another hardware address."""
    body = _link(index) + attribute(_MAC, _mac(mac))
    return Request(_SETLINK, 0, body, f"give {name} the address {mac}")


def delete(index: int, name: str) -> Request:
    """Deletes an interface; of a veth pair, both."""
    return Request(_DELLINK, 0, _link(index), f"delete {name}")


def address(
    index: int, own: Address, length: int, name: str, peer: Address | None = None
) -> Request:
    """An IPv4 address with its prefix length, or one end of a point-to-point link to `peer`."""
    body = _ADDR.pack(socket.AF_INET, length, 0, _SCOPE_GLOBAL, index)
    body += attribute(_LOCAL, own.packed) + attribute(_LOCAL_PEER, (peer or own).packed)
    if length < 31:
        network = Prefix((own, length), strict=False)
        body += attribute(_BROADCAST, network.broadcast_address.packed)
    return Request(_NEWADDR, CREATE | REPLACE, body, f"give {name} the address {own}/{length}")


def route(prefix: Prefix, via: Address | None, index: int, name: str) -> Request:
    """A static route, through the gateway `via` (taken to be on the link) or straight out."""
    scope, flags = (_SCOPE_GLOBAL, _ONLINK) if via else (_SCOPE_LINK, 0)
    length = prefix.prefixlen
    body = _ROUTE.pack(
        socket.AF_INET, length, 0, 0, _MAIN_TABLE, _STATIC, scope, _UNICAST, flags
    ) + number(_DEVICE, index)
    if length:
        body += attribute(_DESTINATION, prefix.network_address.packed)
    if via:
        body += attribute(_GATEWAY, via.packed)
    way = f"via {via} dev {name}" if via else f"dev {name}"
    return Request(_NEWROUTE, CREATE | REPLACE, body, f"add the route {prefix} {way}")


def refuse(prefix: Prefix) -> Request:
    """Answers packets to a prefix with ICMP unreachable where no other route takes them.

    The type is "throw", as if there were no route at all: that is counted (InNoRoutes), what a
    route of type "unreachable" refuses is not.
    """
    body = _ROUTE.pack(
        socket.AF_INET, prefix.prefixlen, 0, 0, _MAIN_TABLE, _STATIC, _SCOPE_GLOBAL, _THROW, 0
    )
    body += number(_METRIC, _LAST_METRIC) + attribute(_DESTINATION, prefix.network_address.packed)
    return Request(_NEWROUTE, CREATE | REPLACE, body, f"refuse packets to {prefix}")


def neighbour(index: int, ip: Address, mac: str, name: str) -> Request:
    """A permanent neighbour: never asked for by ARP, and exempt from the table's limit."""
    body = _NEIGH.pack(socket.AF_INET, index, _PERMANENT, 0, 0)
    body += attribute(_NEIGHBOUR_ADDRESS, ip.packed) + attribute(_NEIGHBOUR_MAC, _mac(mac))
    return Request(_NEWNEIGH, CREATE | REPLACE, body, f"add the neighbour {ip} {mac} on {name}")


def forward(index: int, mac: str, name: str) -> Request:
    """Tells the bridge behind which port a hardware address is, so that it never floods for it."""
    body = _NEIGH.pack(socket.AF_BRIDGE, index, _FIXED, _IN_MASTER, 0)
    body += attribute(_NEIGHBOUR_MAC, _mac(mac))
    return Request(_NEWNEIGH, CREATE | REPLACE, body, f"place {mac} behind bridge port {name}")


def link(channel: Channel, name: str) -> LinkInfo:
    """One interface. Raises NetlinkError (ENODEV) when there is none of that name."""
    body = _link(0) + text(_NAME, name)
    return _info(channel.fetch(_GETLINK, body, f"find {name}", dump=False)[0])


def links(channel: Channel) -> list[LinkInfo]:
    """Every interface of the namespace."""
    return [_info(answer) for answer in channel.fetch(_GETLINK, _link(0), "list the interfaces")]


def _info(answer: bytes) -> LinkInfo:
    _, _, index, flags, _ = _LINK.unpack_from(answer)
    found = attributes(answer[_LINK.size :])
    kind = attributes(found.get(_LINKINFO, b""))
    port = attributes(kind.get(_SLAVE_DATA, b""))
    forwarding = port.get(_PORT_STATE, bytes([FORWARDING]))[0] == FORWARDING
    operating = found.get(_OPERSTATE, b"\0")[0] == _OPERSTATE_UP
    carrier = found.get(_CARRIER, b"\0")[0] == 1
    return LinkInfo(
        index,
        name=found[_NAME].rstrip(b"\0").decode(),
        mac=found.get(_MAC, b"").hex(":"),
        up=bool(flags & _UP),
        running=operating and forwarding,
        # Other kinds than veth may never report a state.
        settling=carrier and not operating and kind.get(_KIND) == b"veth\0",
    )


def forget_addresses(channel: Channel, index: int, name: str) -> None:
    """Takes all IPv4 addresses from an interface."""
    question = _ADDR.pack(socket.AF_INET, 0, 0, 0, 0)
    for answer in channel.fetch(_GETADDR, question, "list the addresses"):
        family, _, _, _, owner = _ADDR.unpack_from(answer)
        if family == socket.AF_INET and owner == index:
            channel.ask([Request(_DELADDR, 0, answer, f"take an address from {name}")])


def device_to(channel: Channel, ip: Address) -> int:
    """The index of the interface that packets for `ip` leave through."""
    body = _ROUTE.pack(socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, 0) + attribute(_DESTINATION, ip.packed)
    answer = channel.fetch(_GETROUTE, body, f"find the way to {ip}", dump=False)[0]
    found: int = struct.unpack("=I", attributes(answer[_ROUTE.size :])[_DEVICE])[0]
    return found
