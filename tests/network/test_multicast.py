"""The kernel's multicast routing, over static trees: who hears a multicast, and what counts it."""

from __future__ import annotations

import socket
import time
from collections import Counter
from typing import Any, cast

import pytest

from agents import groups
from agents.hosts import PORT, Hosts
from agents.runner import open_udp
from testbed import counters, shaping, terms
from testbed.accounts import AgentTerms
from testbed.conservation import explain
from testbed.errors import UsageError
from testbed.kernel.namespaces import entered
from testbed.kernel.nft import Nft
from testbed.network import Network
from testbed.network.multicast import Multicast
from testbed.simulator.paths import Network as Virtual
from testbed.simulator.paths import Paths
from tests.network.capture import Ring
from topologies.graph import Graph, Impairment, Router

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

ROUTERS = [Router("r0", 0, None), Router("r1", 1, "r0"), Router("r2", 1, "r0")]
ROUTERS += [Router("r3", 2, "r1"), Router("r4", 2, "r1")]
DEEP = Graph.grow("deep", ROUTERS, [("r0", 2), ("r2", 2), ("r3", 3), ("r4", 2), ("r4", 1)])


class Members:
    """A socket on each host, in all groups of its host."""

    def __init__(self, net: Any, graph: Graph) -> None:
        nested = [graph.groups(host.node) for host in graph.hosts]
        self.hosts = Hosts.make([str(host.address) for host in graph.hosts], nested)
        self.sent = [0] * graph.nodes
        self.heard: list[Counter[tuple[int, int]]] = [Counter() for _ in graph.hosts]
        """(sender, group) that came to each host."""
        self.sockets = []
        for host in graph.hosts:
            with entered(net.get(host.name).netns):
                member_of = self.hosts.member_of(host.node)
                self.sockets.append(open_udp(str(host.address), PORT, member_of))

    def cast(self, node: int, group: int, ttl: int = 64, kind: int = 1) -> None:
        udp = self.sockets[node]
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        udp.sendto(bytes([kind, node, group]), (groups.address(group), PORT))
        self.sent[node] += 1

    def send(self, node: int, to: int) -> None:
        self.sockets[node].sendto(bytes([2, node, 99]), (self.hosts.address(to), PORT))
        self.sent[node] += 1

    def listen(self, quiet_s: float = 0.1, deadline_s: float = 5.0) -> None:
        """Reads until nothing has come for a while."""
        end = time.monotonic() + deadline_s
        quiet = time.monotonic() + quiet_s
        while time.monotonic() < min(quiet, end):
            for udp, heard in zip(self.sockets, self.heard, strict=True):
                try:
                    while True:
                        _, sender, group = udp.recv(100)
                        heard[sender, group] += 1
                        quiet = time.monotonic() + quiet_s
                except BlockingIOError:
                    pass


class Bench:
    """A network with multicast, loss, counters and members."""

    def __init__(self, net: Any, graph: Graph) -> None:
        self.net, self.graph = net, graph
        self.shaping = shaping.apply(net, graph)
        self.counters = counters.install(net, graph)
        self.multicast = Multicast(net, graph)
        self.members = Members(net, graph)

    def complaints(self) -> list[str]:
        places = self.net, self.graph, self.counters, self.shaping
        found = terms.read(*places, None, self.multicast)
        agents = {
            node: AgentTerms(sent, heard.total())
            for node, (sent, heard) in enumerate(
                zip(self.members.sent, self.members.heard, strict=True)
            )
        }
        return [str(each) for each in explain(self.graph, found, agents)]


@pytest.mark.parametrize("lan", ["routed", "switched"])
def test_each_member_hears_a_multicast_once_and_nobody_else_does(lan: Any) -> None:
    graph = Graph.grow("deep", ROUTERS, [("r0", 2), ("r2", 2), ("r3", 3), ("r4", 3)], lan=lan)
    with Network(graph) as net:
        multicast = Multicast(net, graph)
        members = Members(net, graph)
        for group in range(len(graph.subnets) + 1):
            for sender in range(graph.nodes):
                members.cast(sender, group)
        members.listen()
        multicast.close()
    for node in range(graph.nodes):
        mine = members.hosts.member_of(node)
        others = [sender for sender in range(graph.nodes) if sender != node]
        assert members.heard[node] == {(sender, group): 1 for sender in others for group in mine}


def switch(link: Any, state: str) -> None:
    for intf in (link.intf1, link.intf2):
        intf.ifconfig(state)


