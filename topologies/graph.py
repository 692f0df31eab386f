"""A network as data: a tree of routers with hosts in subnets, addressed, numbered and checked.

Every route is the one path of the tree. A subnet is `routed` (its router forwards between its hosts
too, no ARP) or `switched` (a plain LAN, with ARP). Nodes are numbered so that every subnet, and
everything below any router, is a range: the nested groups that a protocol sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network
from itertools import pairwise, product
from typing import TypeVar

from topologies.checks import check
from topologies.elements import (
    PERFECT,
    GraphError,
    Host,
    Impairment,
    Link,
    Router,
    Subnet,
    bridge_device,
    host_device,
    link_device,
    mac_of,
    near,
    router_port,
)
from topologies.impairments import of_links
from topologies.layout import lay_out
from topologies.parameters import (
    DelayOfAccess,
    DelayOfCore,
    Domain,
    Hosts,
    HostsPerSubnet,
    Lan,
    LanKind,
    LinkLoss,
    OfAccess,
    OfAccessUp,
    OfCore,
    OfCoreUp,
    ReceiverLoss,
    WhereLost,
    checked,
    sizes,
)
from topologies.routes import Route, routes, unreachable

__all__ = [
    "PERFECT",
    "DelayOfAccess",
    "DelayOfCore",
    "Domain",
    "Graph",
    "GraphError",
    "Host",
    "Hosts",
    "HostsPerSubnet",
    "Impairment",
    "Lan",
    "LanKind",
    "Link",
    "LinkLoss",
    "OfAccess",
    "OfAccessUp",
    "OfCore",
    "OfCoreUp",
    "ReceiverLoss",
    "Route",
    "Router",
    "Subnet",
    "WhereLost",
    "bridge_device",
    "checked",
    "host_device",
    "link_device",
    "mac_of",
    "of_links",
    "router_port",
    "sizes",
]


@dataclass(frozen=True)
class Graph:
    """A checked network; raises GraphError when its parts do not make one."""

    name: str
    routers: tuple[Router, ...]
    subnets: tuple[Subnet, ...]
    hosts: tuple[Host, ...]
    links: tuple[Link, ...]
    lan: Lan = "routed"

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def grow(
        cls,
        name: str,
        routers: Sequence[Router],
        sizes: Sequence[tuple[str, int]],
        *,
        receive: Impairment = PERFECT,
        send: Impairment = PERFECT,
        across: Impairment = PERFECT,
        across_up: Impairment | None = None,
        lan: Lan = "routed",
    ) -> Graph:
        """Makes a whole network of a tree of routers and (router, hosts) for each subnet.

        `receive` is met on the way into every host, `send` on the way out of it, `across` on every
        link of two routers, in each direction unless there is `across_up` for the way to the core.
        """
        return cls(name, *lay_out(routers, sizes, receive, across, send, across_up), lan)

    @property
    def nodes(self) -> int:
        return len(self.hosts)

    @property
    def core(self) -> Router:
        return next(router for router in self.routers if router.parent is None)

    def router(self, name: str) -> Router:
        return _look_up(self._routers, name, "router")

    def subnet(self, name: str) -> Subnet:
        return _look_up(self._subnets, name, "subnet")

    def host(self, node: int) -> Host:
        if not 0 <= node < self.nodes:
            raise GraphError(f"node {node}: there are 0..{self.nodes - 1}")
        return self.hosts[node]

    def children(self, router: str) -> tuple[Router, ...]:
        """The routers joined to a router from below."""
        return self._children[self.router(router).name]

    def neighbours(self, router: str) -> tuple[str, ...]:
        """The routers joined to a router: those below it, then the one above."""
        above = self.router(router).parent
        below = tuple(child.name for child in self.children(router))
        return below if above is None else (*below, above)

    def span(self, subnet: str) -> range:
        """The nodes of a subnet."""
        return self._spans[self.subnet(subnet).name]

    def below(self, router: str) -> range:
        """The nodes below a router, those of its own subnets included."""
        return self._spans[self.router(router).name]

    def subnets_of(self, router: str) -> tuple[Subnet, ...]:
        return self._subnets_of[self.router(router).name]

    def hosts_of(self, subnet: str) -> tuple[Host, ...]:
        span = self._spans[self.subnet(subnet).name]
        return self.hosts[span.start : span.stop]

    def router_of(self, host: Host) -> Router:
        """The host's gateway."""
        return self._routers[self._subnets[host.subnet].router]

    def groups(self, node: int) -> tuple[range, ...]:
        """The node's subnet, all below its router, ..., everyone; each once, smallest first."""
        host = self.host(node)
        spans = [self._spans[host.subnet]]
        for router in self._upwards(self.router_of(host)):
            if self._spans[router.name] != spans[-1]:
                spans.append(self._spans[router.name])
        return tuple(spans)

    def path(self, a: int, b: int) -> tuple[str, ...]:
        """The routers that a datagram of node a to node b crosses, in order."""
        here, there = self.host(a), self.host(b)
        if a == b or (self.lan == "switched" and here.subnet == there.subnet):
            return ()
        up = [router.name for router in self._upwards(self.router_of(here))]
        down = [router.name for router in self._upwards(self.router_of(there))]
        # The two ways to the core share their end; the last router they share is the turning point.
        while len(up) > 1 and len(down) > 1 and up[-2] == down[-2]:
            up.pop()
            down.pop()
        return (*up, *reversed(down[:-1]))

    def path_loss(self, a: int, b: int) -> float:
        """The share of the datagrams of node a to node b that is lost, on all links together.

        Two links that lose half each: 0.75. A node hears itself without loss.
        """
        if a == b:
            return 0.0
        lost = self.host(b).receive.loss_ratio
        lost += (1 - lost) * self.host(a).send.loss_ratio
        for here, there in pairwise(self.path(a, b)):
            if self._routers[here].parent == there:
                link_loss = self._link_above[here].up.loss_ratio
            else:
                link_loss = self._link_above[there].down.loss_ratio
            lost += (1 - lost) * link_loss
        return lost

    def loss_classes(self) -> dict[tuple[str, str], float]:
        """The path loss of every class of host pairs, by (sender's subnet, receiver's subnet).

        Where the hosts of a subnet receive unalike, each receiver is a class of its own, by name;
        likewise the senders.
        """
        senders = self._classes(lambda host: host.send.loss_ratio)
        receivers = self._classes(lambda host: host.receive.loss_ratio)
        classes = {}
        for (source, nodes), (target, (receiver, *_)) in product(senders, receivers):
            others = [node for node in (nodes[0], nodes[-1]) if node != receiver]
            if others:
                classes[source, target] = self.path_loss(others[0], receiver)
        return classes

    def _classes(self, loss: Callable[[Host], float]) -> list[tuple[str, Sequence[int]]]:
        """The nodes of each subnet by its name, or each by its own where their losses differ."""
        found: list[tuple[str, Sequence[int]]] = []
        for subnet in self.subnets:
            hosts = self.hosts_of(subnet.name)
            if len({loss(host) for host in hosts}) == 1:
                found.append((subnet.name, self._spans[subnet.name]))
            else:
                found += [(host.name, (host.node,)) for host in hosts]
        return found

    def routes(self, router: str) -> list[Route]:
        """A router's static routes: to what lies below each router below it, and default upwards.

        Its own subnets and links are not among them: they are connected. See `unreachable`.
        """
        return routes(self, router)

    def unreachable(self, router: str) -> list[IPv4Network]:
        """What a router must refuse where it has no better route; see `topologies.routes`."""
        return unreachable(self, router)

    def link_above(self, router: str) -> Link | None:
        """The link that joins a router to the one above it; None for the core."""
        return self._link_above.get(self.router(router).name)

    def _upwards(self, router: Router) -> Iterator[Router]:
        yield router
        while router.parent is not None:
            router = self._routers[router.parent]
            yield router

    # Indexes, made on first use

    @cached_property
    def subnet_starts(self) -> list[int]:
        """The first addresses of all subnets, sorted."""
        return sorted(int(subnet.prefix.network_address) for subnet in self.subnets)

    @cached_property
    def link_starts(self) -> list[int]:
        """The first addresses of all links, sorted."""
        return sorted(int(link.prefix.network_address) for link in self.links)

    @cached_property
    def _routers(self) -> dict[str, Router]:
        return {router.name: router for router in self.routers}

    @cached_property
    def _subnets(self) -> dict[str, Subnet]:
        return {subnet.name: subnet for subnet in self.subnets}

    @cached_property
    def _link_above(self) -> dict[str, Link]:
        return {link.lower: link for link in self.links}

    @cached_property
    def _children(self) -> dict[str, tuple[Router, ...]]:
        found: dict[str, list[Router]] = {router.name: [] for router in self.routers}
        for router in self.routers:
            if router.parent is not None:
                found[router.parent].append(router)
        return {name: tuple(children) for name, children in found.items()}

    @cached_property
    def _subnets_of(self) -> dict[str, tuple[Subnet, ...]]:
        found: dict[str, list[Subnet]] = {router.name: [] for router in self.routers}
        for subnet in self.subnets:
            found[subnet.router].append(subnet)
        return {name: tuple(subnets) for name, subnets in found.items()}

    @cached_property
    def _spans(self) -> dict[str, range]:
        """The nodes of each subnet and below each router; `check` has seen that they are ranges."""
        found: dict[str, range] = {}
        for host in self.hosts:
            first = found[host.subnet].start if host.subnet in found else host.node
            found[host.subnet] = range(first, host.node + 1)
        # The deepest first: a router's span is made of those below it.
        for router in sorted(self.routers, key=lambda router: -router.level):
            spans = [found[subnet.name] for subnet in self._subnets_of[router.name]]
            spans += [found[child.name] for child in self._children[router.name]]
            starts = [span.start for span in spans if span]
            stops = [span.stop for span in spans if span]
            found[router.name] = range(min(starts, default=0), max(stops, default=0))
        return found


_Part = TypeVar("_Part")


def _look_up(parts: dict[str, _Part], name: str, what: str) -> _Part:
    if name not in parts:
        raise GraphError(f"no {what} {name!r}; {near(name, parts)}")
    return parts[name]
