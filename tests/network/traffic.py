"""Small graphs, and plain UDP sockets on their hosts, for tests that count packets."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Sequence
from typing import Any

from scipy.stats import binom

from agents.hosts import PORT
from testbed.kernel.namespaces import entered
from topologies.elements import PERFECT, Host, Impairment, Router
from topologies.graph import Graph
from topologies.layout import lay_out

FAMILYWISE_ERROR = 1e-4
BUFFER_BYTES = 4 << 20  # as far as the kernel grants it
BURST = 64  # datagrams in flight at most: far below what a socket's queue takes


def two_subnets(
    hosts: int,
    receive: Impairment = PERFECT,
    across: Impairment = PERFECT,
    send: Impairment = PERFECT,
    **special: Impairment,
) -> Graph:
    """Half of the hosts below each of two routers below the core; `special` by host's name."""
    routers = [Router("r0", 0, None), Router("r1", 1, "r0"), Router("r2", 1, "r0")]
    sizes = [("r1", hosts // 2), ("r2", hosts - hosts // 2)]
    parts = lay_out(routers, sizes, receive, across, send)
    changed = tuple(
        dataclasses.replace(host, receive=special.get(host.name, host.receive))
        for host in parts.hosts
    )
    return Graph("two", parts.routers, parts.subnets, changed, parts.links)


class Sockets:
    """A UDP socket on each host of a network, bound to the agents' port."""

    def __init__(self, net: Any, graph: Graph, per_s: float | None = None) -> None:
        """`per_s` limits the datagrams sent in a second, for what cannot take all that come."""
        self._gap_s = 1 / per_s if per_s else 0.0
        self.received = [0] * graph.nodes
        self.sent = [0] * graph.nodes
        self.sockets: list[socket.socket] = []
        self._hosts = graph.hosts
        for host in graph.hosts:
            with entered(net.get(host.name).netns):
                udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.setblocking(False)
            # What a late queue process holds is charged to its sender, and comes all at once.
            for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                udp.setsockopt(socket.SOL_SOCKET, buffer, BUFFER_BYTES)
            udp.bind(("0.0.0.0", PORT))
            self.sockets.append(udp)

    def send(self, pairs: Sequence[tuple[int, int]], types: int = 1, count: int = 1) -> None:
        """Sends `count` datagrams along each (from, to), types 0.. in turn, and reads them."""
        payloads = [bytes([kind, *b"payload"]) for kind in range(types)]
        sent = 0
        start = time.monotonic()
        for turn in range(count):
            for source, target in pairs:
                while time.monotonic() < start + sent * self._gap_s:
                    self.read()
                self.send_one(self._hosts[source], self._hosts[target], payloads[turn % types])
                sent += 1
                if sent % BURST == 0:
                    self.read()
        self.drain()

    def send_one(self, source: Host, target: Host, payload: bytes, port: int = PORT) -> None:
        self.sockets[source.node].sendto(payload, (str(target.address), port))
        self.sent[source.node] += 1

    def read(self) -> int:
        """Reads whatever is there; returns how much."""
        before = sum(self.received)
        for node, udp in enumerate(self.sockets):
            try:
                while True:
                    udp.recv(2048)
                    self.received[node] += 1
            except BlockingIOError:
                pass
        return sum(self.received) - before

    def drain(self, quiet_s: float = 0.1, deadline_s: float = 5.0) -> None:
        """Reads until nothing has come for a while: packets of a veth wait for a softirq only."""
        end = time.monotonic() + deadline_s
        quiet = time.monotonic() + quiet_s
        while time.monotonic() < min(quiet, end):
            if self.read():
                quiet = time.monotonic() + quiet_s

    def close(self) -> None:
        for udp in self.sockets:
            udp.close()


def plausible(dropped: int, offered: int, ratio: float, tests: int = 1) -> bool:
    """Whether chance explains the losses, wrongly denied in 1e-4 of families of `tests`."""
    tail = FAMILYWISE_ERROR / tests / 2
    low, high = binom.ppf([tail, 1 - tail], offered, ratio)
    return bool(low <= dropped <= high)
