"""Packets handed to a process by the kernel: the rules that queue them, the packets, the verdicts.

Source: linux/netfilter/nf_tables.h, nfnetlink_queue.h, xt_NFQUEUE.h. Rules are made by hand, since
some kernels have no `queue` of nftables but the target of iptables, which `nft` only lists: a rule
of nftables takes it all the same, without iptables, in a fraction of a millisecond a namespace.
The queue takes the IP packets alone; a rule passes over copies that the queue's owner put there.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from testbed.errors import TestbedError

NETFILTER = 12  # NETLINK_NETFILTER
TABLE = "testbed_queue"

PREROUTING, POSTROUTING = 0, 4  # enum nf_inet_hooks
PRIORITY = 300  # after what anybody else does there
MARK = 0x7E57ED
"""Of packets that the owner of a queue sends from the namespace itself."""
SOURCE = bytes.fromhex("0a7e57ed0000")
"""Hardware address that copies come from which it sends into the namespace."""

_TABLES, _QUEUE = 10, 3
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEWTABLE, _NEWCHAIN, _NEWRULE, _GETRULE = 0, 3, 6, 7
_REQUEST, _ACK, _EXCLUSIVE, _DUMP, _CREATE, _APPEND = 0x1, 0x4, 0x200, 0x300, 0x400, 0x800
_PACKET, _VERDICT, _CONFIG = 0, 1, 2
_BIND, _COPY_PACKET = 1, 2
_DROP, _ACCEPT = 0, 1
_ERROR, _DONE = 2, 3

_BUFFER_BYTES = 64 << 20
"""Of the socket of a queue, as far as the kernel grants it: by default some 250 packets fit, those
of 85 ms at 3,000 a second, and the kernel drops what comes while its reader is held up so long."""
_SO_RCVBUFFORCE = 33  # Linux's asm-generic/socket.h; for root of the machine alone

_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct(">BBH")  # family, version, number
_STAMP = struct.Struct(">QQ")  # nfqnl_msg_packet_timestamp
_CHAINS = {PREROUTING: "come", POSTROUTING: "go"}


_only_iptables: list[bool] = []
"""Whether this kernel was found to have no queue of nftables: known once, for all namespaces."""


class QueueingError(TestbedError):
    """The kernel refused a rule or a queue; `errno` says how."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(what, code)
        self.what, self.errno = what, code

    def __str__(self) -> str:
        return f"cannot {self.what}: {errno.errorcode.get(self.errno, self.errno)}"


class Queued(NamedTuple):
    """A rule that queues what leaves, or comes in, by one device."""

    hook: int
    device: str


class Packet(NamedTuple):
    """A packet that waits in the kernel for a verdict."""

    id: bytes
    """As the kernel wrote it, big-endian."""
    hook: int
    device: int
    """Index of the interface it came in by, or leaves by, as the hook is."""
    data: bytes
    """From its IP header on, as much as was asked for."""
    came_ns: int
    """When the kernel took it in, by its wall clock; 0 for what a host sends itself, and where
    nobody on the machine asks for times of receipt (SO_TIMESTAMP)."""


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def _nested(kind: int, *parts: bytes) -> bytes:
    return _attribute(kind | 0x8000, b"".join(parts))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _wide(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">I", value))


def _message(kind: int, flags: int, sequence: int, family: int, number: int, body: bytes) -> bytes:
    body = _GENERIC.pack(family, 0, number) + body
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, sequence, 0) + body


def _expression(name: str, *parts: bytes) -> bytes:
    return _nested(1, _text(1, name), _nested(2, *parts))


def _compare(different: bool, value: bytes) -> bytes:
    return _expression(
        "cmp", _wide(1, 1), _wide(2, int(different)), _nested(3, _attribute(1, value))
    )


