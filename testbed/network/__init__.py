"""A Mininet network of routers and subnets, built and removed in bulk.

`Network(graph)` is a `mininet.net.Mininet`: its hosts are in `net.hosts`, its routers in
`net.routers`, and everything that works on a Mininet network works on it. `Network(topo=...)` and
`Mininet(topo=..., host=Host, link=Link, switch=Bridge, controller=None)` build one piece at a
time, from the same classes. Measured by benchmarks/bringup.py.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from types import TracebackType
from typing import Any, Self

import mininet.net
from mininet.log import output

from testbed.errors import UsageError
from testbed.network import bulk, teardown
from testbed.network.iperf import iperf
from testbed.network.links import Intf, Link
from testbed.network.nodes import Host, Node, Router
from testbed.network.switches import Bridge
from topologies.graph import Graph

__all__ = ["Bridge", "Host", "Intf", "Link", "Network", "Node", "Router"]

# What a build opens beside one namespace a node: the sockets of its routers, files, a shell's pty.
_SPARE_DESCRIPTORS = 128


class Network(mininet.net.Mininet):
    """A network of a graph, or of a Mininet topology.

    Nothing is made before `build`, `start` or the `with` statement, except for a `topo`, which
    Mininet builds at once.
    """

    def __init__(self, graph: Graph | None = None, **params: Any) -> None:
        self.graph = graph
        self.built: bool
        self.routers: list[Router] = []
        defaults = {"host": Host, "switch": Bridge, "link": Link, "intf": Intf, "controller": None}
        with _machine_left_alone():
            super().__init__(**{**defaults, **params})

    def build(self) -> None:
        """Makes all nodes and links. A failure leaves nothing behind.

        Raises UsageError where the limit of open files is too low, TestbedError with the kernel's
        reason for what it refuses.
        """
        if self.graph is None:
            super().build()
        elif not self.built:
            _allow_descriptors(len(self.graph.hosts) + len(self.graph.routers))
            self._adopt(bulk.make(self.graph), self.graph)
            self.built = True

    def _adopt(self, world: bulk.World, graph: Graph) -> None:
        """Puts Mininet's objects around what the kernel has."""
        ports: dict[str, int] = {}
        for router in graph.routers:
            node = Router(router.name, netns=world.namespaces[router.name])
            self.routers.append(node)
            self.nameToNode[router.name] = node
        for host in graph.hosts:
            node = Host(
                host.name, netns=world.namespaces[host.name], ip=str(host.address), mac=host.mac
            )
            self.hosts.append(node)
            self.nameToNode[host.name] = node
        for end in world.bridges:
            _address(Intf.existing(*self._place(end, ports), None), end)
        for wire in world.wires:
            link = Link.existing([(*self._place(end, ports), end.setup) for end in wire])
            for intf, end in zip((link.intf1, link.intf2), wire, strict=True):
                _address(intf, end)
            self.links.append(link)

    def _place(self, end: bulk.End, ports: dict[str, int]) -> tuple[str, Any, int, str]:
        # Counted here: Mininet's newPort looks at all ports of the node for the next one.
        port = ports[end.node] = ports.get(end.node, -1) + 1
        return end.device, self.nameToNode[end.node], port, end.mac

    def start(self) -> None:
        """Builds the network if need be, and starts switches and controllers, if any."""
        super().start()

    def stop(self) -> None:
        """Removes everything, and returns when the kernel has."""
        nodes = [*self.hosts, *self.switches, *self.routers]
        with teardown.awaited(nodes):
            super().stop()
            for router in self.routers:
                router.terminate()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[str]:
        return chain(super().__iter__(), (router.name for router in self.routers))

    def __len__(self) -> int:
        count: int = super().__len__()
        return count + len(self.routers)

    def iperf(
        self,
        hosts: Sequence[Any] | None = None,
        l4Type: str = "TCP",
        udpBw: str = "10M",
        fmt: str | None = None,
        seconds: int = 5,
        port: int = 5001,
    ) -> list[str]:
        """As Mininet's: the rates of server and client, for UDP after the rate asked for."""
        client, server = hosts or (self.hosts[0], self.hosts[-1])
        if l4Type not in ("TCP", "UDP"):
            raise UsageError(f"iperf: unknown l4Type {l4Type!r}; give TCP or UDP")
        udp_rate = udpBw if l4Type == "UDP" else None
        rates = iperf(client, server, udp_rate=udp_rate, fmt=fmt, seconds=seconds, port=port)
        results = [udpBw, *rates] if udp_rate else [*rates]
        output(
            f"*** Iperf: {l4Type} bandwidth between {client} and {server}\n*** Results: {results}\n"
        )
        return results

    def delNode(self, node: Any, nodes: list[Any] | None = None) -> None:
        """As Mininet's, routers included."""
        super().delNode(node, self.routers if node in self.routers else nodes)


@contextmanager
def _machine_left_alone() -> Iterator[None]:
    """Keeps Mininet from raising limits of the whole machine, and from asking for uid 0."""
    before = mininet.net.Mininet.inited
    mininet.net.Mininet.inited = True
    try:
        yield
    finally:
        mininet.net.Mininet.inited = before


def _address(intf: Any, end: bulk.End) -> None:
    if end.address is not None:
        intf.ip, intf.prefixLen = str(end.address), end.length


def _allow_descriptors(nodes: int) -> None:
    """Raises this process's own limit of open files, as far as it may."""
    wanted = nodes + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise UsageError(
            f"{nodes} nodes need {wanted} open files, the limit is {hard};"
            " raise it (`ulimit -Hn`) or use fewer hosts"
        )
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
