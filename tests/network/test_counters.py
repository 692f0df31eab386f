"""Tests of testbed.counters on live networks, against packets captured independently."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from agents.hosts import PORT
from testbed import counters, shaping
from testbed.kernel.nft import Nft
from testbed.network import Network
from tests.network.capture import Ring, Tcpdump
from tests.network.traffic import Sockets, two_subnets
from topologies.elements import Impairment

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

EVERY_PAIR = [(a, b) for a in range(4) for b in range(4) if a != b]


def test_counts_at_the_core_equal_a_capture_to_the_packet() -> None:
    graph = two_subnets(4, receive=Impairment(loss_ratio=0.5))
    with Network(graph) as net:
        shaping.apply(net, graph)
        counted = counters.install(net, graph)
        core = net.get("r0").netns
        with Ring(core, "d-r1") as left, Ring(core, "d-r2") as right:
            Sockets(net, graph).send(EVERY_PAIR, types=3, count=3000)
            captured = Counter(
                (came, each.type, each.bytes)
                for came, ring in (("r1", left), ("r2", right))
                for each in ring.read()
                if each.port == PORT
            )
            assert left.lost() == right.lost() == 0
        rows = counted.read("r0")
        complaints = counted.complaints()
    assert complaints == []
    assert {(row.input, row.type): row.packets for row in rows} == {
        (came, kind): packets for (came, kind, _), packets in captured.items()
    }
    assert {(row.input, row.type): row.bytes for row in rows} == {
        (came, kind): packets * size for (came, kind, size), packets in captured.items()
    }
    assert {(row.input, row.output) for row in rows} == {("r1", "r2"), ("r2", "r1")}
    assert sum(row.packets for row in rows) == 8 * 3000


@pytest.mark.skipif(
    os.geteuid() != 0 or Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"],
    reason="tcpdump cannot change to its user inside a plain user's lab",
)
def test_counts_at_the_core_equal_what_tcpdump_saw(tmp_path: Path) -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        counted = counters.install(net, graph)
        core = net.get("r0").netns
        dumps = [
            Tcpdump(core, device, tmp_path / device, f"udp port {PORT}")
            for device in ("d-r1", "d-r2")
        ]
        Sockets(net, graph).send(EVERY_PAIR, types=2, count=1000)
        left, right = (dump.stop() for dump in dumps)
        rows = counted.read("r0")
    assert {(row.input, row.type): row.packets for row in rows} == {
        (came, kind): packets
        for came, seen in (("r1", left), ("r2", right))
        for kind, packets in seen.items()
    }
    assert sum(row.packets for row in rows) == 8 * 1000


def test_packets_that_are_lost_afterwards_are_counted() -> None:
    graph = two_subnets(4, receive=Impairment(loss_ratio=1))
    with Network(graph) as net:
        shaping.apply(net, graph)
        counted = counters.install(net, graph)
        sockets = Sockets(net, graph)
        sockets.send([(0, 1), (0, 2)], count=500)
        ways = {(row.input, row.output): row.packets for row in counted.read("r1")}
        offered = counted.offered("r1") | counted.offered("r2")
    assert sum(sockets.received) == 0
    assert ways == {("s1", "s1"): 500, ("s1", "up"): 500}
    assert {host: each.udp for host, each in offered.items()} == {
        "h1": 0,
        "h2": 500,
        "h3": 500,
        "h4": 0,
    }


def test_packets_that_a_filter_drops_are_counted() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        nft = Nft(net.get("r1").netns)
        nft.change("table ip f {\nchain c {\ntype filter hook forward priority -299;\ndrop\n}\n}\n")
        nft.close()
        counted = counters.install(net, graph)
        sockets = Sockets(net, graph)
        sockets.send([(0, 1)], count=50)
        assert counted.totals("r1").datagrams == 50
        assert sum(sockets.received) == 0


def test_every_message_type_has_a_count_of_its_own() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        counted = counters.install(net, graph)
        Sockets(net, graph).send([(0, 1), (0, 3)], types=256, count=512)
        rows = counted.read("r1")
        assert counted.complaints() == []
    assert Counter((row.output, row.type) for row in rows) == {
        (output, kind): 1 for output in ("s1", "up") for kind in range(256)
    }
    assert {row.packets for row in rows} == {2}


def test_a_set_that_was_full_is_noticed() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        counted = counters.Counters(net, graph, size=2)
        sockets = Sockets(net, graph)
        sockets.send([(0, 1)], types=2, count=100)
        assert counted.complaints() == []
        sockets.send([(0, 1)], types=3, count=300)
        complaints = counted.complaints()
    assert complaints == [
        "r1: counted 400 datagrams, 300 of them by type; "
        "the set of counters is full or was changed during the run"
    ]


def test_icmp_and_foreign_datagrams_are_counted_apart() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        counted = counters.install(net, graph)
        sockets = Sockets(net, graph)
        for _ in range(5):
            # Nobody listens there: each is answered by an ICMP message.
            sockets.send_one(graph.hosts[0], graph.hosts[2], b"\0", port=PORT + 1)
        sockets.send([(0, 2)], count=7)
        totals = {router: counted.totals(router) for router in ("r0", "r1", "r2")}
    assert set(totals.values()) == {counters.Totals(datagrams=7, icmp=5, other=5)}


def test_a_sampler_keeps_cumulative_rows() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        counted = counters.install(net, graph)
        sampler = counters.Sampler(counted, ["r0"])
        sockets = Sockets(net, graph)
        for now_ns in (10, 20):
            sockets.send([(0, 2), (2, 0), (0, 1)], count=5)
            sampler.sample(now_ns)
    assert [row[:-1] for row in sampler.rows] == [
        (10, "r0", "r1", "r2", 0, 5),
        (10, "r0", "r2", "r1", 0, 5),
        (20, "r0", "r1", "r2", 0, 10),
        (20, "r0", "r2", "r1", 0, 10),
    ]


def test_reading_works_with_more_descriptors_than_select_takes() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1500)]
        counted = counters.install(net, graph)
        Sockets(net, graph).send([(0, 2)], count=3)
        assert [row.packets for row in counted.read("r0")] == [3]
        for descriptor in held:
            os.close(descriptor)


def test_a_set_that_is_gone_is_an_error() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        counted = counters.install(net, graph)
        nft = Nft(net.get("r0").netns)
        nft.change(f"delete table ip {counters.TABLE}")
        with pytest.raises(counters.CountersError, match="r0: "):
            counted.read("r0")
        nft.close()
