from __future__ import annotations

import pickle
from typing import Any

import pytest

from topologies import chain, hierarchy, star, two_subnets
from topologies.graph import (
    Graph,
    GraphError,
    Impairment,
    Router,
    bridge_device,
    host_device,
    link_device,
    mac_of,
    router_port,
)

TWO = two_subnets.build(hosts=7)


def test_two_subnets_has_a_core_and_an_edge_router_a_subnet() -> None:
    assert [(r.name, r.level, r.parent) for r in TWO.routers] == [
        ("r0", 0, None),
        ("r1", 1, "r0"),
        ("r2", 1, "r0"),
    ]
    assert TWO.core.name == "r0"
    assert [(s.name, s.router) for s in TWO.subnets] == [("s1", "r1"), ("s2", "r2")]
    assert [len(TWO.hosts_of(s.name)) for s in TWO.subnets] == [4, 3]
    assert [host.name for host in TWO.hosts_of("s2")] == ["h5", "h6", "h7"]


def test_addresses_start_at_one_and_the_gateway_has_the_last() -> None:
    first, second = TWO.subnets
    assert str(TWO.host(0).address) == "10.0.0.1"
    assert (str(first.prefix), str(first.gateway)) == ("10.0.0.0/29", "10.0.0.6")
    assert (str(second.prefix), str(second.gateway)) == ("10.0.0.8/29", "10.0.0.14")
    link = TWO.links[0]
    assert (str(link.upper_address), str(link.lower_address)) == ("172.16.0.0", "172.16.0.1")
    assert str(link.prefix) == "172.16.0.0/31"


def test_a_mac_address_is_local_and_made_of_the_address() -> None:
    assert TWO.host(0).mac == mac_of(TWO.host(0).address) == "02:00:0a:00:00:01"


def test_interfaces_are_named_after_what_they_lead_to() -> None:
    host, link = TWO.host(6), TWO.links[1]
    assert (host_device(host), router_port(host)) == ("h7-eth0", "p6")
    assert bridge_device(TWO.subnets[0]) == "br-s1"
    assert (link_device(link, "upper"), link_device(link, "lower")) == ("d-r2", "up")


def test_the_core_has_a_route_a_subnet_and_the_edges_a_default() -> None:
    graph = two_subnets.build(hosts=8)

    def lines(router: str) -> list[str]:
        return [f"{r.network} via {r.via} dev {r.device}" for r in graph.routes(router)]

    assert lines("r0") == [
        "10.0.0.0/29 via 172.16.0.1 dev d-r1",
        "10.0.0.8/29 via 172.16.0.3 dev d-r2",
    ]
    assert lines("r1") == ["0.0.0.0/0 via 172.16.0.0 dev up"]
    assert [str(network) for network in graph.unreachable("r1")] == ["10.0.0.0/29"]
    assert graph.unreachable("r0") == []


def test_the_groups_of_a_star_are_subnet_and_everyone() -> None:
    graph = star.build(hosts=12, subnets=3)
    assert graph.groups(5) == (range(4, 8), range(12))


def test_the_groups_of_a_hierarchy_have_a_level_a_router_level() -> None:
    graph = hierarchy.build(hosts=18, depth=2, fan_out=3)
    assert graph.groups(7) == (range(6, 8), range(6, 12), range(18))


def test_a_chain_of_routers_adds_no_groups() -> None:
    graph = hierarchy.build(hosts=4, depth=5, fan_out=1)
    assert graph.groups(1) == (range(4),)


def test_a_chain_is_numbered_along_its_line_and_each_link() -> None:
    graph = chain.build(hosts=5, subnets=5)
    assert graph.path(1, 4) == ("r1", "r2", "r3", "r4")
    assert graph.path(3, 0) == ("r3", "r2", "r1", "r0")
    assert graph.groups(3) == (range(3, 4), range(3, 5), range(2, 5), range(1, 5), range(5))


def test_a_hierarchy_has_hosts_in_its_leaves_only_from_left_to_right() -> None:
    graph = hierarchy.build(depth=2, fan_out=2, hosts_per_subnet=[1, 2, 3, 4])
    assert [router.name for router in graph.children("r0")] == ["r1", "r2"]
    assert [router.name for router in graph.children("r2")] == ["r5", "r6"]
    assert [(s.router, len(graph.hosts_of(s.name))) for s in graph.subnets] == [
        ("r3", 1),
        ("r4", 2),
        ("r5", 3),
        ("r6", 4),
    ]
    assert graph.path(0, 9) == ("r3", "r1", "r0", "r2", "r6")
    assert graph.path(1, 0) == ("r4", "r1", "r3")


