"""What a datagram meets between two nodes of a graph: loss, delay, and the core router.

`Network` is what all runs on a graph share; `Paths` belongs to one run, with a random source for
each impaired port, derived from the run's seed by the port's name: editing one link leaves the
draws of the others alone. Ports are met in order, and a datagram that is lost meets no further one:
one lost on its way up never crosses the core. One that is corrupted goes on as far as its
receiver, whose UDP checksum finds it out.

What a port does is `testbed.medium`. Rates and queue limits are refused. Nothing queues: a
simulated router has no limit of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.api import NodeId, View
from agents.groups import subnets as spans_of
from agents.seeds import derive
from testbed.errors import UsageError
from testbed.medium import Medium
from testbed.simulator.hops import AT_ONCE, through
from testbed.simulator.trees import Tree, grow
from topologies.graph import Graph, GraphError, Impairment


class Network:
    """A graph as the simulator looks at it. Raises `UsageError` for what it does not model."""

    def __init__(self, graph: Graph) -> None:
        for name, impairment in _impairments(graph):
            check(name, impairment.rate_mbit, impairment.queue_packets)
        self.graph = graph
        groups = [graph.groups(node) for node in range(graph.nodes)]
        spans = spans_of(groups)
        self.views = tuple(View(node, nested, spans) for node, nested in enumerate(groups))
        subnets = {subnet.name: index for index, subnet in enumerate(graph.subnets)}
        self.subnets = len(subnets)
        self.home = [subnets[host.subnet] for host in graph.hosts]
        """The index of each node's subnet."""
        self.first = {subnets[host.subnet]: host.node for host in reversed(graph.hosts)}
        """A node of each subnet."""
        self.perfect_hosts = all(host.receive.perfect and host.send.perfect for host in graph.hosts)

    @property
    def nodes(self) -> int:
        return self.graph.nodes


@dataclass(frozen=True, slots=True)
class Crossing:
    """One way through the core router, and its datagrams by message type and size."""

    input: str
    output: str
    tally: dict[tuple[int, int], int]

    @property
    def packets(self) -> dict[int, int]:
        """Datagrams by message type."""
        return self._by_type(lambda size: 1)

    @property
    def bytes(self) -> dict[int, int]:
        """Bytes by message type, headers of IP and UDP left out."""
        return self._by_type(lambda size: size)

    def _by_type(self, weight: Callable[[int], int]) -> dict[int, int]:
        found: dict[int, int] = {}
        for (kind, size), number in self.tally.items():
            found[kind] = found.get(kind, 0) + number * weight(size)
        return found


class Path:
    """From the hosts of one subnet to those of another."""

    __slots__ = ("_after", "_before", "_paths", "still", "tally")

    def __init__(
        self, paths: Paths, before: list[Medium], crossing: Crossing | None, after: list[Medium]
    ) -> None:
        self._paths = paths
        self._before = before
        self._after = after
        self.tally = None if crossing is None else crossing.tally
        """Where datagrams are counted at the core; None for a path that leaves it out."""
        self.still = not (before or after) and paths.perfect_hosts
        """Whether nothing happens on it but the count."""

    def carry(self, sender: NodeId, to: NodeId, kind: int, size: int) -> Sequence[int]:
        """The nanoseconds until each copy of a datagram is there; none for one that is lost."""
        late: Sequence[int] = AT_ONCE
        bad: list[int] = []
        if not self.still:
            if (port := self._paths.sender(sender)) is not None:
                late = through(port, late, size, bad)
            for port in self._before:
                late = through(port, late, size, bad)
        crossed = len(late) + len(bad)
        if self.tally is not None and crossed:
            self.tally[kind, size] = self.tally.get((kind, size), 0) + crossed
        if not self.still:
            for port in self._after:
                late = through(port, late, size, bad)
            if (port := self._paths.receiver(to)) is not None:
                late = through(port, late, size, bad)
        return late


