"""The least to ask of the kernel: namespaces, veth pairs, addresses, routes, neighbours.

One loop over plain netlink sockets, sharing no code with the testbed: no graph, no bridge, no
sysctl, no wait for carriers, no Mininet object, no names in errors. Two routers hold the near ends.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import time

_NEWNET = 0x40000000
_CREATE = 0x1 | 0x400
_ACK = 0x4
_libc = ctypes.CDLL(None, use_errno=True)


def up(hosts: int) -> list[int]:
    """Makes two routers and `hosts` hosts; returns the descriptors that hold them."""
    home = _current()
    routers = [_fresh(), _fresh()]
    found = [namespace for namespace, _ in routers]
    gateway = bytes([10, 255, 255, 254])
    for node in range(hosts):
        descriptor, own = _fresh()
        found.append(descriptor)
        _, there = routers[node % 2]
        address = struct.pack(">I", 0x0A000001 + node)
        near_mac, far_mac = b"\x06\0" + address, b"\x02\0" + address
        index = 1000 + node
        peer = _link(100) + _attribute(3, b"eth0\0") + _attribute(1, far_mac)
        peer += _attribute(28, struct.pack("=I", descriptor))
        kind = _attribute(1, b"veth\0") + _attribute(2, _attribute(1, peer))
        near = _link(index, 1) + _attribute(3, b"p%d\0" % node) + _attribute(1, near_mac)
        _ask(
            there,
            _message(16, near + _attribute(18, kind)),
            _message(24, _route(32, 253, 0) + _attribute(1, address) + _number(4, index)),
            _message(28, _neighbour(index, address, far_mac)),
        )
        _ask(
            own,
            _message(19, _link(1, 1)),
            _message(19, _link(100, 1)),
            _message(
                20,
                struct.pack("=BBBBI", 2, 32, 0, 0, 100)
                + _attribute(1, address)
                + _attribute(2, address),
            ),
            _message(24, _route(0, 0, 4) + _attribute(5, gateway) + _number(4, 100)),
            _message(28, _neighbour(100, gateway, near_mac)),
        )
        own.close()
    _libc.setns(home, 0)
    os.close(home)
    for _, there in routers:
        there.close()
    return found


def down(namespaces: list[int]) -> None:
    """Lets all namespaces die, and one more after them, whose interface is watched until gone."""
    home = _current()
    near, watcher = _fresh()
    far, other = _fresh()
    peer = _link(0) + _attribute(3, b"far\0") + _attribute(28, struct.pack("=I", far))
    kind = _attribute(1, b"veth\0") + _attribute(2, _attribute(1, peer))
    _ask(watcher, _message(16, _link(0) + _attribute(3, b"near\0") + _attribute(18, kind)))
    _libc.setns(home, 0)
    other.close()
    for descriptor in (*namespaces, far):
        os.close(descriptor)
    _libc.setns(near, 0)
    while "near" in (name for _, name in socket.if_nameindex()):
        time.sleep(0.002)
    _libc.setns(home, 0)
    watcher.close()
    os.close(near)
    os.close(home)


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _fresh() -> tuple[int, socket.socket]:
    if _libc.unshare(_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    return _current(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)


def _ask(channel: socket.socket, *messages: bytes) -> None:
    *most, last = messages
    kind_and_flags = struct.unpack_from("=IHH", last)
    flagged = struct.pack("=IHH", *kind_and_flags[:2], kind_and_flags[2] | _ACK) + last[8:]
    channel.send(b"".join([*most, flagged]))
    code = struct.unpack_from("=i", channel.recv(4096), 16)[0]
    if code:
        raise OSError(-code, os.strerror(-code))


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, _CREATE, 0, 0) + body


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def _number(kind: int, value: int) -> bytes:
    return struct.pack("=HHI", 8, kind, value)


def _link(index: int, up: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, up, up)


def _route(length: int, scope: int, flags: int) -> bytes:
    return struct.pack("=BBBBBBBBI", 2, length, 0, 0, 254, 4, scope, 1, flags)


def _neighbour(index: int, address: bytes, mac: bytes) -> bytes:
    body = struct.pack("=BxxxiHBB", 2, index, 0x80, 0, 0)
    return body + _attribute(1, address) + _attribute(2, mac)
