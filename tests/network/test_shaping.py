"""Tests of testbed.shaping on live networks: what each backend of this kernel really does."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import struct
import time
from statistics import median

import pytest

from agents.hosts import PORT
from testbed import lab, shaping
from testbed.errors import ShapingError
from testbed.kernel.namespaces import entered
from testbed.kernel.netlink import Channel
from testbed.kernel.nft import Nft
from testbed.kernel.rtnetlink import link
from testbed.network import Network
from testbed.shaping import pick
from testbed.shaping.netem import LIMIT_PACKETS, replaced
from testbed.shaping.nfqueue import Nfqueue
from testbed.shaping.nftables import TABLE
from tests.network.traffic import Sockets, plausible, two_subnets
from tests.network.weather import read_stamped, stamping_socket
from topologies.elements import Impairment
from topologies.graph import Graph

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

RATIOS = (0.01, 0.3, 0.9)
REPORTS = 10  # at most: IGMP reports of a bridge that has just come up are shaped as well
PER_S: dict[str, float] = {"nfqueue": 3000}
"""Datagrams a second that a backend is asked to bear here, if not all that come."""
BACKENDS = {backend.name: backend for backend in shaping.BACKENDS}


def loss(ratio: float) -> Impairment:
    return Impairment(loss_ratio=ratio)


@functools.cache
def problem(name: str) -> str | None:
    return lab.call(lambda: pick.probed(BACKENDS[name]))


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    """The name of each backend; a test is skipped for those that this kernel does not have."""
    name: str = request.param
    reason = problem(name)
    if reason:
        pytest.skip(f"{name}: {reason}")
    return name


def only(name: str) -> pytest.MarkDecorator:
    """For a test of what one backend alone has."""
    return pytest.mark.parametrize("backend", [name], indirect=True)


def test_some_backend_works_on_this_kernel() -> None:
    # Else all tests that are skipped for a missing backend would hide a broken one.
    assert [name for name in BACKENDS if not pick.probed(BACKENDS[name])] != []


def test_loss_of_each_host_is_what_was_asked_for(backend: str) -> None:
    graph = two_subnets(8, **{f"h{i}": loss(ratio) for i, ratio in enumerate(RATIOS, 1)})
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        sockets = Sockets(net, graph, PER_S.get(backend))
        # From the host's own subnet, by hairpin, and from the other one.
        sockets.send([(source, target) for target in range(3) for source in (3, 4)], count=5000)
        counted = applied.counted()
    for node, ratio in enumerate(RATIOS):
        lost = 10_000 - sockets.received[node]
        assert plausible(lost, 10_000, ratio, tests=6), f"h{node + 1}: {lost} of 10,000 lost"
        shaped = counted["r1", f"p{node}"]
        assert 0 <= shaped.dropped - lost <= REPORTS
        assert 0 <= shaped.passed - sockets.received[node] <= REPORTS
        assert shaped.dropped_udp in (lost, None)


def test_loss_of_one_loses_all_and_loss_of_zero_nothing(backend: str) -> None:
    graph = two_subnets(4, h1=loss(1))
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        sockets = Sockets(net, graph, PER_S.get(backend))
        sockets.send([(1, 0), (2, 0), (0, 1), (0, 2), (2, 3)], count=2000)
    assert sockets.received == [0, 2000, 2000, 2000]
    assert applied.backend == backend


def test_a_path_loses_what_the_graph_says_it_does(backend: str) -> None:
    graph = two_subnets(4, receive=loss(0.3), across=loss(0.4))
    assert graph.path_loss(0, 1) == pytest.approx(0.3)
    assert graph.path_loss(0, 2) == pytest.approx(1 - 0.6 * 0.6 * 0.7)
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        sockets = Sockets(net, graph, PER_S.get(backend))
        sockets.send([(0, 1), (0, 2)], count=8000)
        assert applied.complaints() == []
    for node in (1, 2):
        lost = 8000 - sockets.received[node]
        assert plausible(lost, 8000, graph.path_loss(0, node), tests=4), f"{lost} of 8,000 lost"


def test_loss_on_every_link_is_met_on_the_way_up_as_well(backend: str) -> None:
    graph = two_subnets(4, receive=loss(0.3), across=loss(0.4), send=loss(0.2))
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        sockets = Sockets(net, graph, PER_S.get(backend))
        sockets.send([(0, 1), (0, 2)], count=8000)
        counted = applied.counted()
    for node in (1, 2):
        lost = 8000 - sockets.received[node]
        assert plausible(lost, 8000, graph.path_loss(0, node), tests=6), f"{lost} of 8,000 lost"
    sent = counted["r1", "p0 in"]
    assert plausible(sent.dropped, sent.offered, 0.2, tests=6)
    assert 0 <= sent.offered - 16_000 <= REPORTS


def test_achieved_loss_is_known_by_ratio(backend: str) -> None:
    graph = two_subnets(4, receive=loss(0.5), h4=loss(0.25))
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        sockets = Sockets(net, graph, PER_S.get(backend))
        sockets.send([(0, 1), (1, 2), (1, 3)], count=1000)
        achieved = applied.by_ratio()
    assert 2000 <= achieved[0.5][1] <= 2000 + REPORTS
    assert 1000 <= achieved[0.25][1] <= 1000 + REPORTS
    for ratio, nodes in ((0.5, (1, 2)), (0.25, (3,))):
        lost = 1000 * len(nodes) - sum(sockets.received[node] for node in nodes)
        assert 0 <= achieved[ratio][0] - lost <= REPORTS


@pytest.mark.parametrize("backend", ["netem", "nfqueue"], indirect=True)
def test_each_direction_of_a_link_has_its_own_rate(backend: str) -> None:
    """100 frames of 250 bytes each way at once: 8 ms each out of h1, 2 ms each into it."""
    graph = two_subnets(4, h1=Impairment(rate_mbit=1))
    slow = dataclasses.replace(graph.hosts[0], send=Impairment(rate_mbit=0.25))
    hosts = (slow, *graph.hosts[1:])
    graph = Graph("uneven", graph.routers, graph.subnets, hosts, graph.links)
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        udp = [stamping_socket(net, host.name) for host in graph.hosts[:2]]
        for number in range(100):
            payload = struct.pack("=QI", time.time_ns(), number).ljust(208, b"\0")
            for source in range(2):
                udp[source].sendto(payload, (str(graph.hosts[1 - source].address), PORT))
        came: list[list[tuple[int, int, int]]] = [[], []]
        deadline = time.monotonic() + 60
        while min(map(len, came)) < 100 and time.monotonic() < deadline:
            for each, into in zip(udp, came, strict=True):
                read_stamped(each, into)
        applied.close()
    assert [len(into) for into in came] == [100, 100]
    # A busy machine may be late with any of them; the conformance checks are closer.
    frame_ms = [
        median(into[place + 50][2] - into[place][2] for place in range(50)) / 50e6 for into in came
    ]
    assert frame_ms == pytest.approx([2, 8], rel=0.1)


@pytest.mark.parametrize("backend", ["netem", "nfqueue"], indirect=True)
@pytest.mark.parametrize(("way", "source"), [("p0", 1), ("p0 in", 0)])
def test_what_waits_for_a_link_that_goes_down_is_known(backend: str, way: str, source: int) -> None:
    late = Impairment(delay_ms=1000)
    graph = two_subnets(4, h1=late)
    hosts = (dataclasses.replace(graph.hosts[0], send=late), *graph.hosts[1:])
    graph = Graph("late", graph.routers, graph.subnets, hosts, graph.links)
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        sockets = Sockets(net, graph)
        for _ in range(40):
            sockets.send_one(hosts[source], hosts[1 - source], b"payload")
        deadline = time.monotonic() + 0.95
        while applied.held() < 40:
            assert time.monotonic() < deadline
        ends = net.get("h1").defaultIntf().link
        with applied.going_down([("r1", way)]):
            for _ in range(10):  # come after the look at the queue
                sockets.send_one(hosts[source], hosts[1 - source], b"payload")
            for end in (ends.intf1, ends.intf2):
                end.ifconfig("down")
        sockets.drain(quiet_s=1.3)
        shaped = applied.counted()["r1", way]
        assert applied.held() == 0
        for end in (ends.intf1, ends.intf2):
            end.ifconfig("up")
        assert sum(sockets.received) == 0
        for _ in range(10):
            sockets.send_one(hosts[source], hosts[1 - source], b"payload")
        sockets.drain(quiet_s=1.3)
        assert sum(sockets.received) == 10, "it works again"
        applied.close()
    assert shaped.stranded_udp == (50 if backend == "nfqueue" else 0)
    assert 50 <= shaped.stranded + shaped.emptied <= 50 + REPORTS
    assert shaped.doubtful == 0


@only("nfqueue")
def test_packets_that_are_read_late_are_known_to_be_however_late(backend: str) -> None:
    graph = two_subnets(4, h1=loss(0.1))  # nothing is held: only the reading can be late
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        process = applied._backend
        assert isinstance(process, Nfqueue) and process.pid is not None
        sockets = Sockets(net, graph)
        with stamping_socket(net, "h3", port=0):  # as agents do, so that the kernel notes times
            sockets.send([(1, 0)], count=50)
            os.kill(process.pid, signal.SIGSTOP)
            for _ in range(50):
                sockets.send_one(graph.hosts[1], graph.hosts[0], b"payload")
            sockets.drain(quiet_s=0.4)
            os.kill(process.pid, signal.SIGCONT)
            sockets.drain()
        late_ms = applied.late_ms()
        sockets.send([(1, 0)], count=50)
        afterwards_ms = applied.late_ms()
        applied.close()
    assert 400 <= late_ms < 5000
    assert afterwards_ms < 300, "what was late before is not told again"


@only("nfqueue")
def test_a_queue_process_that_is_held_up_for_400_packets_loses_none(backend: str) -> None:
    graph = two_subnets(4, h1=loss(0.1))
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        process = applied._backend
        assert isinstance(process, Nfqueue) and process.pid is not None
        sockets = Sockets(net, graph)
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(400):
            sockets.send_one(graph.hosts[1], graph.hosts[0], b"payload")
        os.kill(process.pid, signal.SIGCONT)
        sockets.drain()
        assert applied.complaints() == []
        (achieved,) = applied.by_ratio().values()
        applied.close()
    assert 0 <= achieved[1] - 400 <= REPORTS
    assert 400 - achieved[0] <= sockets.received[0] <= 400 - achieved[0] + REPORTS


@pytest.mark.parametrize("backend", ["netem", "nfqueue"], indirect=True)
def test_a_link_changes_while_traffic_runs(backend: str) -> None:
    graph = two_subnets(4)
    later = {("r1", "p0"): [loss(1.0)], ("r0", "d-r2"): [loss(0.3)]}
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend, later=later)
        sockets = Sockets(net, graph, 1500)
        sockets.send([(1, 0), (0, 2)], count=500)
        assert sockets.received == [500, 0, 500, 0]
        applied.change("r1", "p0", loss(1.0))
        applied.change("r0", "d-r2", loss(0.3))
        applied.check()
        sockets.send([(1, 0), (0, 2)], count=500)
        applied.change("r1", "p0", loss(0.0))
        sockets.send([(1, 0)], count=100)
        with pytest.raises(ShapingError, match="r1 p1: is not shaped; name what it may become"):
            applied.change("r1", "p1", loss(0.5))
        applied.close()
    assert sockets.received[0] == 600
    assert plausible(1000 - sockets.received[2], 500, 0.3)


def test_nftables_is_passed_over_where_links_change() -> None:
    graph = two_subnets(4)
    with pytest.raises(ShapingError, match="cannot change h1's link while traffic runs"):
        shaping.choose(graph, "nftables", {("r1", "p0"): [loss(0.5)]})


def test_a_graph_without_loss_is_left_alone() -> None:
    graph = two_subnets(4)
    with Network(graph) as net:
        applied = shaping.apply(net, graph)
        applied.check()
    assert applied.backend == "none"
    assert applied.counted() == {}


@only("nftables")
def test_rules_changed_behind_the_back_are_noticed(backend: str) -> None:
    graph = two_subnets(4, receive=loss(0.25))
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        nft = Nft(net.get("r2").netns)
        nft.change(f"delete element bridge {TABLE} ports {{ p3 }}")
        with pytest.raises(ShapingError, match=r"r2 p3 .*wanted loss_ratio = 0.25.* says 0.0"):
            applied.check()
        nft.change(f"flush chain bridge {TABLE} met")
        with pytest.raises(ShapingError, match="r2 p2"):
            applied.check()
        nft.close()


@only("netem")
def test_a_queue_changed_behind_the_back_is_noticed(backend: str) -> None:
    graph = two_subnets(4, receive=loss(0.25))
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
        with entered(net.get("r2").netns):
            channel = Channel("r2")
        channel.ask([replaced(link(channel, "p3").index, "p3", loss(0.2))])
        channel.close()
        with pytest.raises(ShapingError, match=r"r2 p3 .*wanted loss_ratio = 0.25.* says 0.2"):
            applied.check()


@only("netem")
def test_tc_lists_what_was_asked_for(backend: str) -> None:
    graph = two_subnets(4, h3=loss(0.25))
    with Network(graph) as net:
        shaping.apply(net, graph, backend)
        listed = json.loads(net.get("r2").cmd("tc -j qdisc show dev p2"))
    assert [each["kind"] for each in listed] == ["netem"]
    assert listed[0]["options"]["loss-random"]["loss"] == 0.25
    assert listed[0]["options"]["limit"] == LIMIT_PACKETS
    assert "delay" not in listed[0]["options"]


def test_what_no_backend_gives_is_refused_before_a_network_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pick, "BACKENDS", (BACKENDS["nftables"],))
    graph = two_subnets(4, h2=Impairment(loss_ratio=0.1, delay_ms=20))
    with pytest.raises(ShapingError, match=r"^h2: loss_ratio = 0.1, delay_ms = 20: no backend"):
        shaping.choose(graph)


def test_a_ratio_is_held_as_finely_as_the_backend_says(backend: str) -> None:
    ratios = [0.5**k for k in range(1, 30)] + [1 - 0.5**k for k in range(2, 30)] + [1 / 3, 0.1]
    graph = two_subnets(len(ratios))
    hosts = [
        dataclasses.replace(host, receive=loss(ratio))
        for host, ratio in zip(graph.hosts, ratios, strict=True)
    ]
    graph = Graph("fine", graph.routers, graph.subnets, tuple(hosts), graph.links)
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend)
    assert applied.backend == backend