def _expressions(rule: Queued, number: int, native: bool) -> bytes:
    """Unless it is a copy of ours, what uses the device goes to the queue."""
    outward = rule.hook == POSTROUTING
    if outward:
        copies = _expression("meta", _wide(1, 1), _wide(2, 3))  # the mark
        copies += _compare(True, struct.pack("=I", MARK))
    else:
        copies = _expression("payload", _wide(1, 1), _wide(2, 0), _wide(3, 6), _wide(4, 6))
        copies += _compare(True, SOURCE)
    device = _expression("meta", _wide(1, 1), _wide(2, 7 if outward else 6))
    device += _compare(False, rule.device.encode().ljust(16, b"\0"))
    if native:
        queue = _expression(
            "queue", _attribute(1, struct.pack(">H", number)), _attribute(2, struct.pack(">H", 1))
        )
    else:
        info = struct.pack("=HHHxx", number, 1, 0)  # struct xt_NFQ_info_v3: no bypass
        queue = _expression("target", _text(1, "NFQUEUE"), _wide(2, 3), _attribute(3, info))
    return device + copies + queue


class Rules:
    """The rules of one namespace; the socket belongs to the one that the thread is in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)

    def close(self) -> None:
        self._socket.close()

    def queue(self, rules: Sequence[Queued], number: int = 0) -> None:
        """Makes the rules of a namespace that has none, with nftables' own queue or iptables'.

        Raises QueueingError, when there are some already (EEXIST) too.
        """
        if not _only_iptables:
            try:
                self._make(rules, number, native=True)
                return
            except QueueingError as error:
                if error.errno != errno.ENOENT:
                    raise
            _only_iptables.append(True)
        self._make(rules, number, native=False)

    def _make(self, rules: Sequence[Queued], number: int, native: bool) -> None:
        table = _text(1, TABLE)
        steps = [(_NEWTABLE, _CREATE | _EXCLUSIVE, table)]
        for hook in sorted({rule.hook for rule in rules}):
            name = _CHAINS[hook]
            place = _nested(4, _wide(1, hook), _wide(2, PRIORITY))
            chain = _text(1, TABLE) + _text(3, name) + place + _wide(5, 1) + _text(7, "filter")
            steps.append((_NEWCHAIN, _CREATE, chain))
        for rule in rules:
            body = _text(1, TABLE) + _text(2, _CHAINS[rule.hook])
            body += _nested(4, _expressions(rule, number, native))
            steps.append((_NEWRULE, _CREATE | _APPEND, body))
        parts = [_message(_BATCH_BEGIN, 0, 0, 0, _TABLES, b"")]
        for sequence, (kind, flags, body) in enumerate(steps, 1):
            last = _ACK if sequence == len(steps) else 0
            parts.append(
                _message(_TABLES << 8 | kind, flags | last, sequence, socket.AF_INET, 0, body)
            )
        parts.append(_message(_BATCH_END, 0, len(steps) + 1, 0, _TABLES, b""))
        self._socket.send(b"".join(parts))
        while True:
            for kind, sequence, body in self._receive():
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    if code:
                        self._discard()
                        raise QueueingError("make the rules of a queue", code)
                    if sequence == len(steps):
                        return

    def _discard(self) -> None:
        """Throws away what else the kernel has to say of a batch that it refused."""
        self._socket.setblocking(False)
        try:
            while self._socket.recv(65536):
                pass
        except BlockingIOError:
            pass
        self._socket.setblocking(True)

    def listed(self) -> set[Queued]:
        """The rules that are there and end in a queue."""
        body = _text(1, TABLE)
        self._socket.send(_message(_TABLES << 8 | _GETRULE, _DUMP, 1, socket.AF_INET, 0, body))
        found: set[Queued] = set()
        hooks = {name: hook for hook, name in _CHAINS.items()}
        while True:
            for kind, _, answer in self._receive():
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    raise QueueingError(
                        "list the rules of a queue", -struct.unpack_from("=i", answer)[0]
                    )
                attributes = dict(_attributes(answer[_GENERIC.size :]))
                chain = attributes[2].rstrip(b"\0").decode()
                names, devices = [], []
                for _, expression in _attributes(attributes[4]):
                    parts = dict(_attributes(expression))
                    names.append(parts[1].rstrip(b"\0").decode())
                    if names[-1] == "cmp":
                        value = dict(_attributes(dict(_attributes(parts[2]))[3]))[1]
                        devices.append(value.rstrip(b"\0"))
                if names[-1:] in (["queue"], ["target"]) and chain in hooks:
                    found.add(Queued(hooks[chain], devices[0].decode()))

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        data = self._socket.recv(1 << 17)
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
            yield kind, sequence, data[offset + _HEADER.size : offset + length]
            offset += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def open_queue(number: int, most: int, copied: int) -> socket.socket:
    """Binds a queue of the namespace that the thread is in: its packets come to the socket.

    It holds `most` packets, and drops and counts those beyond and those that find the socket's
    buffer full; `copied` bytes of each are shown. Raises QueueingError.
    """
    queue = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
    try:
        queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        with suppress(PermissionError):  # then it is /proc/sys/net/core/rmem_max
            queue.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        configure(queue, number, struct.pack(">BxH", _BIND, socket.AF_INET), 1)
        configure(queue, number, struct.pack(">IB", copied, _COPY_PACKET), 2)
        configure(queue, number, struct.pack(">I", most), 3)
    except BaseException:
        queue.close()
        raise
    return queue


def configure(queue: socket.socket, number: int, value: bytes, kind: int) -> None:
    body = _attribute(kind, value)
    queue.send(_message(_QUEUE << 8 | _CONFIG, _ACK, 1, socket.AF_UNSPEC, number, body))
    while True:
        data = queue.recv(65536)
        if _HEADER.unpack_from(data)[1] == _ERROR:
            code = -struct.unpack_from("=i", data, _HEADER.size)[0]
            if code:
                raise QueueingError(f"bind queue {number}", code)
            return


def parse(message: bytes) -> Packet | None:
    """A packet from what a queue's socket yields; None for what is none."""
    if message[4:6] != b"\0\3":  # kind: message 0 of subsystem 3
        return None
    attributes: dict[int, tuple[int, int]] = {}
    offset, end = 20, len(message)
    while offset + 4 <= end:
        length, kind = struct.unpack_from("=HH", message, offset)
        attributes[kind & 0x3FFF] = offset + 4, offset + length
        offset += (length + 3) & ~3
    start = attributes[1][0]
    hook = message[start + 6]
    device = attributes.get(6 if hook == POSTROUTING else 5)
    data = attributes.get(10, (0, 0))
    seconds, micros = _STAMP.unpack_from(message, attributes[4][0]) if 4 in attributes else (0, 0)
    return Packet(
        message[start : start + 4],
        hook,
        int.from_bytes(message[device[0] : device[1]], "big") if device else 0,
        message[data[0] : data[1]],
        int(seconds * 1_000_000_000 + micros * 1_000),
    )


