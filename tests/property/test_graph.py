"""What holds for every tree of routers."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.topologies.trees import forward, graphs
from topologies import hierarchy
from topologies.graph import Graph, Router, bridge_device, host_device, link_device, router_port

FEW = settings(max_examples=40, deadline=None)


def walk(graph: Graph, a: int, b: int) -> list[str]:
    """The routers that the static routes lead a datagram through."""
    here: str | None = graph.router_of(graph.host(a)).name
    crossed: list[str] = []
    while here is not None:
        assert here not in crossed, "a loop"
        crossed.append(here)
        here = forward(graph, here, graph.host(b).address)
    return crossed


@FEW
@given(graphs())
def test_routes_lead_from_every_host_to_every_subnet_along_the_path(graph: Graph) -> None:
    for a in range(graph.nodes):
        for subnet in graph.subnets:
            b = graph.hosts_of(subnet.name)[-1].node
            if a != b:
                assert tuple(walk(graph, a, b)) == graph.path(a, b)
                assert graph.path(a, b)[-1] == subnet.router


@FEW
@given(graphs())
def test_every_router_reaches_both_ends_of_every_link(graph: Graph) -> None:
    for router in graph.routers:
        for link in graph.links:
            for address in (link.upper_address, link.lower_address):
                here: str | None = router.name
                for _ in graph.routers:
                    here = forward(graph, here, address) if here else None
                assert here is None


@FEW
@given(graphs())
def test_an_address_that_nobody_has_is_refused_and_never_travels_in_circles(graph: Graph) -> None:
    used = sorted(subnet.prefix for subnet in graph.subnets)
    strangers = [used[-1].broadcast_address + 1]
    for low, high in pairwise(used):
        if low.broadcast_address + 1 != high.network_address:
            strangers.append(low.broadcast_address + 1)
    for router in graph.routers:
        for address in strangers:
            here: str | None = router.name
            with pytest.raises(LookupError):
                for _ in range(2 * len(graph.routers)):
                    assert here is not None
                    here = forward(graph, here, address)


@FEW
@given(graphs())
def test_a_path_climbs_and_then_descends_and_is_the_way_back_reversed(graph: Graph) -> None:
    for a in range(graph.nodes):
        b = graph.nodes - 1
        path = graph.path(a, b)
        assert path == graph.path(b, a)[::-1]
        levels = [graph.router(name).level for name in path]
        top = levels.index(min(levels)) if levels else 0
        assert levels[:top] == sorted(levels[:top], reverse=True)
        assert levels[top:] == sorted(levels[top:])


@FEW
@given(graphs())
def test_path_loss_is_what_no_link_and_no_receiver_lets_pass(graph: Graph) -> None:
    for b in range(0, graph.nodes, 3):
        link_loss = graph.links[0].up.loss_ratio if graph.links else 0.0
        crossed = len(graph.path(0, b)) - 1
        passed = prod([1 - link_loss] * max(crossed, 0)) * (1 - graph.host(b).receive.loss_ratio)
        assert graph.path_loss(0, b) == pytest.approx(1 - passed if b else 0.0)


@FEW
@given(graphs())
def test_groups_are_nested_from_the_subnet_to_everyone(graph: Graph) -> None:
    for host in graph.hosts:
        groups = graph.groups(host.node)
        mine = [each.node for each in graph.hosts if each.subnet == host.subnet]
        assert list(groups[0]) == mine
        assert groups[-1] == range(graph.nodes)
        for inner, outer in pairwise(groups):
            assert set(inner) < set(outer)


@FEW
@given(graphs())
def test_a_group_is_all_below_some_router_above_the_node(graph: Graph) -> None:
    def below(router: Router) -> set[int]:
        nodes = {host.node for host in graph.hosts if graph.router_of(host) == router}
        return nodes.union(*map(below, graph.children(router.name)))

    for host in graph.hosts:
        router: Router | None = graph.router_of(host)
        expected = [{each.node for each in graph.hosts_of(host.subnet)}]
        while router is not None:
            if below(router) != expected[-1]:
                expected.append(below(router))
            router = graph.router(router.parent) if router.parent else None
        assert [set(group) for group in graph.groups(host.node)] == expected


@FEW
@given(graphs())
def test_interface_names_are_unique_in_a_namespace_and_fit_the_kernel(graph: Graph) -> None:
    devices = Counter[tuple[str, str]]()
    for host in graph.hosts:
        devices[host.name, host_device(host)] += 1
        devices[graph.router_of(host).name, router_port(host)] += 1
    for subnet in graph.subnets:
        devices[subnet.router, bridge_device(subnet)] += 1
    for link in graph.links:
        devices[link.upper, link_device(link, "upper")] += 1
        devices[link.lower, link_device(link, "lower")] += 1
    assert max(devices.values()) == 1
    assert max(len(device) for _, device in devices) <= 15


@FEW
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 40))
def test_a_hierarchy_needs_two_routes_a_child_and_a_default_at_most(
    depth: int, fan_out: int, more: int
) -> None:
    if fan_out**depth > 300 or fan_out**depth + more < 2:
        return
    graph = hierarchy.build(hosts=fan_out**depth + more, depth=depth, fan_out=fan_out)
    for router in graph.routers:
        assert len(graph.routes(router.name)) <= 2 * fan_out + (router.parent is not None)
