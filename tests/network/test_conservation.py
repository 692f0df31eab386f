"""Tests of testbed.conservation and testbed.terms on live networks, whole and sabotaged."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import pytest

from agents.hosts import PORT
from testbed import counters, shaping, terms
from testbed.accounts import AgentTerms, Terms
from testbed.conservation import explain
from testbed.kernel.namespaces import entered
from testbed.kernel.nft import Nft
from testbed.network import Network
from testbed.shaping import Shaping
from tests.network.traffic import Sockets, two_subnets
from topologies.elements import Impairment
from topologies.graph import Graph

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

EVERY_PAIR = [(a, b) for a in range(4) for b in range(4)]  # to itself as well
LOSSY = two_subnets(
    4,
    receive=Impairment(loss_ratio=0.3),
    across=Impairment(loss_ratio=0.1),
    send=Impairment(loss_ratio=0.1),
)


class Bench:
    """A network with loss, counters, and a socket on every host."""

    def __init__(self, net: Any, graph: Graph, per_s: float | None = None) -> None:
        self.net, self.graph = net, graph
        self.shaping: Shaping = shaping.apply(net, graph)
        self.counters = counters.install(net, graph)
        self.sockets = Sockets(net, graph, per_s)

    def terms(self) -> Terms:
        return terms.read(self.net, self.graph, self.counters, self.shaping)

    def agents(self) -> dict[int, AgentTerms]:
        return {
            node: AgentTerms(sent, received)
            for node, (sent, received) in enumerate(
                zip(self.sockets.sent, self.sockets.received, strict=True)
            )
        }

    def complaints(self) -> list[str]:
        return [str(each) for each in explain(self.graph, self.terms(), self.agents())]


def sabotage(net: Any, node: str, hook: str, match: str) -> None:
    """Drops one kind of packet in a node, where nothing counts it."""
    nft = Nft(net.get(node).netns)
    chain = f"chain c {{\ntype filter hook {hook} priority 350;\n{match} drop\n}}\n"
    nft.change(f"table ip sabotage {{\n{chain}}}\n")
    nft.close()


def test_every_datagram_of_a_lossy_network_is_accounted_for() -> None:
    with Network(LOSSY) as net:
        bench = Bench(net, LOSSY)
        bench.sockets.send(EVERY_PAIR, types=3, count=1500)
        assert bench.complaints() == []
        found = bench.terms()
        assert sum(host.sent for host in found.hosts.values()) == 16 * 1500
        assert sum(host.looped for host in found.hosts.values()) == 4 * 1500
        assert found.hosts["h1"].lost.packets > 0
        assert found.routers["r0"].ports["d-r2"].lost.packets > 0


def test_copies_damage_and_full_queues_are_accounted_for_on_every_link() -> None:
    weather = Impairment(
        loss_ratio=0.05, delay_ms=3, jitter_ms=2, duplicate_ratio=0.1, corrupt_ratio=0.05
    )
    graph = two_subnets(4, receive=weather, across=weather, send=replace(weather, queue_packets=2))
    with Network(graph) as net:
        bench = Bench(net, graph, per_s=1500)
        if bench.shaping.backend == "netem":
            pytest.skip("netem counts neither copies nor damage")
        bench.sockets.send(EVERY_PAIR, types=3, count=150)
        found = bench.terms()
        assert bench.shaping.held() == 0
        assert bench.complaints() == []
        ways = [found.hosts["h1"].lost, found.hosts["h1"].lost_up]
        ways.append(found.routers["r0"].ports["d-r2"].lost)
        assert all(way.copies and way.udp for way in ways)
        assert ways[1].full > 0
        assert sum(host.errors for host in found.hosts.values()) > 0
        bench.shaping.close()


def test_datagrams_for_a_closed_port_or_a_full_socket_are_accounted_for() -> None:
    with Network(LOSSY) as net:
        bench = Bench(net, LOSSY)
        bench.sockets.sockets[1].close()
        bench.sockets.sockets[2].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        hosts = LOSSY.hosts
        for _ in range(2000):
            bench.sockets.send_one(hosts[0], hosts[1], b"\0")
            bench.sockets.send_one(hosts[0], hosts[2], b"\1" * 1300)
        del bench.sockets.sockets[1]
        bench.sockets.sockets.insert(1, unused(net))
        bench.sockets.drain()
        assert bench.complaints() == []
        found = bench.terms()
        assert found.hosts["h2"].no_port > 500
        assert found.hosts["h3"].overflows > 500


def unused(net: Any) -> socket.socket:
    with entered(net.get("h2").netns):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.bind(("127.0.0.1", PORT))
    return udp


@pytest.mark.parametrize(
    ("node", "hook", "match", "place"),
    [
        ("r1", "prerouting", "iifname br-s1 udp dport 9000 @th,64,8 2", "s1 to r1"),
        ("r1", "postrouting", "oifname up udp dport 9000 @th,64,8 2", "r1 to r0"),
        ("r0", "forward", "udp dport 9000 @th,64,8 2", "r0 to r2"),
        ("r2", "postrouting", "oifname br-s2 udp dport 9000 @th,64,8 2", "r2 to s2"),
        ("h4", "input", "udp dport 9000 @th,64,8 2", "h4, arriving"),
    ],
)
def test_datagrams_that_vanish_are_noticed_where_they_do(
    node: str, hook: str, match: str, place: str
) -> None:
    with Network(LOSSY) as net:
        bench = Bench(net, LOSSY)
        sabotage(net, node, hook, match)
        bench.sockets.send([(0, 3), (1, 2)], types=3, count=300)
        found = explain(LOSSY, bench.terms(), bench.agents())
    assert [each.place for each in found] == [place, "network"]
    # A device may have dropped a bridge's IGMP report, which explains one over the whole network.
    assert 0 <= found[0].packets - found[1].packets <= 5
    assert found[0].packets > 10


def test_datagrams_of_another_program_are_noticed() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        bench = Bench(net, graph)
        bench.sockets.send([(0, 2)], count=10)
        bench.sockets.sockets[1].sendto(b"\0", (str(graph.hosts[2].address), PORT))
        bench.sockets.drain()
        complaints = bench.complaints()
    assert complaints[0].startswith("h2, sending: 1 datagrams vanished: 1 sent against 0")


def test_a_stretch_of_time_balances_by_itself() -> None:
    with Network(LOSSY) as net:
        bench = Bench(net, LOSSY)
        bench.sockets.send(EVERY_PAIR, count=50)
        before = bench.terms()
        bench.sockets.sent = [0] * 4
        bench.sockets.received = [0] * 4
        bench.sockets.send(EVERY_PAIR, types=2, count=60)
        added = bench.terms().since(before)
        assert explain(LOSSY, added, bench.agents()) == []
        assert sum(host.sent for host in added.hosts.values()) == 16 * 60


def test_datagrams_stand_still_when_nothing_is_under_way() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        sockets = Sockets(net, graph)
        assert terms.datagrams(net, graph) == (0, 0)
        sockets.send([(0, 1), (0, 2)], count=10)
        assert terms.datagrams(net, graph) == (20, 20)