def test_after_a_link_was_down_multicasts_take_the_ways_of_before() -> None:
    """The kernel forgets a host's routes at `down`; without them all that it sends floods."""
    with Network(DEEP) as net:
        bench = Bench(net, DEEP)
        links = [net.get(host.name).defaultIntf().link for host in DEEP.hosts]
        links += [net.get(link.lower).intf("up").link for link in DEEP.links]
        for link in links:
            switch(link, "down")
            switch(link, "up")
        for group in range(len(DEEP.subnets) + 1):
            for sender in range(DEEP.nodes):
                bench.members.cast(sender, group)
        bench.members.listen()
        assert bench.complaints() == []
    for node in range(DEEP.nodes):
        mine = bench.members.hosts.member_of(node)
        others = [sender for sender in range(DEEP.nodes) if sender != node]
        expected = {(sender, group): 1 for sender in others for group in mine}
        assert bench.members.heard[node] == expected


@pytest.mark.parametrize("router", [None, "r1"], ids=["of a host", "of a router"])
def test_copies_for_a_link_that_is_down_are_known_to_the_packet(router: str | None) -> None:
    last = DEEP.hosts[-1]
    with Network(DEEP) as net:
        bench = Bench(net, DEEP)
        if router is None:
            link = net.get(last.name).defaultIntf().link
            ports = [(DEEP.router_of(last).name, last.subnet, last.name)]
        else:
            link = net.get(router).intf("up").link
            ports = [(str(DEEP.router(router).parent), router, ""), (router, "up", "")]
        bench.multicast.withhold(ports)
        switch(link, "down")
        for sender in range(DEEP.nodes - 1):
            bench.members.cast(sender, groups.ALL)
        bench.members.listen()
        under_way = bench.complaints()
        switch(link, "up")
        bench.multicast.resume(ports)
        for sender in range(DEEP.nodes):
            bench.members.cast(sender, groups.ALL)
        bench.members.listen()
        found = [bench.multicast.read(at).withheld[side] for at, side, _ in ports]
        assert under_way == bench.complaints() == []
    assert sum(found) == DEEP.nodes - 1


@pytest.mark.parametrize("ttl", [1, 2, 3, 4, 5])
def test_the_time_to_live_ends_where_the_simulator_says(ttl: int) -> None:
    paths = Paths(Virtual(DEEP), 1)
    with Network(DEEP) as net:
        multicast = Multicast(net, DEEP)
        members = Members(net, DEEP)
        for sender in range(DEEP.nodes):
            members.cast(sender, groups.ALL, ttl)
        members.listen()
        multicast.close()
    for sender in range(DEEP.nodes):
        home = paths.network.home[sender]
        reached = paths.tree(home, groups.ALL).carry(sender, 1, 3, ttl)
        heard = [node for node in range(DEEP.nodes) if members.heard[node][sender, groups.ALL]]
        assert heard == sorted(node for node, _ in reached)


def test_counts_at_the_core_equal_a_capture_and_the_simulator() -> None:
    core = DEEP.core.name
    paths = Paths(Virtual(DEEP), 1)
    outputs = {"d-r1": "r1", "d-r2": "r2"}
    with Network(DEEP) as net:
        bench = Bench(net, DEEP)
        rings = {
            device: Ring(net.get(router).netns, "up")
            for device, router in outputs.items()  # what has left the core by that device
        }
        rings["br-s1"] = Ring(net.get(DEEP.hosts[1].name).netns, "h2-eth0")
        for sender in (0, 3, 5, 9):
            for group in range(len(DEEP.subnets) + 1):
                bench.members.cast(sender, group)
                home = paths.network.home[sender]
                paths.tree(home, group).carry(sender, 1, 3, None)
        bench.members.listen()
        captured = {
            device: Counter(each.source for each in ring.read() if each.port == PORT)
            for device, ring in rings.items()
        }
        for ring in rings.values():
            assert ring.lost() == 0
            ring.__exit__()
        rows = bench.counters.read(core)
        assert bench.counters.complaints() == []
        assert bench.complaints() == []
    counted = {(row.input, row.output): row.packets for row in rows}
    simulated = {way: each.packets[1] for way, each in paths.crossings.items() if each.packets}
    assert counted == simulated
    addresses = [str(host.address) for host in DEEP.hosts]
    for output, device in (("r1", "d-r1"), ("r2", "d-r2")):
        left = sum(packets for (_, to), packets in counted.items() if to == output)
        assert captured[device].total() == left
    # Host 2 of the core's own subnet hears what is routed to it, and what host 1 says itself.
    routed = sum(packets for (_, to), packets in counted.items() if to == "s1")
    assert captured["br-s1"].total() - captured["br-s1"][addresses[0]] == routed


