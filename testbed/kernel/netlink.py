"""Routing netlink by hand: requests packed with struct, sent many at a time, answered once.

Source: linux/netlink.h and rtnetlink(7). A request is a few attributes after a fixed header, and
a thousand hosts need some ten thousand of them: pyroute2's objects took 3.3 s where these
functions take 1 s. The kernel handles what is sent in order, one after the other, and reports
each error; an acknowledgement is asked for on the last request of a batch alone.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from testbed.errors import TestbedError

_REQUEST, _ACK, _ECHO, _DUMP = 0x1, 0x4, 0x8, 0x300
CREATE, EXCL, REPLACE = 0x400, 0x200, 0x100

_ERROR, _DONE = 2, 3
_DUMP_INTERRUPTED = 0x10
_ACK_TLVS, _CAPPED = 0x200, 0x100
_EXTENDED_MESSAGE = 1

_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11

# One send must fit into the socket's send buffer (212,992 bytes by default, counted with overhead).
_SEND_BYTES = 32_768
_RECEIVE_BYTES = 65_536

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")

_REMEDIES = {
    errno.EPERM: "run as root or inside a lab",
    errno.EACCES: "run as root or inside a lab",
    errno.EEXIST: "the name or address is taken in this namespace; use another one",
    errno.ENODEV: "the interface is gone; was its peer or its namespace deleted?",
    errno.EOPNOTSUPP: "the kernel lacks this kind of interface; load its module",
    errno.ENETUNREACH: "no route leads to the gateway; is the interface up and addressed?",
    errno.ENETDOWN: "bring the interface up first",
    errno.EXFULL: "a Linux bridge takes 1,023 ports; use more subnets",
    errno.ENOBUFS: "the kernel is out of buffers; use fewer hosts or give the machine more memory",
    errno.ENOMEM: "the kernel is out of memory; use fewer hosts or give the machine more memory",
    errno.EINVAL: "check the value against the kernel's rules",
}


class NetlinkError(TestbedError):
    """The kernel refused a request; `errno` says how."""

    def __init__(self, what: str, where: str, code: int, detail: str = "") -> None:
        super().__init__(what, where, code, detail)  # as given, so that it can be pickled
        self.errno = code
        self._line = _line(what, where, code, detail)

    def __str__(self) -> str:
        return self._line


def _line(what: str, where: str, code: int, detail: str) -> str:
    reason = f"{errno.errorcode.get(code, code)} {os.strerror(code)}"
    if detail:
        reason += f" ({detail})"
    remedy = _REMEDIES.get(code, "check dmesg")
    return f"{where}: cannot {what}: {reason}; {remedy}"


class Request(NamedTuple):
    """One message to the kernel; `what` completes "cannot ..." in its error."""

    kind: int
    flags: int
    body: bytes
    what: str


def attribute(kind: int, payload: bytes) -> bytes:
    """A netlink attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def number(kind: int, value: int) -> bytes:
    """A netlink attribute that holds 32 bits."""
    return struct.pack("=HHI", 8, kind, value)


def text(kind: int, value: str) -> bytes:
    """A netlink attribute that holds a string, zero-terminated."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes) -> dict[int, bytes]:
    """Takes a run of attributes apart; flags in the kind (nested, byte order) are dropped."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


class Channel:
    """A routing socket in the network namespace that the calling thread is in when it is made.

    It stays there when the thread moves on. `where` names the namespace in errors.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._sequence = 0
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        except OSError as error:
            raise NetlinkError("open a netlink socket", where, error.errno or 0) from error
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self, requests: Sequence[Request]) -> None:
        """Has the kernel do all of `requests` in order.

        Raises:
          NetlinkError: for the first one refused; those after it were tried as well.
        """
        start = 0
        size = 0
        for end, request in enumerate(requests):
            if size + len(request.body) > _SEND_BYTES:
                self._ask(requests[start:end])
                start, size = end, 0
            size += len(request.body) + _HEADER.size
        self._ask(requests[start:])

    def _ask(self, requests: Sequence[Request]) -> None:
        if not requests:
            return
        first = self._sequence + 1
        last = self._sequence = self._sequence + len(requests)
        parts: list[bytes] = []
        for sequence, request in enumerate(requests, first):
            flags = _REQUEST | request.flags | (_ACK if sequence == last else 0)
            size = _HEADER.size + len(request.body)
            parts.append(_HEADER.pack(size, request.kind, flags, sequence, 0))
            parts.append(request.body)
        self._socket.send(b"".join(parts))
        failure: NetlinkError | None = None
        while True:
            for kind, flags, sequence, body in self._receive():
                if kind != _ERROR or not first <= sequence <= last:
                    continue
                code, detail = _refusal(flags, body)
                if code and failure is None:
                    failure = NetlinkError(
                        requests[sequence - first].what, self.where, code, detail
                    )
                if sequence == last:
                    if failure:
                        raise failure
                    return

    def fetch(self, kind: int, body: bytes, what: str, dump: bool = True) -> list[bytes]:
        """The bodies of the answers to one question: all objects, or the one that `body` names."""
        while True:
            self._sequence += 1
            # The answer about one queueing discipline goes to its subscribers, and is echoed.
            flags = _REQUEST | (_DUMP if dump else _ACK | _ECHO)
            self._socket.send(
                _HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body
            )
            answers, whole = self._answers(what)
            if whole:
                return answers

    def _answers(self, what: str) -> tuple[list[bytes], bool]:
        answers: list[bytes] = []
        whole = True
        while True:
            for kind, flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if flags & _DUMP_INTERRUPTED:  # what was listed changed meanwhile: ask again
                    whole = False
                if kind in (_ERROR, _DONE):
                    code, detail = _refusal(flags, body) if kind == _ERROR else (0, "")
                    if code:
                        raise NetlinkError(what, self.where, code, detail)
                    return answers, whole
                answers.append(body)

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(_RECEIVE_BYTES)
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
            offset += (length + 3) & ~3


def _refusal(flags: int, body: bytes) -> tuple[int, str]:
    """Errno (0: done) and the kernel's own words, if any."""
    code = -struct.unpack_from("=i", body)[0]
    if not code or not flags & _ACK_TLVS:
        return code, ""
    # After the code comes the header of the request, and the request itself unless capped.
    echoed = 16 if flags & _CAPPED else struct.unpack_from("=I", body, 4)[0]
    words = attributes(body[4 + ((echoed + 3) & ~3) :]).get(_EXTENDED_MESSAGE, b"")
    return code, words.rstrip(b"\0").decode(errors="replace")
