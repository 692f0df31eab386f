from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from tests.unit.topologies.trees import forward
from topologies.addresses import Block, plan, power_of_two
from topologies.elements import GraphError
from topologies.graph import Graph, Router

SPACE = IPv4Network("10.0.0.0/28")


def test_a_power_of_two_is_not_below_the_number() -> None:
    assert [power_of_two(n) for n in (0, 1, 2, 3, 4, 5, 1026)] == [0, 1, 2, 4, 4, 8, 2048]


def test_the_largest_block_comes_first_and_each_at_a_multiple_of_its_size() -> None:
    root = Block(parts=[Block("small", 2), Block("large", 8), Block("middle", 4)])
    prefixes = plan(root, SPACE, "x")
    assert {name: str(prefix) for name, prefix in prefixes.items()} == {
        "large": "10.0.0.0/29",
        "middle": "10.0.0.8/30",
        "small": "10.0.0.12/31",
    }


def test_a_tree_that_nesting_makes_too_large_is_packed_flat() -> None:
    # Nested: 8 + round up (4 + round up (2 + 2 ...)) is 16, and two of them 32.
    deep = Block(parts=[Block("a", 4), Block(parts=[Block("b", 1), Block("c", 4)])])
    root = Block(parts=[deep, Block("d", 1)])
    assert root.size == 32
    prefixes = plan(root, SPACE, "x")
    assert set(prefixes) == {"a", "b", "c", "d"}
    assert all(prefix.subnet_of(SPACE) for prefix in prefixes.values())


def test_a_plan_that_does_not_fit_says_what_is_wanted() -> None:
    root = Block(parts=[Block("a", 16), Block("b", 1)])
    with pytest.raises(GraphError, match=r"hosts: 17 addresses wanted, 10\.0\.0\.0/28 has 16; ask"):
        plan(root, SPACE, "hosts")


def test_a_lopsided_tree_still_has_room_and_routes() -> None:
    """31 levels with a subnet each double their block each time: 2^33 addresses, nested."""
    routers = [Router("r0", 0, None)]
    routers += [Router(f"r{n}", n, f"r{n - 1}") for n in range(1, 32)]
    graph = Graph.grow("chain", routers, [(router.name, 3) for router in routers])
    assert len({subnet.prefix for subnet in graph.subnets}) == 32
    for subnet in graph.subnets:
        address = graph.hosts_of(subnet.name)[0].address
        here: str | None = "r15"
        for _ in graph.routers:
            last, here = here, forward(graph, here, address) if here else None
            if here is None:
                break
        assert last == subnet.router


def test_more_subnets_than_the_address_space_holds_are_refused_before_they_are_made() -> None:
    with pytest.raises(GraphError, match=r"addresses wanted, 10\.0\.0\.0/8 has 16777216"):
        Graph.grow("x", [Router("r0", 0, None)], [("r0", 1023)] * 8200)