@pytest.mark.parametrize("lan", ["routed", "switched"])
def test_every_copy_of_a_lossy_network_is_accounted_for(lan: Any) -> None:
    loss = Impairment(loss_ratio=0.2)
    # What waits for an ARP answer that is lost is dropped by the kernel without a word.
    near = loss if lan == "routed" else Impairment()
    sizes = [("r0", 2), ("r2", 2), ("r3", 3), ("r4", 3)]
    graph = Graph.grow("deep", ROUTERS, sizes, receive=near, send=near, across=loss, lan=lan)
    with Network(graph) as net:
        bench = Bench(net, graph)
        for turn in range(20):
            for sender in range(graph.nodes):
                for group in range(len(graph.subnets) + 1):
                    bench.members.cast(sender, group, ttl=1 + (turn + sender) % 6)
                bench.members.send(sender, (sender + 1 + turn) % graph.nodes)
            bench.members.listen(quiet_s=0.0)
        bench.members.listen()
        complaints = bench.complaints()
        heard = sum(each.total() for each in bench.members.heard)
    assert complaints == []
    assert heard > 500


@pytest.mark.parametrize("lan", ["routed", "switched"])
def test_a_delayed_multicast_meets_each_link_once_and_its_copies_go_on(lan: Any) -> None:
    late = Impairment(delay_ms=5, jitter_ms=1)
    twice = Impairment(delay_ms=5, duplicate_ratio=0.2)
    sizes = [("r0", 2), ("r2", 2), ("r3", 3), ("r4", 3)]
    parts: dict[str, Any] = {"receive": late, "send": late, "across": twice, "lan": lan}
    graph = Graph.grow("deep", ROUTERS, sizes, **parts)
    with Network(graph) as net:
        bench = Bench(net, graph)
        if bench.shaping.backend != "nfqueue":
            pytest.skip("another backend delays here")
        for turn in range(4):
            for sender in range(graph.nodes):
                bench.members.cast(sender, groups.ALL)
                bench.members.cast(sender, 1 + (turn + sender) % 4, ttl=1 + turn)
            bench.members.listen(quiet_s=0.03)
        for _ in range(20):
            bench.members.listen(quiet_s=0.2)
            if not bench.shaping.held():
                break
        bench.members.listen(quiet_s=0.2)
        counted = bench.shaping.counted()
        complaints = bench.complaints()
        bench.shaping.close()
    assert complaints == []
    for host in graph.hosts:
        router = graph.router_of(host).name
        heard = bench.members.heard[host.node]
        # A new bridge's few IGMP messages meet the link as well.
        assert 0 <= counted[router, f"p{host.node}"].passed - heard.total() <= 5
        own = range(graph.nodes)[graph.groups(host.node)[0].start : graph.groups(host.node)[0].stop]
        # No link of routers on the way from its own subnet: nothing is heard twice.
        assert {heard[near, groups.ALL] for near in own if near != host.node} == {4}
    assert sum(each.copies for each in counted.values()) > 20


def test_a_copy_that_is_dropped_uncounted_is_noticed() -> None:
    with Network(DEEP) as net:
        bench = Bench(net, DEEP)
        nft = Nft(net.get("r2").netns)
        nft.change(
            "table ip sabotage {\nchain c {\ntype filter hook postrouting priority 350;\n"
            "ip daddr 239.192.0.0/14 drop\n}\n}\n"
        )
        nft.close()
        bench.members.cast(0, groups.ALL)
        bench.members.listen()
        complaints = bench.complaints()
    assert [line.partition(":")[0] for line in complaints] == ["r2 to s5", "network"]


def test_a_router_with_too_many_sides_is_refused_before_the_network_is_there() -> None:
    routers = [Router("r0", 0, None), *(Router(f"r{n}", 1, "r0") for n in range(1, 34))]
    graph = Graph.grow("wide", routers, [(f"r{n}", 1) for n in range(1, 34)])
    with pytest.raises(UsageError, match=r"router r0: 33 subnets and links, .* 32 a router"):
        Multicast(cast(Any, None), graph)
