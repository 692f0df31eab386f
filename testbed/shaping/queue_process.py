"""Holds packets that the kernel has queued until their time: one process a lab, for all its links.

    python -I -S -B testbed/shaping/queue_process.py 0<>SOCKET

A process of its own, so that nothing the harness does makes packets late, with the standard library
only. What happens to a packet is `testbed.medium`'s business. Sockets come from the harness, made
in the namespaces that they belong to, with JSON messages on the standard input (SOCK_SEQPACKET):

    {"do": "shape", "node": "h1", "seed": 7, "links": [...]}   the queue, and sockets for copies
    {"do": "change", "node": "h1", "way": "h1-eth0", "impairment": {...}}
    {"do": "count", "node": "h1"}    {"do": "held"}    {"do": "late"}

Each is answered by one message. Lateness is that of the packets since it was last asked for. The
end of the socket ends the process; the kernel then drops what it still holds, and all that would be
queued: a lab without its weather passes nothing.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import platform
import select
import signal
import socket
import struct
import sys
import time
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

if __name__ == "__main__":  # started by its path, with -I: nothing else puts the project there
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from agents.seeds import derive
from testbed.kernel import queueing
from testbed.medium import FULL, Medium
from topologies.impairments import Impairment

AT_ONCE = 64
"""Packets read from one queue before those that are due go on, and verdicts in one message: whole
packets of 1,400 bytes fit into the socket's buffer."""

MESSAGE_BYTES = 1 << 17
BUCKET_NS = 100_000
BUCKETS = 2048
"""Of lateness: steps of 0.1 ms, up to a tenth of a round of 2 s; the last holds all beyond."""

NOTED = ("lost", "full", "copies", "stranded")
"""What may become of packets, counted for UDP as well."""

_UDP = 17
_CLOCK_MONOTONIC, _NONBLOCK, _CLOEXEC, _ABSOLUTE = 1, 0o4000, 0o2000000, 1

SLICE_NS = 100_000
"""The shortest that kernels from 6.12 on give: a task that asks for little at a time is let in as
soon as it wakes. Otherwise it may wait for the 3 ms of whoever has the processor."""

_SYS_SCHED_SETATTR = 314 if platform.machine() == "x86_64" else 274

_DOWN = (errno.ENETDOWN, errno.ENETUNREACH)
"""What a socket says whose device is down."""

libc = ctypes.CDLL(None, use_errno=True)


class Link:
    """One direction of one link: its model, its copies' way out, and what it did."""

    def __init__(self, node: Node, about: dict[str, Any], seed: int, copies: list[int]) -> None:
        self.node = node
        self.random = derive(seed, "link", about["name"])
        self.medium = Medium(Impairment(**about["impairment"]), self.random)
        self.device: int = about["device"]
        self.frame: bytes | None = None
        if about["mac"] is not None:
            self.frame = bytes.fromhex(about["mac"]) + queueing.SOURCE + b"\x08\x00"
        self.copies = socket.socket(fileno=copies.pop(0)) if copies else None
        self.held = 0
        self.ticket = 2 * len(node.tickets)
        """Of its verdicts, plus 1 when a datagram of UDP is judged."""
        node.tickets.append(self)
        self.counts = dict.fromkeys(
            ("passed", *(what + kind for what in NOTED for kind in ("", "_udp")), "corrupt"), 0
        )

    def note(self, what: str, udp: bool) -> None:
        self.counts[what] += 1
        if udp:
            self.counts[f"{what}_udp"] += 1

    def send(self, payload: bytes) -> None:
        """Sends a packet on that is not the kernel's. Raises OSError, where a device is down."""
        assert self.copies is not None
        if self.frame is None:
            self.copies.sendto(payload, (socket.inet_ntoa(payload[16:20]), 0))
            return
        frame = self.frame
        if payload[16] >> 4 == 0xE:  # a multicast address: its own hardware address (RFC 1112)
            frame = b"\1\0\x5e" + bytes([payload[17] & 0x7F]) + payload[18:20] + frame[6:]
        elif payload[16:20] == b"\xff\xff\xff\xff":
            frame = payload[16:20] + b"\xff\xff" + frame[6:]
        self.copies.send(frame + payload)


