from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from topologies import two_subnets
from topologies.graph import Graph, GraphError, Host, Router

GOOD = two_subnets.build(hosts=6)


def router(place: int, **changes: Any) -> dict[str, Any]:
    return _changed("routers", place, changes)


def subnet(place: int, **changes: Any) -> dict[str, Any]:
    return _changed("subnets", place, changes)


def host(place: int, **changes: Any) -> dict[str, Any]:
    return _changed("hosts", place, changes)


def link(place: int, **changes: Any) -> dict[str, Any]:
    return _changed("links", place, changes)


def _changed(field: str, place: int, changes: dict[str, Any]) -> dict[str, Any]:
    parts = list(getattr(GOOD, field))
    parts[place] = replace(parts[place], **changes)
    return {field: tuple(parts)}


def swapped() -> dict[str, Any]:
    """h3 and h4 live in each other's subnet: the numbers of a subnet have a gap."""
    third, fourth = GOOD.hosts[2:4]
    hosts = list(GOOD.hosts)
    hosts[2] = replace(third, subnet=fourth.subnet, address=fourth.address)
    hosts[3] = replace(fourth, subnet=third.subnet, address=third.address)
    return {"hosts": tuple(hosts)}


def with_empty_subnet() -> dict[str, Any]:
    empty = replace(GOOD.subnets[0], name="s3", prefix=IPv4Network("10.9.0.0/24"))
    empty = replace(empty, gateway=IPv4Address("10.9.0.1"))
    return {"subnets": (*GOOD.subnets, empty)}


def crowded(size: int) -> dict[str, Any]:
    prefix = IPv4Network("10.4.0.0/20")
    first = replace(GOOD.subnets[0], prefix=prefix, gateway=prefix[-2])
    hosts = [
        Host(f"h{n + 1}", n, "s1", prefix[n + 1], f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}")
        for n in range(size)
    ]
    return {"subnets": (first,), "hosts": tuple(hosts)}


BAD: list[tuple[Callable[[], dict[str, Any]], str]] = [
    (lambda: {"lan": "wifi"}, r"lan = 'wifi': choose 'routed' or 'switched'"),
    (lambda: {"hosts": GOOD.hosts[:1]}, "two_subnets: 1 hosts; gossip needs 2 at least"),
    (lambda: {"hosts": ()}, "two_subnets: 0 hosts; "),
    (lambda: router(0, parent="r1"), "0 core routers"),
    (lambda: router(1, parent=None, level=0), r"2 core routers \['r0', 'r1'\]"),
    (lambda: router(1, parent="r7"), "router r1: no parent 'r7'; add"),
    (lambda: router(1, level=2), "router r1: level 2; make it 1"),
    (lambda: router(2, parent="r2"), "router r2: level 1; make it 2"),
    (lambda: router(2, name="r1"), "router name r1: given 2 times"),
    (lambda: {"links": GOOD.links[:1]}, "router r2: not linked to its parent; add the link"),
    (lambda: {"links": GOOD.links * 2}, "link r0-r1: join each router once, to its parent"),
    (lambda: link(0, upper="r2"), "link r2-r1: join each router once"),
    (lambda: link(0, lower="r9"), "link r0-r9: join each router once"),
    (lambda: link(0, lower_address=IPv4Address("172.16.0.2")), "are not one /31; use"),
    (lambda: link(1, **_addresses(GOOD.links[0])), "r0-r1 .* and r0-r2 .* overlap; move one"),
    (lambda: subnet(0, router="r9"), "subnet s1: no router 'r9'; add"),
    (lambda: subnet(0, gateway=IPv4Address("10.0.0.7")), "gateway 10.0.0.7 is no host address"),
    (lambda: subnet(0, gateway=IPv4Address("10.0.9.1")), "gateway 10.0.9.1 is no host address"),
    (lambda: subnet(0, prefix=IPv4Network("10.0.0.0/28")), "s1 .* and s2 .* overlap"),
    (with_empty_subnet, r"subnet s3: 0 hosts; a Linux bridge takes 1\.\.1023"),
    (lambda: crowded(1024), r"subnet s1: 1024 hosts; a Linux bridge takes 1\.\.1023, use more"),
    (lambda: host(1, node=2), "host h2: node 2 in place 1; number from 0"),
    (lambda: host(5, subnet="s9"), "host h6: no subnet 's9'; add"),
    (
        lambda: host(1, address=IPv4Address("10.0.0.9")),
        "host h2: 10.0.0.9 is not free in 10.0.0.0/",
    ),
    (lambda: host(1, address=GOOD.subnets[0].gateway), "host h2: 10.0.0.6 is not free"),
    (lambda: host(1, address=GOOD.hosts[0].address), "address 10.0.0.1: given 2 times"),
    (lambda: host(1, mac=GOOD.hosts[0].mac), "MAC address 02:.*: given 2 times"),
    (lambda: host(1, mac="01:00:5e:00:00:01"), "host h2: '01:.*' is no unicast MAC address"),
    (lambda: host(1, mac="nonsense"), "host h2: 'nonsense' is no unicast MAC address"),
    (lambda: host(1, name="h1"), "name h1: given 2 times"),
    (lambda: host(1, name="r1"), "name r1: given 2 times"),
    (lambda: host(1, name="h 2"), "name 'h 2': use a letter"),
    (lambda: host(1, name="../x"), r"name '\.\./x': use a letter"),
    (lambda: host(1, name="h1234567890"), "interface h1234567890-eth0: 16 characters"),
    (swapped, "its nodes are not consecutive; number the hosts subnet by subnet"),
]


