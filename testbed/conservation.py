"""Packet conservation: every datagram that an agent sent was received or was lost at a known place.

Pure arithmetic over the terms that `testbed.terms` reads, taken once traffic has stopped. A balance
compares what came to a place with what went on from it; a balance for each agent, subnet, link and
host says where a difference is, one over the whole network says that nothing was overlooked. A
term of which only a bound is known (a device counts what it drops, not of what kind) may explain a
difference up to that bound. Leaves out: copies that routers make of multicast datagrams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields

from topologies.elements import Host, Link, Subnet, link_device
from topologies.graph import Graph


@dataclass(frozen=True, slots=True)
class Loss:
    """Packets dropped on one port by shaping."""

    udp: int | None = 0
    """Of `packets`, those that were UDP; None where the backend cannot tell."""
    packets: int = 0


@dataclass(frozen=True, slots=True)
class HostTerms:
    """What the kernel says of one host and of its access link. Counts of datagrams are of UDP."""

    sent: int = 0
    looped: int = 0
    """Of `sent`, those to the host itself."""
    read: int = 0
    no_port: int = 0
    errors: int = 0
    """Refused by the socket: its buffer was full, or the checksum was wrong."""
    overflows: int = 0
    """Of `errors`, those for a full buffer."""
    offered: int = 0
    """What the router had for this host, before loss."""
    offered_other: int = 0
    """Packets of all other kinds that the router had for it."""
    lost: Loss = Loss()
    """By shaping, on the way to the host."""
    lost_up: Loss = Loss()
    """By shaping, on the way from the host to its router."""
    cut: int = 0
    """Dropped on the way to it by the rules of a fault: a partition, a fault's loss."""
    dropped_up: int = 0
    """Packets dropped by devices and by the host's own IP layer on the way to the router."""
    dropped_down: int = 0


@dataclass(frozen=True, slots=True)
class PortTerms:
    """What became of packets on a link between routers, in the direction away from one of them."""

    lost: Loss = Loss()
    dropped: int = 0
    """Packets dropped by the devices at both ends."""