class Node:
    """A namespace: its queue, and its links by hook and device."""

    def __init__(self, queue: socket.socket) -> None:
        self.queue = queue
        self.links: dict[tuple[int, int], Link] = {}
        self.ways: dict[str, Link] = {}
        self.tickets: list[Link | None] = [None]
        """By the half of a ticket; none has 0 and 1."""
        self.verdicts: list[bytes] = []

    def tell(self) -> None:
        """Sends the verdicts that have come together, in one system call."""
        for first in range(0, len(self.verdicts), AT_ONCE):
            self.queue.send(b"".join(self.verdicts[first : first + AT_ONCE]))
        self.verdicts.clear()


class Queues:
    """All queues of the lab, and the packets that wait for their time."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.poller = select.epoll()
        self.by_descriptor: dict[int, Node] = {}
        self.waiting: list[tuple[int, int, Link, bool, bytes, bytes | None]] = []
        """release_ns, serial, link, whether it is UDP, id (empty for a copy), bytes where they are
        not the kernel's"""
        self.serials = count()
        self.forget_lateness()

    def forget_lateness(self) -> None:
        self.late = [0] * BUCKETS
        self.latest_ns = 0

    def take(self, node: Node) -> None:
        """Decides on the packets that have come to one queue."""
        for _ in range(AT_ONCE):
            try:
                message = node.queue.recv(MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError:
                break  # ENOBUFS: the kernel has counted what it could not hand over
            packet = queueing.parse(message)
            if packet is None:
                self.strand(node, queueing.missed(message))
                continue
            link = node.links.get((packet.hook, packet.device))
            if link is None:
                node.verdicts.append(queueing.verdict(0, packet.id, True))
            else:
                self.meet(link, packet)

    def meet(self, link: Link, packet: queueing.Packet) -> None:
        now_ns = came_ns = time.monotonic_ns()
        if packet.came_ns:  # its time began when it came, however late it is read
            came_ns -= max(0, time.time_ns() - packet.came_ns)
        data = packet.data
        udp = data[9] == _UDP
        met = link.medium.meet(came_ns, data[2] << 8 | data[3], link.held)
        if not met or met[0].release_ns == FULL:
            link.note("full" if met else "lost", udp)
            link.node.verdicts.append(queueing.verdict(0, packet.id, False))
            return
        first, *others = met
        payload = damaged(data, link.random) if first.corrupt else None
        link.counts["corrupt"] += first.corrupt
        if link.frame is not None and (payload is not None or first.release_ns > came_ns):
            # Into a host it comes anew, so that the kernel's time of receipt is that of its end;
            # also when it is read after that, or the delay would count as the receiver's lag.
            link.node.verdicts.append(queueing.verdict(0, packet.id, False))
            self.hold(link, first.release_ns, now_ns, udp, b"", payload or data)
        else:
            self.hold(link, first.release_ns, now_ns, udp, packet.id, payload)
        for copy in others:
            if copy.release_ns != FULL:
                link.note("copies", udp)
                link.counts["corrupt"] += copy.corrupt
                payload = damaged(data, link.random) if copy.corrupt else data
                self.hold(link, copy.release_ns, now_ns, udp, b"", payload)

    def hold(
        self, link: Link, release_ns: int, now_ns: int, udp: bool, id: bytes, payload: bytes | None
    ) -> None:
        if release_ns <= now_ns:
            if release_ns < now_ns:
                self.note_late(now_ns - release_ns)
            self.release(link, udp, id, payload)
        else:
            link.held += 1
            heappush(self.waiting, (release_ns, next(self.serials), link, udp, id, payload))

    def note_late(self, late_ns: int) -> None:
        self.late[min(late_ns // BUCKET_NS, BUCKETS - 1)] += 1
        self.latest_ns = max(self.latest_ns, late_ns)

    def release_due(self) -> set[Node]:
        """Lets go what is due; returns the nodes that have verdicts to tell."""
        waiting = self.waiting
        told = set()
        now_ns = time.monotonic_ns()
        while waiting and waiting[0][0] <= now_ns:
            release_ns, _, link, udp, id, payload = heappop(waiting)
            self.note_late(now_ns - release_ns)
            link.held -= 1
            self.release(link, udp, id, payload)
            told.add(link.node)
        return told

    def release(self, link: Link, udp: bool, id: bytes, payload: bytes | None) -> None:
        link.counts["passed"] += 1
        if id:
            verdict = queueing.verdict(0, id, True, payload, link.ticket + udp)
            link.node.verdicts.append(verdict)
            return
        assert payload is not None
        try:
            link.send(payload)
        except OSError as error:
            if error.errno not in _DOWN:
                raise
            self.strand(link.node, link.ticket + udp)

    def strand(self, node: Node, ticket: int) -> None:
        """Counts a packet that did not pass after all: its link was down when its time came."""
        link = node.tickets[ticket // 2]
        if link is not None:
            link.counts["passed"] -= 1
            link.note("stranded", bool(ticket % 2))

    # Orders

    def obey(self, order: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        if order["do"] == "shape":
            node = self.nodes[order["node"]] = Node(socket.socket(fileno=descriptors.pop(0)))
            node.queue.setblocking(False)
            self.by_descriptor[node.queue.fileno()] = node
            self.poller.register(node.queue, select.EPOLLIN)
            for about in order["links"]:
                link = Link(node, about, order["seed"], descriptors)
                node.links[about["hook"], about["device"]] = link
                node.ways[about["way"]] = link
        elif order["do"] == "change":
            link = self.nodes[order["node"]].ways[order["way"]]
            link.medium.change(Impairment(**order["impairment"]))
        elif order["do"] == "count":
            ways = self.nodes[order["node"]].ways
            return {
                way: {**link.counts, "held": link.held, "impairment": as_dict(link)}
                for way, link in ways.items()
            }
        elif order["do"] == "late":
            told = {"late": self.late, "latest_ns": self.latest_ns}
            self.forget_lateness()
            return told
        else:
            return {"held": len(self.waiting)}
        return {"is": "done"}


def as_dict(link: Link) -> dict[str, Any]:
    impairment = link.medium.impairment
    return {name: getattr(impairment, name) for name in impairment.__slots__}


def damaged(data: bytes, random: Random) -> bytes:
    """The packet with one bit flipped in what UDP carries, or else behind the IP header.

    The receiver's checksum finds it out; header and ports stay whole, so that every router counts
    it among the testbed's own.
    """
    start = (data[0] & 0xF) * 4
    if data[9] == _UDP and len(data) > start + 8:
        start += 8
    elif len(data) <= start:
        return data
    place = random.randrange(start, len(data))
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


class Timer:
    """A timerfd: what select(2) and epoll wait for is a millisecond coarse in Python."""

    def __init__(self) -> None:
        self.descriptor = libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK | _CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._value = (ctypes.c_long * 4)()
        self._at_ns = 0

    def set(self, at_ns: int) -> None:
        """Makes the descriptor readable from a monotonic time on; 0 for never."""
        if at_ns != self._at_ns:
            self._at_ns = at_ns
            self._value[2], self._value[3] = divmod(at_ns, 1_000_000_000)
            libc.timerfd_settime(self.descriptor, _ABSOLUTE, self._value, None)

    def clear(self) -> None:
        self._at_ns = 0
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:
            pass


def ask_for_short_slices() -> None:
    """Without privileges, and without harm on kernels that make nothing of it: sched_setattr(2)."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = struct.pack("=IIQiIQQQ", 48, 0, 0, nice, 0, SLICE_NS, 0, 0)
    libc.syscall(_SYS_SCHED_SETATTR, 0, attributes, 0)


def serve(channel: socket.socket) -> None:
    queues, timer = Queues(), Timer()
    queues.poller.register(channel, select.EPOLLIN)
    queues.poller.register(timer.descriptor, select.EPOLLIN)
    while True:
        told = set()
        for descriptor, _ in queues.poller.poll():
            node = queues.by_descriptor.get(descriptor)
            if node is not None:
                queues.take(node)
                told.add(node)
            elif descriptor == timer.descriptor:
                timer.clear()
            else:
                data, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 250)
                if not data:
                    return
                channel.send(json.dumps(queues.obey(json.loads(data), descriptors)).encode())
        for node in told | queues.release_due():
            if node.verdicts:
                node.tell()
        timer.set(queues.waiting[0][0] if queues.waiting else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's business
    ask_for_short_slices()
    gc.freeze()
    gc.disable()  # nothing here makes cycles, and a collection is a pause
    serve(socket.socket(fileno=0))
