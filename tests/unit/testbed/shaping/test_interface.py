"""Tests of testbed.shaping.interface: which device each impairment of a graph belongs on."""

from __future__ import annotations

import dataclasses

from testbed.shaping.interface import asked, by_router, ports
from tests.unit.testbed.shaping.fakes import graph_of
from topologies.elements import PERFECT, Impairment
from topologies.graph import Graph


def loss(ratio: float) -> Impairment:
    return Impairment(loss_ratio=ratio)


def test_each_direction_of_a_link_is_shaped_where_packets_enter_it() -> None:
    graph = graph_of(PERFECT)
    first, second = graph.links
    links = (dataclasses.replace(first, down=loss(0.1), up=loss(0.2)), second)
    graph = Graph("links", graph.routers, graph.subnets, graph.hosts, links)
    assert [(p.router, p.device, p.to, p.bridged, p.impairment) for p in ports(graph)] == [
        ("r0", "d-r1", "r1", False, loss(0.1)),
        ("r1", "up", "r0", False, loss(0.2)),
    ]


def test_loss_towards_a_host_is_on_its_routers_port_and_nowhere_else() -> None:
    found = list(ports(graph_of(loss(0.3))))
    assert [(p.router, p.device, p.to, p.bridged, p.impairment) for p in found] == [
        ("r1", "p0", "h1", True, loss(0.3))
    ]


def test_a_perfect_graph_has_no_port_to_shape() -> None:
    assert list(ports(graph_of(PERFECT))) == []


def test_only_what_is_not_the_default_is_asked_for() -> None:
    assert asked(Impairment(loss_ratio=0.5, rate_mbit=10)) == {"loss_ratio": 0.5, "rate_mbit": 10}
    assert asked(PERFECT) == {}


def test_ports_are_grouped_by_router_in_their_order() -> None:
    grouped = by_router(list(ports(graph_of(loss(0.3), across=loss(0.1)))))
    assert {router: [p.device for p in its] for router, its in grouped.items()} == {
        "r0": ["d-r1", "d-r2"],
        "r1": ["p0", "up"],
        "r2": ["up"],
    }
