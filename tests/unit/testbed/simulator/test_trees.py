"""A multicast crosses each link of its tree once, and reaches each member once."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from agents.groups import ALL
from testbed.simulator.paths import Network, Paths
from testbed.simulator.trees import Reached
from topologies import hierarchy, star, two_subnets
from topologies.graph import Graph, Impairment, Router

SENT = 4_000
LEAST_P = 1e-4
KIND = 0x90


def carry(
    network: Network, sender: int, group: int = ALL, ttl: int | None = None
) -> tuple[Reached, Paths]:
    paths = Paths(network, 1)
    tree = paths.tree(network.home[sender], group)
    return tree.carry(sender, KIND, 100, ttl), paths


def three_levels(receive: Impairment, across: Impairment) -> Graph:
    routers = [Router("r0", 0, None), Router("r1", 1, "r0"), Router("r2", 1, "r0")]
    routers += [Router("r3", 2, "r1"), Router("r4", 2, "r1")]
    sizes = [("r0", 2), ("r2", 2), ("r3", 3), ("r4", 2), ("r4", 1)]
    return Graph.grow("deep", routers, sizes, receive=receive, across=across)


DEEP = three_levels(Impairment(delay_ms=1.0), Impairment(delay_ms=10.0))


@pytest.mark.parametrize("sender", range(DEEP.nodes))
def test_everyone_but_the_sender_hears_it_once_after_the_delay_of_the_path(sender: int) -> None:
    reached, _ = carry(Network(DEEP), sender)
    assert sorted(node for node, _ in reached) == [n for n in range(DEEP.nodes) if n != sender]
    for node, late_ns in reached:
        links = max(0, len(DEEP.path(sender, node)) - 1)
        assert late_ns == (1 + 10 * links) * 1_000_000


@pytest.mark.parametrize("sender", range(DEEP.nodes))
def test_the_core_counts_each_output_once(sender: int) -> None:
    _, paths = carry(Network(DEEP), sender)
    crossed = {way: crossing.packets for way, crossing in paths.crossings.items()}
    outputs = {"s1", "r1", "r2"}
    source = next(
        name
        for name, below in (("s1", range(2)), ("r1", range(2, 8)), ("r2", range(8, 10)))
        if sender in below
    )
    assert crossed == {(source, to): {KIND: 1} for to in outputs - {source}}


def test_a_group_is_a_subnet_and_its_sender_need_not_be_a_member() -> None:
    network = Network(star.build(hosts=9, subnets=3))
    for sender, heard in ((0, [3, 4, 5]), (4, [3, 5])):
        reached, paths = carry(network, sender, group=2)
        assert [node for node, _ in reached] == heard
        assert list(paths.crossings) == ([] if sender == 4 else [("r1", "r2")])


@pytest.mark.parametrize(("ttl", "heard"), [(1, 2), (2, 2), (3, 2), (4, 11)])
def test_the_time_to_live_limits_the_routers_that_are_crossed(ttl: int, heard: int) -> None:
    graph = star.build(hosts=12, subnets=4)
    reached, _ = carry(Network(graph), 0, ttl=ttl)
    assert len(reached) == heard


def test_a_switched_subnet_hears_it_without_a_router() -> None:
    network = Network(two_subnets.build(hosts=4, lan="switched"))
    reached, paths = carry(network, 0, group=1)
    assert reached == [(1, 0)] and not paths.crossings


def test_what_a_link_loses_is_lost_for_all_behind_it() -> None:
    network = Network(two_subnets.build(hosts=8, link_loss_ratio=0.3))
    tree = Paths(network, 1).tree(0, ALL)
    far = [sum(node >= 4 for node, _ in tree.carry(0, KIND, 100, None)) for _ in range(SENT)]
    assert set(far) == {0, 4}
    assert binomtest(far.count(4), SENT, 0.7**2).pvalue > LEAST_P


def test_receivers_lose_independently() -> None:
    network = Network(two_subnets.build(hosts=4, loss_ratio=0.5))
    tree = Paths(network, 1).tree(0, ALL)
    heard = [{node for node, _ in tree.carry(0, KIND, 100, None)} for _ in range(SENT)]
    both = sum({2, 3} <= nodes for nodes in heard)
    assert binomtest(both, SENT, 0.25).pvalue > LEAST_P


def test_a_multicast_lost_on_its_way_up_does_not_cross_the_core() -> None:
    network = Network(two_subnets.build(hosts=4, link_loss_ratio=1.0))
    reached, paths = carry(network, 0)
    assert [node for node, _ in reached] == [1]
    assert sum(crossing.packets.get(KIND, 0) for crossing in paths.crossings.values()) == 0


def test_a_hierarchy_is_crossed_once_a_link() -> None:
    graph = hierarchy.build(hosts=16)
    _, paths = carry(Network(graph), 0)
    crossed = sum(sum(each.packets.values()) for each in paths.crossings.values())
    assert crossed == len(graph.children(graph.core.name)) - 1


def test_a_router_is_asked_once_for_each_output_and_loses_for_all_behind_it() -> None:
    network = Network(DEEP)
    tree = Paths(network, 1).tree(network.home[0], ALL)
    asked: list[str] = []

    def forwards(router: str) -> bool:
        asked.append(router)
        return router != "r1"

    reached = tree.carry(0, KIND, 100, None, forwards)
    assert {node for node, _ in reached} == {1, 8, 9}
    assert sorted(asked) == ["r0", "r0", "r1", "r1", "r2"]
