"""Every impairment, by a process that the kernel asks packet by packet: netfilter's queue.

For kernels without sch_netem; rootless, since queues and rules belong to the lab's namespaces. The
draws are those of `testbed.medium` in the simulator, from the same seed by the same names: the n-th
packet of a link meets the same in either. A host's link is impaired in the host's own namespace:
what it receives before its IP layer routes it, what it sends after. So copies of a multicast
are impaired host by host, a bridge's flooding and the router's hairpin make no difference, and a
packet meets a link once. What has waited on its way into a host is sent to it anew, from the other
end of its link: the kernel stamps a packet before the queue has it, and agents take that stamp for
the time of receipt. Left out: ARP, which a plain LAN (`lan="switched"`) speaks.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from testbed.errors import ShapingError
from testbed.kernel import queueing, rtnetlink
from testbed.kernel.namespaces import entered
from testbed.kernel.netlink import Channel, NetlinkError
from testbed.shaping.interface import Backend, Nodes, Port, Shaped
from topologies.elements import Impairment

MOST_HELD = 1_000_000
"""Packets in one namespace's queue; the kernel's memory is the limit: some 2 kB each."""

HEADER_BYTES = 28
"""Of a packet that are shown to the process when it has no need of the rest: IP and UDP headers."""

WHOLE = 65_531
"""The most that a queue shows of a packet."""

MESSAGE_BYTES = 1 << 18
AT_ONCE = 32
"""Namespaces that get their rules at one time."""
_BUCKET_MS = 0.1  # of queue_process


class Nfqueue(Backend):
    name = "nfqueue"
    can = frozenset(Impairment.__slots__)
    resolution = 0.0

    def __init__(self) -> None:
        self._process: _Process | None = None
        self._names: dict[int, str] = {}
        self._owners: dict[int, int] = {}
        self._rules: dict[int, dict[queueing.Queued, str]] = {}
        self._whole: set[str] = set()

    def fresh(self) -> Nfqueue:
        return Nfqueue()

    def probe(self, netns: int) -> str | None:
        try:
            with entered(netns):
                rules = queueing.Rules()
                rules.queue([queueing.Queued(queueing.POSTROUTING, "lo")])
                rules.close()
                queueing.open_queue(0, 1, HEADER_BYTES).close()
        except (queueing.QueueingError, OSError) as error:
            return (
                f"{error}; the kernel needs nfnetlink_queue, and nft_queue or xt_NFQUEUE with "
                "nft_compat: `modprobe nfnetlink_queue nft_queue`"
            )
        return None

    def refusal(self, impairment: Impairment) -> str | None:
        return None

    def place(self, port: Port) -> Port:
        """Links of hosts are shaped in the host's namespace."""
        if not port.bridged:
            return port
        inward = not port.inward
        return Port(
            *(port.to, f"{port.to}-eth0", port.router, False, port.impairment),
            inward=inward,
            far=port.device,
            later=port.later,
        )

    def apply_all(self, nodes: Nodes, ports: Mapping[str, Sequence[Port]], seed: int) -> None:
        # A rule takes the kernel some 30 ms in which it waits for all processors to forget the old
        # ones; the waits of several namespaces overlap.
        if ports:
            self._process = self._process or _Process()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(self.apply, nodes, *each, seed) for each in ports.items()]:
                done.result()

    def apply(self, nodes: Nodes, node: str, ports: Sequence[Port], seed: int) -> None:
        netns = nodes.get(node).netns
        whole = any(map(_needs_whole, ports))
        rules = {queueing.Queued(_hook(port), port.device): port.way for port in ports}
        descriptors: list[socket.socket] = []
        try:
            links = _links(netns, node)
            with entered(netns):
                table = queueing.Rules()
                table.queue([*rules])
                table.close()
                queue = queueing.open_queue(0, MOST_HELD, WHOLE if whole else HEADER_BYTES)
                descriptors.append(queue)
            about = []
            for port in ports:
                if port.device not in links:
                    raise ShapingError(f"{node} {port.device}: no such device; is the network up?")
                about.append(_about(port, links[port.device]))
                if whole:
                    descriptors.append(_copies(nodes, port))
            if self._process is None:
                self._process = _Process()
            order = {"do": "shape", "node": node, "seed": seed, "links": about}
            self._process.ask(order, [each.fileno() for each in descriptors])
            self._owners[netns] = queue.getsockname()[0]
        except (queueing.QueueingError, NetlinkError, OSError) as error:
            raise ShapingError(f"{node}: {error}") from error
        finally:
            for each in descriptors:
                each.close()
        self._names[netns], self._rules[netns] = node, rules
        self._whole |= {node} if whole else set()

    def read_back(self, netns: int) -> dict[str, Impairment]:
        with entered(netns):
            table = queueing.Rules()
            listed = table.listed()
            table.close()
            owner = queueing.owners().get(0)
        if owner != self._owners[netns]:
            return {}
        held = self._count(netns)
        return {
            way: Impairment(**held[way]["impairment"])
            for rule, way in self._rules[netns].items()
            if rule in listed
        }

    def counted(self, netns: int) -> dict[str, Shaped]:
        return {
            way: Shaped(
                passed=each["passed"],
                dropped=each["lost"],
                dropped_udp=each["lost_udp"],
                full=each["full"],
                full_udp=each["full_udp"],
                copies=each["copies"],
                copies_udp=each["copies_udp"],
                held=each["held"],
                stranded=each["stranded"],
                stranded_udp=each["stranded_udp"],
            )
            for way, each in self._count(netns).items()
        }

    def change(self, netns: int, port: Port) -> None:
        node = self._names[netns]
        if _needs_whole(port) and node not in self._whole:
            raise ShapingError(
                f"{port.words}: duplication and corruption cannot begin while traffic runs; name "
                "them when shaping is applied"
            )
        impairment = _plain(port.impairment)
        self._asked({"do": "change", "node": node, "way": port.way, "impairment": impairment})

    def dropped(self) -> dict[str, int]:
        found = {}
        for netns, node in self._names.items():
            with entered(netns):
                found[node] = queueing.overflows()
        return found

    def late_ms(self) -> float:
        """Beyond the steps that the process counts in: by how much the latest did."""
        if self._process is None:
            return 0.0
        told = self._asked({"do": "late"})
        *late, beyond = told["late"]
        wanted = 0.99 * (sum(late) + beyond)
        for bucket, packets in enumerate(late):
            wanted -= packets
            if packets and wanted <= 0:
                return (bucket + 1) * _BUCKET_MS
        return float(told["latest_ns"]) / 1e6 if beyond else 0.0

    def held(self, netns: int) -> int:
        # Of all namespaces together, told once: by the first of them.
        if self._process is None or netns != next(iter(self._names)):
            return 0
        return int(self._asked({"do": "held"})["held"])

    def dead(self) -> str | None:
        return None if self._process is None else self._process.dead()

    @property
    def pid(self) -> int | None:
        """Of the queue process; None before it is there."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        if self._process is not None:
            self._process.close()

    def _count(self, netns: int) -> dict[str, Any]:
        return self._asked({"do": "count", "node": self._names[netns]})

    def _asked(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        return self._process.ask(order)


class _Process:
    """The queue process: it ends with its socket."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = Path(__file__).with_name("queue_process.py")
        with theirs:
            # -I -S: no site-packages and no user's settings: 10 MB, and started in 50 ms.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(path)], stdin=theirs.fileno()
            )
        self.pid = self._process.pid
        self._turn = Lock()

    def ask(self, order: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        try:
            with self._turn:
                socket.send_fds(self._socket, [json.dumps(order).encode()], list(descriptors))
                data = self._socket.recv(MESSAGE_BYTES)
        except OSError:
            data = b""
        if not data:
            self._process.wait()
            raise ShapingError(f"{self.dead()}")
        answer: dict[str, Any] = json.loads(data)
        return answer

    def dead(self) -> str | None:
        status = self._process.poll()
        if status is None:
            return None
        return (
            f"the queue process (pid {self.pid}) ended with {status}: nothing passes any more; "
            "is the machine out of memory?"
        )

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


def _hook(port: Port) -> int:
    return queueing.PREROUTING if port.inward else queueing.POSTROUTING


def _needs_whole(port: Port) -> bool:
    """Whether the process must see all of a packet: it copies or damages it, or sends it anew."""
    may_be = (port.impairment, *port.later)
    return port.inward or any(each.duplicate_ratio or each.corrupt_ratio for each in may_be)


def _plain(impairment: Impairment) -> dict[str, Any]:
    return {name: getattr(impairment, name) for name in Impairment.__slots__}


def _name(port: Port) -> str:
    """The name that the simulator gives the same link's random source."""
    if not port.far:
        return f"{port.router}>{port.to}"
    return port.router if port.inward else f"{port.router}>"


def _about(port: Port, link: rtnetlink.LinkInfo) -> dict[str, Any]:
    """What the process is told of a port."""
    return {
        "way": port.way,
        "hook": _hook(port),
        "device": link.index,
        "name": _name(port),
        "impairment": _plain(port.impairment),
        "mac": link.mac.replace(":", "") if port.inward else None,
    }


def _copies(nodes: Nodes, port: Port) -> socket.socket:
    """The socket by which a port's copies go on, without meeting the port again."""
    if port.inward:
        # From the other end of the host's link, with an address that the rule passes over.
        with entered(nodes.get(port.to).netns):
            frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        frames.bind((port.far, 0))
        return frames
    with entered(nodes.get(port.router).netns):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, queueing.MARK)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, port.device.encode())
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    return raw


def _links(netns: int, node: str) -> dict[str, rtnetlink.LinkInfo]:
    with entered(netns), Channel(node) as channel:
        return {link.name: link for link in rtnetlink.links(channel)}