class Paths(dict[int, "Path | None"]):
    """The paths of one run by `home[sender] * subnets + home[receiver]`, each made when needed.

    None stands for a path on which nothing happens.
    """

    def __init__(self, network: Network, seed: int) -> None:
        super().__init__()
        self.network = network
        self.perfect_hosts = network.perfect_hosts
        self._seed = seed
        self._ports: dict[str, Medium | None] = {}
        self._trees: dict[tuple[int, int], Tree] = {}
        self._media: dict[str, Medium] = {}
        self._changed: dict[str, Impairment] = {}
        self._senders: dict[NodeId, Medium | None] = {}
        self._receivers: dict[NodeId, Medium | None] = {}
        self.crossings: dict[tuple[str, str], Crossing] = {}

    def __missing__(self, key: int) -> Path | None:
        network, graph = self.network, self.network.graph
        here, there = divmod(key, network.subnets)
        before: list[Medium] = []
        after: list[Medium] = []
        crossing = None
        routers = _routers(graph, network.first[here], network.first[there], here == there)
        for above, router, below in zip(
            (None, *routers), routers, (*routers[1:], None), strict=False
        ):
            if router == graph.core.name:
                source = above or graph.subnets[here].name
                crossing = self._crossing(source, below or graph.subnets[there].name)
            if below is not None and (port := self._port(router, below)):
                (before if crossing is None else after).append(port)
        quiet = not (before or after or crossing) and self.perfect_hosts
        path = None if quiet else Path(self, before, crossing, after)
        self[key] = path
        return path

    def sender(self, node: NodeId) -> Medium | None:
        """What is met on the way out of a host; None when that is nothing."""
        if node not in self._senders:
            host = self.network.graph.hosts[node]
            self._senders[node] = self._make(f"{host.name}>", host.send)
        return self._senders[node]

    def receiver(self, node: NodeId) -> Medium | None:
        """What is met on the way into a host; None when that is nothing."""
        if node not in self._receivers:
            host = self.network.graph.hosts[node]
            self._receivers[node] = self._make(host.name, host.receive)
        return self._receivers[node]

    def tree(self, home: int, group: int) -> Tree:
        """The way from a subnet, by its index, to a group of `agents.groups`."""
        if (home, group) not in self._trees:
            graph, hosts = self.network.graph, (self.sender, self.receiver)
            tree = grow(graph, home, group, self._port, self._crossing, *hosts)
            self._trees[home, group] = tree
        return self._trees[home, group]

    def impair(self, name: str, impairment: Impairment) -> None:
        """Changes a port: the way into a host ("h3"), out of it ("h3>"), a link ("r1>r0").

        What is under way keeps its fate, and the draws of every port go on where they were.
        Raises `UsageError` for what is not modelled, `GraphError` where there is no such port.
        """
        check(name, impairment.rate_mbit, impairment.queue_packets)
        graph = self.network.graph
        here, _, there = name.partition(">")
        routers = [router.name for router in graph.routers]
        hosts = {host.name for host in graph.hosts}
        links = {f"{a}>{b}" for a in routers for b in graph.neighbours(a)} if there else set()
        if not (name in links or (here in hosts and not there)):
            raise GraphError(f'{name}: no such port; give one like "h3", "h3>" or "r1>r0"')
        self._changed[name] = impairment
        if not there and not impairment.perfect:
            self.perfect_hosts = False
        if name in self._media:
            self._media[name].change(impairment)
        for made in (self, self._ports, self._senders, self._receivers, self._trees):
            made.clear()

    def _crossing(self, source: str, target: str) -> Crossing:
        return self.crossings.setdefault((source, target), Crossing(source, target, {}))

    def _port(self, router: str, following: str) -> Medium | None:
        """The link from one router to the next; None when it is perfect."""
        name = f"{router}>{following}"
        if name not in self._ports:
            link = self.network.graph.link_above(router)
            up = link is not None and link.upper == following
            if not up:
                link = self.network.graph.link_above(following)
            assert link is not None
            self._ports[name] = self._make(name, link.up if up else link.down)
        return self._ports[name]

    def _make(self, name: str, impairment: Impairment) -> Medium | None:
        impairment = self._changed.get(name, impairment)
        if impairment.perfect:
            return None
        if name not in self._media:
            self._media[name] = Medium(impairment, derive(self._seed, "link", name))
        return self._media[name]


def _routers(graph: Graph, sender: NodeId, receiver: NodeId, same: bool) -> tuple[str, ...]:
    """The routers on a path. Between two hosts of one subnet it is their gateway, or none."""
    if not same:
        return graph.path(sender, receiver)
    return () if graph.lan == "switched" else (graph.router_of(graph.hosts[sender]).name,)


def _impairments(graph: Graph) -> list[tuple[str, Impairment]]:
    found = [(host.name, host.receive) for host in graph.hosts]
    found += [(f"{host.name}, sending", host.send) for host in graph.hosts]
    for link in graph.links:
        found += [(f"{link.lower} to {link.upper}", link.up)]
        found += [(f"{link.upper} to {link.lower}", link.down)]
    return found


def check(name: str, rate_mbit: float | None, queue_packets: int | None) -> None:
    """Raises `UsageError` for what is not modelled of a link."""
    for field, value in (("rate_mbit", rate_mbit), ("queue_packets", queue_packets)):
        if value is not None:
            raise UsageError(
                f"{name}: {field} = {value} is not simulated (all else of a link is); leave it "
                "out, or emulate: testbed run"
            )
