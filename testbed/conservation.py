"""Packet conservation: every datagram that an agent sent was received or was lost at a known place.

Pure arithmetic over the terms that `testbed.terms` reads, taken once traffic has stopped. A balance
compares what came to a place with what went on from it; a balance for each agent, subnet, link and
host says where a difference is, one over the whole network says that nothing was overlooked. A
term of which only a bound is known (a device counts what it drops, not of what kind) may explain a
difference up to that bound. What devices and routers lose of their own accord is explained so, but
nobody asked for it: `unasked` complains of it, wherever no fault had taken a link down.

A multicast is one datagram until it is copied: by the bridge of its own subnet, one copy for each
other host; by each router, one for each side with members; by the bridge of a subnet that it comes
to, one for each host. Routers count what came and what went, `testbed.fanout` says what must have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from testbed import fanout
from testbed.accounts import AgentTerms, Fanned, HostTerms, Loss, PortTerms, RouterTerms, Terms
from testbed.balance import DROPPED, REFUSED, Balance, Unexplained, accused
from topologies.elements import Host, Link, Subnet, link_device
from topologies.graph import Graph


def explain(
    graph: Graph, terms: Terms, agents: Mapping[int, AgentTerms] | None = None
) -> list[Unexplained]:
    """The balances that do not come out; empty when every datagram is accounted for.

    Without `agents` (by node) the kernel's own terms alone are compared.
    """
    return [
        Unexplained.of(balance) for balance in balances(graph, terms, agents) if balance.unexplained
    ]


def unasked(
    graph: Graph, terms: Terms, kills: Mapping[int, int], spared: Collection[str] = ()
) -> list[str]:
    """What devices and routers lost that nobody asked them to lose, a complaint for each place.

    `kills` are by node; `spared` are the hosts and routers at links that faults took down: there,
    losses are asked for.
    """
    agents = {host.node: AgentTerms(0, 0, kills.get(host.node, 0)) for host in graph.hosts}
    return [
        accused(balance, packets)
        for balance in balances(graph, terms, agents)
        if (packets := balance.lost(spared))
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
    for router in graph.routers:
        yield from _copied(graph, router.name, terms.routers[router.name].fanned)
    for link in graph.links:
        yield _crossing(link, terms, downwards=True)
        yield _crossing(link, terms, downwards=False)
    for host in graph.hosts:
        kills = agents[host.node].kills if host.node in agents else 0
        yield _into_host(host, terms.hosts[host.name], kills * terms.room)
    if len(agents) == graph.nodes:
        yield _network(graph, terms, agents)


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
        {
            "sent": sum(host.sent - host.looped for host in hosts),
            "copied by shaping": sum(host.lost_up.copies for host in hosts),
        },
        {
            "forwarded": _single(router, came=subnet.name),
            "multicasts that came": _arrived(router, subnet.name),
            "lost by shaping": _surely_up(hosts),
            **_in_queues(host.lost_up for host in hosts),
        },
        {
            "lost by shaping, of unknown kind": _maybe_up(hosts),
            **_with_queues(host.lost_up for host in hosts),
        },
        sum(host.lost_up.doubtful for host in hosts),
        _lost_up(graph, subnet, terms),
    )


def _into_subnet(graph: Graph, subnet: Subnet, terms: Terms) -> Balance:
    hosts = [terms.hosts[host.name] for host in graph.hosts_of(subnet.name)]
    router = terms.routers[subnet.router]
    return Balance(
        f"{subnet.router} to {subnet.name}",
        {
            "forwarded": _sum(router, went=subnet.name),
            "copies": _copies_in(graph, subnet, router.fanned),
        },
        {
            "cut by faults": router.cut.get(subnet.name, 0),
            "offered to its hosts": sum(host.offered for host in hosts),
        },
        {
            "copies of what faults cut": _uncopied(subnet, router, len(hosts)),
            "copies for links that were down": router.fanned.withheld.get(subnet.name, 0),
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
            "copied by shaping": sum(host.lost_up.copies for host in hosts),
            "forwarded into it": _sum(router, went=subnet.name),
            "copies": _copies_in(graph, subnet, router.fanned),
        },
        {
            "forwarded out of it": _single(router, came=subnet.name),
            "multicasts that came": _arrived(router, subnet.name),
            "cut by faults": router.cut.get(subnet.name, 0),
            "offered to its hosts": sum(host.offered for host in hosts),
            "lost by shaping": _surely_up(hosts),
            **_in_queues(host.lost_up for host in hosts),
        },
        {
            "lost by shaping, of unknown kind": _maybe_up(hosts),
            **_with_queues(host.lost_up for host in hosts),
            "copies of what faults cut": _uncopied(subnet, router, len(hosts)),
            "copies for links that were down": router.fanned.withheld.get(subnet.name, 0),
        },
        sum(host.lost_up.doubtful for host in hosts),
        _lost_up(graph, subnet, terms),
    )


def _crossing(link: Link, terms: Terms, *, downwards: bool) -> Balance:
    if downwards:
        sender, receiver, output, came = link.upper, link.lower, link.lower, "up"
        device = link_device(link, "upper")
    else:
        sender, receiver, output, came = link.lower, link.upper, "up", link.lower
        device = link_device(link, "lower")
    port = terms.routers[sender].ports.get(device, PortTerms())
    lost, doubtful = port.lost.split(terms.routers[sender].others)
    return Balance(
        f"{sender} to {receiver}",
        {
            "forwarded": _sum(terms.routers[sender], went=output),
            "copied by shaping": port.lost.copies,
        },
        {
            "cut by faults": terms.routers[sender].cut.get(output, 0),
            "lost by shaping": lost,
            **_in_queues([port.lost]),
            "forwarded on": _single(terms.routers[receiver], came=came),
            "multicasts that came": _arrived(terms.routers[receiver], came),
        },
        {
            "lost by shaping, of unknown kind": doubtful,
            **_with_queues([port.lost]),
        },
        port.lost.doubtful,
        {
            (DROPPED, sender): port.dropped,
            (REFUSED, receiver): terms.routers[receiver].refused,
        },
    )


def _into_host(host: Host, terms: HostTerms, unread: int) -> Balance:
    lost, doubtful = terms.lost.split(terms.offered_other)
    return Balance(
        f"{host.name}, arriving",
        {
            "offered": terms.offered,
            "looped": terms.looped,
            "copied by shaping": terms.lost.copies,
        },
        {
            "cut by faults": terms.cut,
            "lost by shaping": lost,
            **_in_queues([terms.lost]),
            "read": terms.read,
            "no port": terms.no_port,
            "socket errors": terms.errors,
        },
        {
            "lost by shaping, of unknown kind": doubtful,
            **_with_queues([terms.lost]),
            # The queue of a socket that is closed is thrown away uncounted; what comes afterwards
            # is for no port, and counted.
            "unread when killed": unread,
        },
        terms.lost.doubtful,
        {(DROPPED, host.name): terms.dropped_down},
    )


def _network(graph: Graph, terms: Terms, agents: Mapping[int, AgentTerms]) -> Balance:
    hosts, routers = terms.hosts.values(), terms.routers.values()
    losses = [host.lost.split(host.offered_other) for host in hosts]
    losses.append((_surely_up(hosts), _maybe_up(hosts)))
    for router in routers:
        losses += [port.lost.split(router.others) for port in router.ports.values()]
    shaped = [loss for host in hosts for loss in (host.lost, host.lost_up)]
    shaped += [port.lost for router in routers for port in router.ports.values()]
    kills = sum(agent.kills for agent in agents.values())
    sent = sum(agent.sent for agent in agents.values())
    return Balance(
        "network",
        {
            "sent": sent,
            "unrecorded sends": max(0, min(kills, sum(h.sent for h in hosts) - sent)),
            "copied by shaping": sum(each.copies for each in shaped),
            "copies": sum(_copies_on(graph, router.name, terms) for router in graph.routers),
        },
        {
            "received": sum(agent.received for agent in agents.values()),
            "cut by faults": sum(host.cut for host in hosts)
            + sum(sum(router.cut.values()) for router in routers),
            "lost by shaping": sum(lost for lost, _ in losses),
            **_in_queues(shaped),
            "no port": sum(host.no_port for host in hosts),
            "socket errors": sum(host.errors for host in hosts),
        },
        {
            "lost by shaping, of unknown kind": sum(doubtful for _, doubtful in losses),
            **_with_queues(shaped),
            "dropped by devices": sum(host.dropped_up + host.dropped_down for host in hosts)
            + sum(port.dropped for router in routers for port in router.ports.values()),
            "refused by routers": sum(router.refused for router in routers),
            "unread when killed": kills * terms.room,
            "unrecorded when killed": kills,
            "copies of what faults cut": sum(
                _uncopied(subnet, terms.routers[subnet.router], len(graph.hosts_of(subnet.name)))
                for subnet in graph.subnets
            ),
            "copies for links that were down": sum(
                sum(router.fanned.withheld.values()) for router in routers
            ),
        },
        sum(each.doubtful for each in shaped),
    )


def _copied(graph: Graph, router: str, fanned: Fanned) -> Iterator[Balance]:
    """What a router makes of the multicasts that come from each side, if there were any."""
    if not (fanned.arrived or fanned.forwarded):
        return
    for came in fanout.sides(graph, router):
        yield Balance(
            f"{router}, multicasts of {came}",
            {
                "copies due": sum(
                    packets * len(fanout.outputs(graph, router, came, group))
                    for (side, group), packets in fanned.arrived.items()
                    if side == came
                )
            },
            {
                "forwarded": sum(
                    packets for (side, _), packets in fanned.forwarded.items() if side == came
                )
            },
            {"copies for links that were down": sum(fanned.withheld.values())},
        )


def _copies_in(graph: Graph, subnet: Subnet, fanned: Fanned) -> int:
    """Datagrams that its bridge adds: one less than its hosts for each multicast it spreads.

    What a router hands it is one datagram already; of what a host of its own sends, one is counted
    as having come to the router.
    """
    return fanout.spread(graph, subnet.name, fanned) * (len(graph.hosts_of(subnet.name)) - 1)


def _copies_on(graph: Graph, name: str, terms: Terms) -> int:
    """Datagrams that a router and the bridges of its subnets make of multicasts, more than came."""
    fanned = terms.routers[name].fanned
    came = sum(fanned.arrived.values()) + sum(fanned.ended.values())
    bridges = sum(_copies_in(graph, subnet, fanned) for subnet in graph.subnets_of(name))
    return sum(fanned.forwarded.values()) - came + bridges


def _uncopied(subnet: Subnet, router: RouterTerms, hosts: int) -> int:
    """Copies at most that a bridge did not make, since a fault had cut what it was to spread."""
    spread = sum(
        packets for (_, went), packets in router.fanned.forwarded.items() if went == subnet.name
    )
    return min(router.cut.get(subnet.name, 0), spread) * (hosts - 1)


def _arrived(router: RouterTerms, came: str) -> int:
    """Multicasts that came to a router from one side."""
    fanned = router.fanned
    ways = (*fanned.arrived.items(), *fanned.ended.items())
    return sum(packets for (side, _), packets in ways if side == came)


def _single(router: RouterTerms, *, came: str) -> int:
    """Datagrams to one node that were forwarded from one side."""
    copies = sum(packets for (side, _), packets in router.fanned.forwarded.items() if side == came)
    return _sum(router, came=came) - copies


def _in_queues(ways: Iterable[Loss]) -> dict[str, int]:
    """Datagrams that shaping dropped, not by chance but for a queue or a link."""
    each = list(ways)
    return {
        "found a queue full": sum(way.full for way in each),
        "waited for a link that went down": sum(way.stranded for way in each),
    }


def _with_queues(ways: Iterable[Loss]) -> dict[str, int]:
    """Packets that may have been lost with the queue of a link, by a backend without a count."""
    return {"in the queues of links that went down": sum(way.emptied for way in ways)}


def _lost_up(graph: Graph, subnet: Subnet, terms: Terms) -> dict[tuple[str, str], int]:
    """Packets at most that the network itself lost on the way from hosts to their router."""
    hosts = [host.name for host in graph.hosts_of(subnet.name)]
    return {
        **{(DROPPED, name): terms.hosts[name].dropped_up for name in hosts},
        (REFUSED, subnet.router): terms.routers[subnet.router].refused,
    }


def _surely_up(hosts: Iterable[HostTerms]) -> int:
    """Datagrams that shaping is known to have lost on their way to the router."""
    return sum(host.lost_up.udp or 0 for host in hosts)


def _maybe_up(hosts: Iterable[HostTerms]) -> int:
    """Packets that shaping lost there, of a kind that nobody knows."""
    unknown = sum(host.lost_up.packets for host in hosts if host.lost_up.udp is None)
    return unknown + sum(host.lost_up.doubtful for host in hosts)


def _sum(router: RouterTerms, *, came: str | None = None, went: str | None = None) -> int:
    """Datagrams forwarded from, or to, one side."""
    return sum(
        packets
        for (input_, output), packets in router.forwarded.items()
        if came in (None, input_) and went in (None, output)
    )