def verdict(
    number: int, id: bytes, accept: bool, payload: bytes | None = None, ticket: int = 0
) -> bytes:
    """The message that lets a packet go, as it is or with other bytes, or drops it.

    `ticket` is for the caller to know it by, should the kernel not have the packet any more.
    """
    what = struct.pack(">I", _ACCEPT if accept else _DROP) + id
    body = _attribute(2, what)
    if payload is not None:
        body += _attribute(10, payload)
    return _message(_QUEUE << 8 | _VERDICT, 0, ticket, socket.AF_UNSPEC, number, body)


def missed(message: bytes) -> int:
    """The ticket of a verdict that came too late; 0 for a message that says no such thing.

    The kernel throws away the packets of a device that goes down, those in a queue too, uncounted.
    """
    _, kind, _, ticket, _ = _HEADER.unpack_from(message)
    late = kind == _ERROR and struct.unpack_from("=i", message, _HEADER.size)[0] == -errno.ENOENT
    return int(ticket) if late else 0


def overflows() -> int:
    """Packets that queues of the thread's namespace have dropped, being full or not read."""
    try:
        with open("/proc/thread-self/net/netfilter/nfnetlink_queue", encoding="ascii") as lines:
            return sum(int(line.split()[5]) + int(line.split()[6]) for line in lines)
    except FileNotFoundError:
        return 0


def owners() -> dict[int, int]:
    """The netlink port of the socket that has bound each queue of the thread's namespace."""
    path = "/proc/thread-self/net/netfilter/nfnetlink_queue"
    if not os.path.exists(path):
        return {}
    with open(path, encoding="ascii") as lines:
        return {int(line.split()[0]): int(line.split()[1]) for line in lines}
