"""Random trees of routers, with subnets anywhere in them, and a walk along the routes."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import strategies as st

from topologies.graph import Graph, Impairment, Router, link_device

LOSS = st.sampled_from([0.0, 0.1, 0.5, 1.0])


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    routers = [Router("r0", 0, None)]
    for place in range(1, draw(st.integers(1, 12))):
        parent = draw(st.sampled_from(routers))
        routers.append(Router(f"r{place}", parent.level + 1, parent.name))
    names = [router.name for router in routers]
    sizes = draw(
        st.lists(st.tuples(st.sampled_from(names), st.integers(1, 9)), min_size=2, max_size=10)
    )
    return Graph.grow(
        "random",
        routers,
        sizes,
        receive=Impairment(loss_ratio=draw(LOSS)),
        across=Impairment(loss_ratio=draw(LOSS)),
    )


def forward(graph: Graph, router: str, address: IPv4Address) -> str | None:
    """What a router does with a datagram, as the kernel: the next router, or None for here.

    Raises LookupError where it would say unreachable.
    """
    found: list[tuple[int, str | None]] = []
    for subnet in graph.subnets_of(router):
        if address in subnet.prefix:
            found.append((subnet.prefix.prefixlen, None))
    for link in graph.links:
        if router in (link.upper, link.lower) and address in link.prefix:
            mine = link.upper_address if router == link.upper else link.lower_address
            other = link.lower if router == link.upper else link.upper
            found.append((link.prefix.prefixlen, None if address == mine else other))
    for route in graph.routes(router):
        if address in route.network:
            found.append((route.network.prefixlen, _neighbour(graph, router, route.device)))
    best = max((length for length, _ in found), default=-1)
    refused = max((n.prefixlen for n in graph.unreachable(router) if address in n), default=-1)
    if best < refused or best < 0:
        raise LookupError(f"{router} has no route to {address}")
    ways = {way for length, way in found if length == best}
    assert len(ways) == 1, f"{router} has two routes to {address}: {ways}"
    return ways.pop()


def _neighbour(graph: Graph, router: str, device: str) -> str:
    for link in graph.links:
        if router == link.upper and device == link_device(link, "upper"):
            return link.lower
        if router == link.lower and device == link_device(link, "lower"):
            return link.upper
    raise AssertionError(f"{router} has no {device}")