def test_half_at_the_receiver_and_half_on_each_of_two_links_leaves_an_eighth() -> None:
    graph = two_subnets.build(hosts=8, loss_ratio=0.5, link_loss_ratio=0.5)
    assert graph.path_loss(0, 7) == 0.875
    assert graph.path_loss(0, 1) == 0.5
    assert graph.path_loss(0, 0) == 0.0
    assert graph.loss_classes() == {
        ("s1", "s1"): 0.5,
        ("s1", "s2"): 0.875,
        ("s2", "s1"): 0.875,
        ("s2", "s2"): 0.5,
    }


def test_the_loss_of_each_direction_of_a_link_is_its_own() -> None:
    graph = two_subnets.build(hosts=2)
    links = (
        type(graph.links[0])(
            *("r0", "r1", graph.links[0].upper_address, graph.links[0].lower_address),
            up=Impairment(loss_ratio=0.25),
        ),
        graph.links[1],
    )
    graph = Graph("x", graph.routers, graph.subnets, graph.hosts, links)
    assert (graph.path_loss(0, 1), graph.path_loss(1, 0)) == (0.25, 0.0)


def test_a_subnet_of_one_host_has_no_class_of_its_own() -> None:
    graph = two_subnets.build(hosts=3, loss_ratio=0.5)
    assert set(graph.loss_classes()) == {("s1", "s1"), ("s1", "s2"), ("s2", "s1")}


def test_hosts_that_receive_unalike_are_classes_by_name() -> None:
    graph = two_subnets.build(hosts=4)
    bad = type(graph.hosts[0])
    first = graph.hosts[0]
    lossy = bad(
        *(first.name, first.node, first.subnet, first.address, first.mac),
        receive=Impairment(loss_ratio=0.1),
    )
    graph = Graph("x", graph.routers, graph.subnets, (lossy, *graph.hosts[1:]), graph.links)
    classes = graph.loss_classes()
    assert classes["s1", "h1"] == classes["s2", "h1"] == 0.1
    assert classes["s1", "h2"] == classes["s1", "s2"] == 0.0


def test_a_switched_subnet_needs_no_router_inside_itself() -> None:
    graph = two_subnets.build(hosts=4, lan="switched")
    assert graph.path(0, 1) == ()
    assert graph.path(0, 2) == ("r1", "r0", "r2")
    assert two_subnets.build(hosts=4).path(0, 1) == ("r1",)


def test_an_unknown_part_is_named_with_those_there_are() -> None:
    with pytest.raises(GraphError, match=r"no router 'r9'; there are r0, r1, r2"):
        TWO.children("r9")
    with pytest.raises(GraphError, match=r"no subnet 's'; "):
        TWO.hosts_of("s")
    with pytest.raises(GraphError, match=r"node 7: there are 0\.\.6"):
        TWO.host(7)


def test_a_graph_comes_whole_out_of_a_pickle() -> None:
    TWO.routes("r0")
    copy = pickle.loads(pickle.dumps(TWO))
    assert copy == TWO
    assert copy.groups(3) == TWO.groups(3)


def test_equal_parameters_make_equal_graphs() -> None:
    assert two_subnets.build(hosts=7) == TWO


def test_subnets_may_hang_on_inner_routers_and_on_the_core() -> None:
    routers = [Router("r0", 0, None), Router("r1", 1, "r0")]
    graph = Graph.grow("x", routers, [("r1", 2), ("r0", 3)])
    assert [(s.name, s.router) for s in graph.subnets] == [("s1", "r0"), ("s2", "r1")]
    assert graph.groups(4) == (range(3, 5), range(5))
    assert graph.path(0, 4) == ("r0", "r1")


@pytest.mark.parametrize(
    ("impairment", "message"),
    [
        ({"loss_ratio": 1.5}, r"loss_ratio = 1\.5: outside 0\.\.1"),
        ({"loss_ratio": -0.1}, r"loss_ratio = -0\.1: outside"),
        ({"loss_ratio": float("nan")}, "loss_ratio = nan: outside"),
        ({"loss_ratio": "half"}, "loss_ratio = 'half': not a number"),
        ({"loss_ratio": True}, "loss_ratio = True: not a number"),
        ({"loss_ratio": None}, "loss_ratio = None: not a number"),
        ({"delay_ms": -1}, "delay_ms = -1: "),
        ({"jitter_ms": float("inf")}, "jitter_ms = inf: "),
        ({"rate_mbit": 0}, "rate_mbit = 0: "),
        ({"corrupt_ratio": 2}, "corrupt_ratio = 2: "),
    ],
)
def test_an_impairment_outside_its_domain_is_refused(
    impairment: dict[str, Any], message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        Impairment(**impairment)


def test_a_dead_link_and_no_rate_are_fine() -> None:
    assert not Impairment(loss_ratio=1, rate_mbit=None).perfect
    assert Impairment().perfect