@dataclass(frozen=True, slots=True)
class RouterTerms:
    """What the kernel says of one router."""

    forwarded: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Datagrams of the testbed by (input, output), as `testbed.counters` names them."""
    cut: Mapping[str, int] = field(default_factory=dict)
    """Datagrams of `forwarded` that the rules of a fault dropped then, by output."""
    refused: int = 0
    """Packets that its IP layer did not forward: no route, TTL at its end, bad header."""
    others: int = 0
    """Packets forwarded that were no datagrams of the testbed."""
    ports: Mapping[str, PortTerms] = field(default_factory=dict)
    """Its links, by device."""


@dataclass(frozen=True, slots=True)
class Terms:
    """All that the kernel counted, cumulative; `since` gives what a stretch of time added."""

    hosts: Mapping[str, HostTerms]
    routers: Mapping[str, RouterTerms]

    def since(self, earlier: Terms) -> Terms:
        return Terms(
            {name: _host_since(terms, earlier.hosts[name]) for name, terms in self.hosts.items()},
            {
                name: _router_since(terms, earlier.routers[name])
                for name, terms in self.routers.items()
            },
        )


@dataclass(frozen=True, slots=True)
class AgentTerms:
    """What an agent's own trace says."""

    sent: int
    """Sends that the kernel took."""
    received: int
    """Datagrams read from the socket, those that were then refused included."""
    kills: int = 0
    """Times that it was killed: each may leave datagrams unread and one event unrecorded."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Datagrams that came to a place, and where they went from it."""

    place: str
    came: Mapping[str, int]
    went: Mapping[str, int]
    at_most: Mapping[str, int] = field(default_factory=dict)
    """Where datagrams may have gone as well, each with the most that it can explain."""

    @property
    def unexplained(self) -> int:
        """Datagrams that vanished here; negative: that came from nowhere."""
        missing = sum(self.came.values()) - sum(self.went.values())
        return missing if missing < 0 else max(0, missing - sum(self.at_most.values()))


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A number of datagrams, and the place where they cannot be accounted for."""

    place: str
    packets: int
    why: str

    def __str__(self) -> str:
        word = "vanished" if self.packets > 0 else "came from nowhere"
        return f"{self.place}: {abs(self.packets)} datagrams {word}: {self.why}"


def explain(
    graph: Graph, terms: Terms, agents: Mapping[int, AgentTerms] | None = None
) -> list[Unexplained]:
    """The balances that do not come out; empty when every datagram is accounted for.

    Without `agents` (by node) the kernel's own terms alone are compared.
    """
    return [
        Unexplained(balance.place, balance.unexplained, _worded(balance))
        for balance in balances(graph, terms, agents)
        if balance.unexplained
    ]


def balances(
    graph: Graph, terms: Terms, agents: Mapping[int, AgentTerms] | None = None
) -> Iterator[Balance]:
    """Every balance of the network, from the senders to the receivers."""
    agents = agents or {}
    for host in graph.hosts:
        if host.node in agents:
            yield from _agent(host, terms.hosts[host.name], agents[host.node])
    for subnet in graph.subnets:
        if graph.lan == "switched":
            yield _switched(graph, subnet, terms)
        else:
            yield _into_router(graph, subnet, terms)
            yield _into_subnet(graph, subnet, terms)
    for link in graph.links:
        yield _crossing(link, terms, downwards=True)
        yield _crossing(link, terms, downwards=False)
    for host in graph.hosts:
        kills = agents[host.node].kills if host.node in agents else 0
        yield _into_host(host, terms.hosts[host.name], kills)
    if len(agents) == graph.nodes:
        yield _network(terms, agents)


def _agent(host: Host, terms: HostTerms, agent: AgentTerms) -> Iterator[Balance]:
    unrecorded = {"unrecorded when killed": agent.kills}
    recorded = {"recorded by its agent": agent.sent}
    yield Balance(f"{host.name}, sending", {"sent": terms.sent}, recorded, unrecorded)
    recorded = {"recorded by its agent": agent.received}
    yield Balance(f"{host.name}, receiving", {"read": terms.read}, recorded, unrecorded)


def _into_router(graph: Graph, subnet: Subnet, terms: Terms) -> Balance:
    hosts = [terms.hosts[host.name] for host in graph.hosts_of(subnet.name)]
    router = terms.routers[subnet.router]
    return Balance(
        f"{subnet.name} to {subnet.router}",
        {"sent": sum(host.sent - host.looped for host in hosts)},
        {"forwarded": _sum(router, came=subnet.name), "lost by shaping": _surely_up(hosts)},
        {
            "lost by shaping, of unknown kind": _maybe_up(hosts),
            "dropped by devices": sum(host.dropped_up for host in hosts),
            "refused by the router": router.refused,
        },
    )


def _into_subnet(graph: Graph, subnet: Subnet, terms: Terms) -> Balance:
    hosts = [terms.hosts[host.name] for host in graph.hosts_of(subnet.name)]
    return Balance(
        f"{subnet.router} to {subnet.name}",
        {"forwarded": _sum(terms.routers[subnet.router], went=subnet.name)},
        {
            "cut by faults": terms.routers[subnet.router].cut.get(subnet.name, 0),
            "offered to its hosts": sum(host.offered for host in hosts),
        },
    )


def _switched(graph: Graph, subnet: Subnet, terms: Terms) -> Balance:
    # Hosts of a switched subnet reach each other without the router's forward hook.
    hosts = [terms.hosts[host.name] for host in graph.hosts_of(subnet.name)]
    router = terms.routers[subnet.router]
    return Balance(
        subnet.name,
        {
            "sent": sum(host.sent - host.looped for host in hosts),
            "forwarded into it": _sum(router, went=subnet.name),
        },
        {
            "forwarded out of it": _sum(router, came=subnet.name),
            "cut by faults": router.cut.get(subnet.name, 0),
            "offered to its hosts": sum(host.offered for host in hosts),
            "lost by shaping": _surely_up(hosts),
        },
        {
            "lost by shaping, of unknown kind": _maybe_up(hosts),
            "dropped by devices": sum(host.dropped_up for host in hosts),
            "refused by the router": router.refused,
        },
    )


def _crossing(link: Link, terms: Terms, *, downwards: bool) -> Balance:
    if downwards:
        sender, receiver, output, came = link.upper, link.lower, link.lower, "up"
        device = link_device(link, "upper")
    else:
        sender, receiver, output, came = link.lower, link.upper, "up", link.lower
        device = link_device(link, "lower")
    port = terms.routers[sender].ports.get(device, PortTerms())
    lost, doubtful = _split(port.lost, terms.routers[sender].others)
    return Balance(
        f"{sender} to {receiver}",
        {"forwarded": _sum(terms.routers[sender], went=output)},
        {
            "cut by faults": terms.routers[sender].cut.get(output, 0),
            "lost by shaping": lost,
            "forwarded on": _sum(terms.routers[receiver], came=came),
        },
        {
            "lost by shaping, of unknown kind": doubtful,
            "dropped by devices": port.dropped,
            "refused by the router": terms.routers[receiver].refused,
        },
    )


def _into_host(host: Host, terms: HostTerms, kills: int) -> Balance:
    lost, doubtful = _split(terms.lost, terms.offered_other)
    return Balance(
        f"{host.name}, arriving",
        {"offered": terms.offered, "looped": terms.looped},
        {
            "cut by faults": terms.cut,
            "lost by shaping": lost,
            "read": terms.read,
            "no port": terms.no_port,
            "socket errors": terms.errors,
        },
        {
            "lost by shaping, of unknown kind": doubtful,
            "dropped by devices": terms.dropped_down,
            # The queue of a socket that is closed is thrown away uncounted.
            "unread when killed": terms.offered if kills else 0,
        },
    )


def _network(terms: Terms, agents: Mapping[int, AgentTerms]) -> Balance:
    hosts, routers = terms.hosts.values(), terms.routers.values()
    losses = [_split(host.lost, host.offered_other) for host in hosts]
    losses.append((_surely_up(hosts), _maybe_up(hosts)))
    for router in routers:
        losses += [_split(port.lost, router.others) for port in router.ports.values()]
    killed = any(agent.kills for agent in agents.values())
    kills = sum(agent.kills for agent in agents.values())
    sent = sum(agent.sent for agent in agents.values())
    return Balance(
        "network",
        {"sent": sent, "unrecorded sends": max(0, min(kills, sum(h.sent for h in hosts) - sent))},
        {
            "received": sum(agent.received for agent in agents.values()),
            "cut by faults": sum(host.cut for host in hosts)
            + sum(sum(router.cut.values()) for router in routers),
            "lost by shaping": sum(lost for lost, _ in losses),
            "no port": sum(host.no_port for host in hosts),
            "socket errors": sum(host.errors for host in hosts),
        },
        {
            "lost by shaping, of unknown kind": sum(doubtful for _, doubtful in losses),
            "dropped by devices": sum(host.dropped_up + host.dropped_down for host in hosts)
            + sum(port.dropped for router in routers for port in router.ports.values()),
            "refused by routers": sum(router.refused for router in routers),
            "unread when killed": sent if killed else 0,
        },
    )


def _split(lost: Loss, others: int) -> tuple[int, int]:
    """Datagrams surely lost, and those that may have been, given what else crossed the port."""
    if lost.udp is not None:
        return lost.udp, 0
    surely = max(0, lost.packets - others)
    return surely, lost.packets - surely


def _surely_up(hosts: Iterable[HostTerms]) -> int:
    """Datagrams that shaping is known to have lost on their way to the router."""
    return sum(host.lost_up.udp or 0 for host in hosts)


def _maybe_up(hosts: Iterable[HostTerms]) -> int:
    """Packets that shaping lost there, of a kind that nobody knows."""
    return sum(host.lost_up.packets for host in hosts if host.lost_up.udp is None)


def _sum(router: RouterTerms, *, came: str | None = None, went: str | None = None) -> int:
    """Datagrams forwarded from, or to, one side."""
    return sum(
        packets
        for (input_, output), packets in router.forwarded.items()
        if came in (None, input_) and went in (None, output)
    )


def _worded(balance: Balance) -> str:
    def joined(terms: Mapping[str, int]) -> str:
        return " + ".join(f"{number} {name}" for name, number in terms.items() if number) or "0"

    text = f"{joined(balance.came)} against {joined(balance.went)}"
    if any(balance.at_most.values()):
        text += f" and at most {joined(balance.at_most)}"
    if balance.unexplained < 0:
        text += "; does another program send UDP here?"
    return text


def _host_since(later: HostTerms, earlier: HostTerms) -> HostTerms:
    numbers = {
        each.name: getattr(later, each.name) - getattr(earlier, each.name)
        for each in fields(HostTerms)
        if each.name not in ("lost", "lost_up")
    }
    return HostTerms(
        **numbers,
        lost=_loss_since(later.lost, earlier.lost),
        lost_up=_loss_since(later.lost_up, earlier.lost_up),
    )


def _router_since(later: RouterTerms, earlier: RouterTerms) -> RouterTerms:
    return RouterTerms(
        {way: packets - earlier.forwarded.get(way, 0) for way, packets in later.forwarded.items()},
        {output: packets - earlier.cut.get(output, 0) for output, packets in later.cut.items()},
        later.refused - earlier.refused,
        later.others - earlier.others,
        {
            device: PortTerms(
                _loss_since(port.lost, earlier.ports[device].lost),
                port.dropped - earlier.ports[device].dropped,
            )
            for device, port in later.ports.items()
        },
    )


def _loss_since(later: Loss, earlier: Loss) -> Loss:
    udp = None if later.udp is None or earlier.udp is None else later.udp - earlier.udp
    return Loss(udp, later.packets - earlier.packets)
