"""Puts elements into nftables sets and takes them out, in microseconds.

Forking `nft` takes 5 ms a network namespace, too long where a rule must take effect at several
routers at once. So the few messages that this needs are written here: a batch of one change, which
the kernel does whole or not at all, on a socket that stays in its namespace. Source:
<linux/netfilter/nf_tables.h>.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence

from testbed.errors import TestbedError
from testbed.kernel.namespaces import entered
from testbed.kernel.netlink import attribute

FAMILIES = {"ip": 2, "bridge": 7}

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10
_NEW, _DELETE = (_SUBSYSTEM << 8) | 12, (_SUBSYSTEM << 8) | 14
_BEGIN, _END = 0x10, 0x11
_REQUEST, _ACK, _CREATE = 0x1, 0x4, 0x400
_NESTED = 0x8000
_ERROR = 2
_HEADER = struct.Struct("=IHHII")


class SetSwitch:
    """Changes sets in one network namespace; `where` names it in errors."""

    def __init__(self, netns: int, where: str) -> None:
        self.where = where
        self._sequence = 0
        with entered(netns):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)

    def close(self) -> None:
        self._socket.close()

    def ask(self, family: str, table: str, name: str, keys: Sequence[bytes], present: bool) -> None:
        """Has `keys` put into a set or taken out of it; `answer` tells whether it was done."""
        kind = _NEW if present else _DELETE
        flags = _REQUEST | _ACK | (_CREATE if present else 0)
        elements = b"".join(
            attribute(_NESTED | 1, attribute(_NESTED | 1, attribute(1, key))) for key in keys
        )
        body = attribute(1, table.encode() + b"\0") + attribute(2, name.encode() + b"\0")
        body += attribute(_NESTED | 3, elements)
        self._sequence += 1
        self._socket.send(
            self._message(_BEGIN, _REQUEST, struct.pack("!BBH", 0, 0, _SUBSYSTEM))
            + self._message(kind, flags, struct.pack("!BBH", FAMILIES[family], 0, 0) + body)
            + self._message(_END, _REQUEST, struct.pack("!BBH", 0, 0, _SUBSYSTEM))
        )

    def answer(self) -> None:
        """Waits for the kernel's answer. Raises `TestbedError` when it refused."""
        data = self._socket.recv(1 << 16)
        _, kind, _, _, _ = _HEADER.unpack_from(data)
        code = -struct.unpack_from("=i", data, _HEADER.size)[0] if kind == _ERROR else 0
        if code:
            raise TestbedError(
                f"{self.where}: cannot change a set of nftables: {os.strerror(code)}; "
                "did something flush the rules there?"
            )

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        length = _HEADER.size + len(body)
        return _HEADER.pack(length, kind, flags, self._sequence, 0) + body