def _addresses(of: Any) -> dict[str, Any]:
    return {"upper_address": of.upper_address, "lower_address": of.lower_address}


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message for _, message in BAD])
def test_parts_that_make_no_network_are_refused(
    changes: Callable[[], dict[str, Any]], message: str
) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        replace(GOOD, **changes())
    assert "\n" not in str(caught.value)


def test_a_bridge_takes_1023_hosts() -> None:
    assert replace(GOOD, **crowded(1023)).nodes == 1023


def test_a_name_may_fill_its_interface() -> None:
    assert replace(GOOD, **host(1, name="h123456789")).host(1).name == "h123456789"


def chain(levels: int) -> Graph:
    routers = [Router("r0", 0, None)]
    routers += [Router(f"r{n}", n, f"r{n - 1}") for n in range(1, levels + 1)]
    return Graph.grow("chain", routers, [("r0", 2), (routers[-1].name, 2)])


def test_levels_end_where_a_datagram_would() -> None:
    assert len(chain(31).path(0, 3)) == 32
    with pytest.raises(GraphError, match="32 levels of routers: a datagram's TTL of 64 allows 31"):
        chain(32)


def test_a_level_too_deep_is_refused_in_a_graph_of_one_s_own_too() -> None:
    graph = chain(31)
    deeper = Router("r32", 32, "r31")
    link = replace(graph.links[-1], upper="r31", lower="r32", **_free_pair())
    with pytest.raises(GraphError, match="router r32: level 32; a datagram's TTL of 64 allows 31"):
        replace(graph, routers=(*graph.routers, deeper), links=(*graph.links, link))


def test_the_upper_end_of_a_link_may_have_the_odd_address() -> None:
    first = GOOD.links[0]
    turned = link(0, upper_address=first.lower_address, lower_address=first.upper_address)
    assert replace(GOOD, **turned).links[0].prefix == first.prefix


def _free_pair() -> dict[str, Any]:
    return {
        "upper_address": IPv4Address("172.20.0.0"),
        "lower_address": IPv4Address("172.20.0.1"),
    }


def test_subnets_below_two_routers_must_not_mix_their_numbers() -> None:
    routers = [Router("r0", 0, None), Router("r1", 1, "r0"), Router("r2", 1, "r0")]
    graph = Graph.grow("x", routers, [("r1", 1), ("r1", 1), ("r2", 1)])
    assert [subnet.router for subnet in graph.subnets] == ["r1", "r1", "r2"]
    moved = tuple(
        replace(subnet, router=router)
        for subnet, router in zip(graph.subnets, ("r1", "r2", "r1"), strict=True)
    )
    with pytest.raises(GraphError, match="r1: its nodes are not consecutive"):
        replace(graph, subnets=moved)
