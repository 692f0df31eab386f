"""What a datagram meets between two nodes of a graph: loss, delay, and the core router.

`Network` is what all runs on a graph share; `Paths` belongs to one run, with a random source for
each lossy port, derived from the run's seed by the port's name: editing one link leaves the draws
of the others alone. Ports are met in order, and a datagram that is lost meets no further one: one
lost on its way up never crosses the core.

Modelled: loss, delay and jitter (uniform over plus and minus). Rate, duplication, reordering and
corruption are refused. Nothing queues: a simulated router has no limit of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from agents.api import NodeId, View
from agents.seeds import derive
from testbed.errors import UsageError
from topologies.graph import PERFECT, Graph, Impairment

LOST = -1

NS_A_MS = 1_000_000


class Network:
    """A graph as the simulator looks at it. Raises `UsageError` for what it does not model."""

    def __init__(self, graph: Graph) -> None:
        for name, impairment in _impairments(graph):
            _check(name, impairment)
        self.graph = graph
        self.views = tuple(View(node, graph.groups(node)) for node in range(graph.nodes))
        subnets = {subnet.name: index for index, subnet in enumerate(graph.subnets)}
        self.subnets = len(subnets)
        self.home = [subnets[host.subnet] for host in graph.hosts]
        """The index of each node's subnet."""
        self.first = {subnets[host.subnet]: host.node for host in reversed(graph.hosts)}
        """A node of each subnet."""
        self.perfect_receivers = all(host.receive.perfect for host in graph.hosts)

    @property
    def nodes(self) -> int:
        return self.graph.nodes


class Port:
    """One direction of one link: an impairment with a random source of its own."""

    __slots__ = ("_delay_ms", "_jitter_ms", "_loss", "_random")

    def __init__(self, impairment: Impairment, rng: Random) -> None:
        self._loss = impairment.loss_ratio
        self._delay_ms = impairment.delay_ms
        self._jitter_ms = impairment.jitter_ms
        self._random = rng.random

    def pass_ns(self) -> int:
        """The delay of one datagram, or `LOST`."""
        if self._loss and self._random() < self._loss:
            return LOST
        late_ms = self._delay_ms
        if self._jitter_ms:
            late_ms += self._jitter_ms * (2 * self._random() - 1)
        return round(max(late_ms, 0.0) * NS_A_MS)


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
        self, paths: Paths, before: list[Port], crossing: Crossing | None, after: list[Port]
    ) -> None:
        self._paths = paths
        self._before = before
        self._after = after
        self.tally = None if crossing is None else crossing.tally
        """Where datagrams are counted at the core; None for a path that leaves it out."""
        self.still = not (before or after) and paths.network.perfect_receivers
        """Whether nothing happens on it but the count."""

    def carry(self, to: NodeId, kind: int, size: int) -> int:
        """The nanoseconds until a datagram is there, or `LOST`."""
        late_ns = 0
        for port in self._before:
            delay_ns = port.pass_ns()
            if delay_ns < 0:
                return LOST
            late_ns += delay_ns
        tally = self.tally
        if tally is not None:
            tally[kind, size] = tally.get((kind, size), 0) + 1
        if self.still:
            return 0
        for port in self._after:
            delay_ns = port.pass_ns()
            if delay_ns < 0:
                return LOST
            late_ns += delay_ns
        receiver = self._paths.receiver(to)
        if receiver is None:
            return late_ns
        delay_ns = receiver.pass_ns()
        return LOST if delay_ns < 0 else late_ns + delay_ns


class Paths(dict[int, "Path | None"]):
    """The paths of one run by `home[sender] * subnets + home[receiver]`, each made when needed.

    None stands for a path on which nothing happens.
    """

    def __init__(self, network: Network, seed: int) -> None:
        super().__init__()
        self.network = network
        self._seed = seed
        self._ports: dict[str, Port | None] = {}
        self._receivers: dict[NodeId, Port | None] = {}
        self.crossings: dict[tuple[str, str], Crossing] = {}

    def __missing__(self, key: int) -> Path | None:
        network, graph = self.network, self.network.graph
        here, there = divmod(key, network.subnets)
        before: list[Port] = []
        after: list[Port] = []
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
        quiet = not (before or after or crossing) and network.perfect_receivers
        path = None if quiet else Path(self, before, crossing, after)
        self[key] = path
        return path

    def receiver(self, node: NodeId) -> Port | None:
        """What is met on the way into a host; None when that is nothing."""
        if self.network.perfect_receivers:
            return None
        if node not in self._receivers:
            host = self.network.graph.hosts[node]
            self._receivers[node] = self._make(host.name, host.receive)
        return self._receivers[node]

    def _crossing(self, source: str, target: str) -> Crossing:
        return self.crossings.setdefault((source, target), Crossing(source, target, {}))

    def _port(self, router: str, following: str) -> Port | None:
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

    def _make(self, name: str, impairment: Impairment) -> Port | None:
        if impairment.perfect:
            return None
        return Port(impairment, derive(self._seed, "link", name))


def _routers(graph: Graph, sender: NodeId, receiver: NodeId, same: bool) -> tuple[str, ...]:
    """The routers on a path. Between two hosts of one subnet it is their gateway, or none."""
    if not same:
        return graph.path(sender, receiver)
    return () if graph.lan == "switched" else (graph.router_of(graph.hosts[sender]).name,)


def _impairments(graph: Graph) -> list[tuple[str, Impairment]]:
    found = [(host.name, host.receive) for host in graph.hosts]
    for link in graph.links:
        found += [(f"{link.lower} to {link.upper}", link.up)]
        found += [(f"{link.upper} to {link.lower}", link.down)]
    return found


def _check(name: str, impairment: Impairment) -> None:
    for field in ("rate_mbit", "duplicate_ratio", "reorder_ratio", "corrupt_ratio"):
        value = getattr(impairment, field)
        if value != getattr(PERFECT, field):
            raise UsageError(
                f"{name}: {field} = {value} is not simulated (loss, delay and jitter are); leave "
                "it out, or emulate: testbed run"
            )
