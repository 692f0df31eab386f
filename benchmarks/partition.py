"""How long a partition takes to hold: at every router, and at every host.

Cuts and heals a network again and again. "routers" is the time from the decision to the last
router's answer; "forked" is the same by forking `nft` for each router, as one would by hand.
"hosts" is measured by probes: each host is sent a datagram from the other side every millisecond,
or as often as this machine can send to all ("every"), and what counts is when its kernel took in
the last one. The exit status is 1 when any host heard one more than 10 ms after the decision.

    python benchmarks/partition.py [--hosts 8,64,512,1024] [--times 200] [--cuts 50]
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agents.hosts import PORT
from agents.runner import ANCILLARY_BYTES, SO_TIMESTAMPNS, STAMP
from testbed import faults, lab
from testbed.faults.drawing import Drawing
from testbed.faults.rules import TABLE, Rules
from testbed.faults.timeline import Timeline
from testbed.kernel.namespaces import entered
from testbed.kernel.nft import Nft
from testbed.network import Network
from topologies import two_subnets
from topologies.graph import Graph

LIMIT_MS = 10.0
"""One tick, in which a partition is to take effect at every host."""
PROBE_S = 0.001
AROUND_S = 0.02
"""Probes are sent so long before a cut and after it, and at least two to each host."""


@dataclass
class Figures:
    """Of one size, in ms."""

    switched: list[float] = field(default_factory=list)
    forked: list[float] = field(default_factory=list)
    heard: list[float] = field(default_factory=list)
    """Of each cut, after the decision, when the last host heard its last probe; below 0 before."""
    late: str = ""
    """The host that heard one latest."""
    every: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hosts", default="8,64,512,1024")
    parser.add_argument("--times", type=int, default=200, help="switches at the routers")
    parser.add_argument("--cuts", type=int, default=50, help="under probes")
    arguments = parser.parse_args()
    print("       routers, ms      forked, ms   hosts, ms        probes")
    print("hosts  median   worst   median       median   worst   every ms")
    late = []
    for hosts in map(int, arguments.hosts.split(",")):
        found = _measure(hosts, arguments.times, arguments.cuts)
        print(
            f"{hosts:5}  {np.median(found.switched):6.3f}  {max(found.switched):6.3f}"
            f"  {np.median(found.forked):7.1f}"
            f"      {np.median(found.heard):7.3f}  {max(found.heard):6.3f}"
            f"  {np.median(found.every):9.2f}",
            flush=True,
        )
        if max(found.heard) > LIMIT_MS:
            late.append(f"{hosts} hosts: {found.late} after {max(found.heard):.1f} ms")
    for each in late:
        print(f"heard the other side more than {LIMIT_MS:g} ms after the decision: {each}")
    return int(bool(late))


def _measure(hosts: int, times: int, cuts: int) -> Figures:
    graph = two_subnets.build(hosts=hosts)
    parted = faults.parse("partition", [{"kind": "partition", "at_s": 0, "sets": [0.5]}])
    timeline = Drawing(parted, graph, 1.0, 10).draw(1)
    found = Figures()
    with Network(graph) as net:
        rules = Rules(net, graph)
        rules.arrange(parted, timeline)
        for turn in range(2 * -(-times // 2)):  # ends healed
            found.switched.append(_timed(partial(rules.switch, 0, turn % 2 == 0)))
        routers = [Nft(net.get(router.name).netns) for router in graph.routers]
        for turn in range(10):
            do = "delete" if turn % 2 else "add"
            text = f"{do} element bridge {TABLE} on_0 {{ ip }}\n"
            found.forked.append(_timed(partial(_change, routers, text)))
        for nft in routers:
            nft.close()
        probes = Probes(net, graph, timeline)
        for _ in range(cuts):
            probes.cut(partial(rules.switch, 0, True), found)
            rules.switch(0, False)
        probes.close()
        rules.close()
    return found


class Probes:
    """A socket on each host, that of one host of each side sending to all of the other side."""

    def __init__(self, net: Network, graph: Graph, timeline: Timeline) -> None:
        self._names = [host.name for host in graph.hosts]
        self._sockets = [_opened(net, host.name) for host in graph.hosts]
        side = timeline.sides[0][0]
        other = frozenset(range(graph.nodes)) - side
        self._ways = [
            (self._sockets[min(senders)], (str(graph.hosts[node].address), PORT))
            for senders, hearers in ((side, other), (other, side))
            for node in sorted(hearers)
        ]

    def cut(self, switch: Callable[[], None], found: Figures) -> None:
        """Cuts while probes are under way, and adds when the hosts heard the last of them."""
        for udp in self._sockets:
            _stamps(udp)
        with self._sending() as turns:
            turns()
            decided_ns = time.time_ns()
            switch()
            turns()
        latest = -np.inf
        for name, udp in zip(self._names, self._sockets, strict=True):
            after_ms = (np.array(_stamps(udp)) - decided_ns) / 1e6
            if not (after_ms < 0).any():
                raise SystemExit(f"{name}: no probe came before the cut")
            found.every.append(float(np.diff(after_ms[after_ms < 0]).mean()))
            if after_ms.max() > max([latest, *found.heard]):
                found.late = name
            latest = max(latest, float(after_ms.max()))
        found.heard.append(latest)

    def close(self) -> None:
        for udp in self._sockets:
            udp.close()

    @contextmanager
    def _sending(self) -> Iterator[Callable[[], None]]:
        """Has a process send probes; gives a function that waits for some turns of them."""
        there, here = os.pipe()
        sender = os.fork()
        if not sender:
            os.close(there)
            self._send(here)
        os.close(here)
        try:
            yield partial(_await_turns, there)
        finally:
            os.kill(sender, signal.SIGKILL)
            os.waitpid(sender, 0)
            os.close(there)

    def _send(self, done: int) -> NoReturn:
        """Sends until it is killed, and writes a byte after each turn."""
        while True:
            due = time.monotonic() + PROBE_S
            for udp, address in self._ways:
                udp.sendto(b"probe", address)
            os.write(done, b".")
            time.sleep(max(0.0, due - time.monotonic()))


def _await_turns(there: int) -> None:
    """Waits for 20 ms, and until each host has been sent two probes at least."""
    turns = 0
    end = time.monotonic() + AROUND_S
    while turns < 3 or time.monotonic() < end:  # the first had begun before
        done = os.read(there, 1 << 16)
        if not done:
            raise SystemExit("the process that sends the probes failed")
        turns += len(done)


def _opened(net: Network, name: str) -> socket.socket:
    with entered(net.get(name).netns):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    udp.bind(("", PORT))
    return udp


def _stamps(udp: socket.socket) -> list[int]:
    """When the kernel took in each datagram that waits, in ns since the epoch."""
    found: list[int] = []
    while True:
        try:
            _, ancillary, _, _ = udp.recvmsg(16, ANCILLARY_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return found
        seconds, nanoseconds = STAMP.unpack(ancillary[0][2])
        found.append(seconds * 1_000_000_000 + nanoseconds)


def _change(routers: Sequence[Nft], text: str) -> None:
    for nft in routers:
        nft.change(text)


def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    sys.exit(lab.run(main))
