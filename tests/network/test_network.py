"""Tests of testbed.network: what a graph becomes in the kernel, and that nothing of it stays."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import resource
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import TestbedError, UsageError
from testbed.kernel import namespaces, rtnetlink, sysctls
from testbed.kernel.netlink import Channel, NetlinkError
from testbed.network import Network, bulk
from topologies import hierarchy, two_subnets

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

_ARP = 0x0806


def received(net: Network, source: str, target: str) -> int:
    """How many routers one ping crosses there: 64 less the TTL of what comes back; -1 if none."""
    answer = net[source].cmd("ping -c1 -W1", net[target].IP())
    ttl = re.search(r"ttl=(\d+)", answer)
    return 64 - int(ttl[1]) if ttl else -1


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def setting(node: Any, name: str) -> str:
    with namespaces.entered(node.netns):
        return Path("/proc/sys/net", name).read_text().strip()


@contextmanager
def listening(netns: int, protocol: int) -> Iterator[socket.socket]:
    """A socket that hears all frames of a protocol in a namespace."""
    with namespaces.entered(netns):
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    with heard:
        heard.setblocking(False)
        yield heard


def heard_by(listener: socket.socket) -> list[bytes]:
    """The frames that have arrived; some may be the kernel's own (IGMP)."""
    frames = []
    while True:
        try:
            frames.append(listener.recv(2048))
        except BlockingIOError:
            return frames


def test_every_host_reaches_every_other() -> None:
    with Network(two_subnets.build(hosts=4)) as net:
        assert net.pingAll() == 0


def test_a_deeper_tree_is_routed_too() -> None:
    with Network(hierarchy.build(depth=2, fan_out=2, hosts_per_subnet=1)) as net:
        assert net.pingAll() == 0


def test_neighbours_in_a_subnet_talk_through_their_router_alone() -> None:
    with Network(two_subnets.build(hosts=4)) as net:
        assert received(net, "h1", "h2") == 1
        assert received(net, "h1", "h3") == 3


def test_hosts_of_a_switched_subnet_talk_directly() -> None:
    with Network(two_subnets.build(hosts=4, lan="switched")) as net:
        assert received(net, "h1", "h2") == 0
        assert received(net, "h1", "h3") == 3


def test_no_arp_is_on_the_wire() -> None:
    with (
        Network(two_subnets.build(hosts=4)) as net,
        listening(net["r1"].netns, _ARP) as edge,
        listening(net["r0"].netns, _ARP) as core,
    ):
        assert net.pingAll() == 0
        for heard in (edge, core):
            with pytest.raises(BlockingIOError):
                heard.recv(2048)


def test_arp_is_heard_in_a_switched_subnet() -> None:
    with (
        Network(two_subnets.build(hosts=4, lan="switched")) as net,
        listening(net["r1"].netns, _ARP) as edge,
    ):
        assert received(net, "h1", "h2") == 0
        assert edge.recv(2048)


def test_the_first_datagram_to_a_silent_host_is_not_flooded() -> None:
    """The bridge knows from the start which port every host is behind."""
    with (
        Network(two_subnets.build(hosts=6)) as net,
        listening(net["h2"].netns, 0x0003) as bystander,
    ):
        assert received(net, "h1", "h3") == 1
        meant = bytes.fromhex(net["h3"].MAC().replace(":", ""))
        assert meant not in [frame[:6] for frame in heard_by(bystander)]


def test_addresses_are_those_of_the_graph() -> None:
    graph = two_subnets.build(hosts=4)
    with Network(graph) as net:
        for host in graph.hosts:
            node = net[host.name]
            found = node.cmd("ip -o addr show dev", f"{host.name}-eth0")
            assert f"inet {host.address}/32 " in found
            assert host.mac in node.cmd("ip link show dev", f"{host.name}-eth0")
            assert (node.IP(), node.MAC()) == (str(host.address), host.mac)
        assert net["r1"].IP() == str(graph.subnet("s1").gateway)


def test_a_packet_to_an_address_that_nobody_has_is_refused_below_the_core() -> None:
    graph = hierarchy.build(depth=2, fan_out=2, hosts_per_subnet=1)
    with Network(graph) as net:
        for router in net.routers:
            routes = router.cmd("ip route show type throw")
            wanted = graph.unreachable(router.name)
            assert [line.split()[1] for line in routes.splitlines()] == [str(net) for net in wanted]


def test_routers_forward_and_hosts_do_not() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        for router in net.routers:
            for name, value in sysctls.ROUTER.items():
                if Path("/proc/sys/net", name).exists():
                    assert setting(router, name) == value
        assert setting(net["h1"], "ipv4/ip_forward") == "0"


def test_interfaces_of_a_router_send_no_redirects() -> None:
    """The kernel takes the or of `all` and the interface's own setting."""
    with Network(two_subnets.build(hosts=2)) as net:
        for device in ("br-s1", "up", "p0"):
            assert setting(net["r1"], f"ipv4/conf/{device}/send_redirects") == "0"


def test_there_is_no_ipv6_address() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        for node in net.values():
            assert node.cmd("ip -6 addr") == ""


def test_the_ends_of_a_wire_differ_in_index() -> None:
    """Else the kernel lets a carrier wait for up to a second."""
    with Network(two_subnets.build(hosts=4)) as net:
        for node in net.values():
            pairs = re.findall(r"^(\d+): \S+@if(\d+):", node.cmd("ip -o link"), re.MULTILINE)
            assert pairs
            assert all(own != peer for own, peer in pairs)


def test_all_interfaces_pass_frames_when_start_returns() -> None:
    with Network(two_subnets.build(hosts=64)) as net:
        for router in net.routers:
            with router.channel() as channel:
                down = [link for link in rtnetlink.links(channel) if not link.running]
            assert [link.name for link in down] == ["lo"]  # whose state is always unknown


def test_start_waits_for_interfaces_that_pass_no_frames_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, answers = rtnetlink.links, []

    def late(channel: Channel) -> list[rtnetlink.LinkInfo]:
        found = real(channel)
        answers.append(channel.where)
        if len(answers) < 3:
            return [replace(link, running=False) for link in found]
        return found

    monkeypatch.setattr(rtnetlink, "links", late)
    net = Network(two_subnets.build(hosts=2))
    net.start()
    assert answers[:5] == ["r0", "r0", "r0", "r1", "r2"]
    net.stop()


def test_interfaces_that_never_pass_frames_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_READY_S", 0.0)
    monkeypatch.setattr(
        rtnetlink,
        "links",
        lambda channel: [rtnetlink.LinkInfo(300, "d-r1", "", True, False, True)],
    )
    with pytest.raises(TestbedError, match=r"r0: d-r1 \(1 in all\) pass no frames 0 s after"):
        Network(two_subnets.build(hosts=2)).start()


def test_the_caller_stays_in_its_namespace() -> None:
    home = os.stat("/proc/thread-self/ns/net").st_ino
    with Network(two_subnets.build(hosts=2)):
        assert os.stat("/proc/thread-self/ns/net").st_ino == home
    assert os.stat("/proc/thread-self/ns/net").st_ino == home


def test_a_link_that_was_down_works_again() -> None:
    """The kernel forgets routes and neighbours of an interface that is set down."""
    with Network(two_subnets.build(hosts=4)) as net:
        for end, other in (("h1", "r1"), ("r0", "r1")):
            net.configLinkStatus(end, other, "down")
            assert received(net, "h1", "h3") == -1
            net.configLinkStatus(end, other, "up")
            assert received(net, "h1", "h3") == 3


def test_netns_is_open_while_the_node_exists() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        node = net["h1"]
        with namespaces.entered(node.netns):
            assert "h1-eth0" in (name for _, name in socket.if_nameindex())
    with pytest.raises(TestbedError, match="h1: its namespace is gone"):
        _ = node.netns


def test_building_and_stopping_leaves_no_descriptor_and_no_process() -> None:
    graph = two_subnets.build(hosts=4)
    before = None
    for _ in range(3):
        with Network(graph) as net:
            net["h1"].cmd("sleep 1000 &")
            net["h2"].popen("sleep 1000", stdout=None, stderr=None)
        if before is None:  # after the first round: modules are loaded on first use
            before = open_files()
        assert open_files() == before
        living = ["pgrep", "-c", "--runstates", "RSDTtI", "sleep"]  # no zombie, which PID 1 reaps
        assert subprocess.run(living, stdout=subprocess.PIPE).stdout == b"0\n"
    assert os.listdir("/sys/class/net") == ["lo"]


def test_stop_returns_when_the_interfaces_are_gone() -> None:
    """Seen from a namespace that outlives the network and holds one end of a link into it."""
    net = Network(two_subnets.build(hosts=64))
    net.start()
    with net["h64"].channel() as channel:
        channel.ask([rtnetlink.veth("far", 0, None, "near", 0, None, _own())])
    net.stop()
    assert os.listdir("/sys/class/net") == ["lo"]


def _own() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def test_stop_may_be_called_again() -> None:
    net = Network(two_subnets.build(hosts=2))
    net.start()
    net.stop()
    net.stop()


def test_a_process_left_in_a_node_is_named(caplog: pytest.LogCaptureFixture) -> None:
    net = Network(two_subnets.build(hosts=2))
    net.start()
    with namespaces.entered(net["h2"].netns):
        stranger = subprocess.Popen(["sleep", "1000"])
    with caplog.at_level(logging.WARNING):
        net.stop()
    stranger.kill()
    stranger.wait()
    assert f"h2: {stranger.pid} (sleep)" in caplog.text


def test_a_process_that_ends_while_its_node_is_stopped_is_not_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    net = Network(two_subnets.build(hosts=2))
    net.build()
    with namespaces.entered(net["h2"].netns):
        dying = subprocess.Popen(["sleep", "0.2"])
    with caplog.at_level(logging.WARNING):
        net.stop()
    assert caplog.text == ""
    assert dying.wait() == 0


def test_two_networks_of_the_same_names_live_side_by_side() -> None:
    graph = two_subnets.build(hosts=2)
    with Network(graph) as one, Network(graph) as other:
        one["h1"].cmd("ip link set h1-eth0 down")
        assert received(one, "h1", "h2") == -1
        assert received(other, "h1", "h2") == 3


def test_a_build_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    home = os.stat("/proc/thread-self/ns/net").st_ino
    real = rtnetlink.neighbour

    def wrong(index: int, ip: rtnetlink.Address, mac: str, name: str) -> Any:
        return real(9999 if name == "h2-eth0" else index, ip, mac, name)

    Network(two_subnets.build(hosts=2)).stop()
    before = open_files()
    monkeypatch.setattr(rtnetlink, "neighbour", wrong)
    net = Network(two_subnets.build(hosts=2))
    with pytest.raises(NetlinkError, match=r"^h2: cannot add the neighbour .* on h2-eth0: ENODEV"):
        net.start()
    assert open_files() == before
    assert os.stat("/proc/thread-self/ns/net").st_ino == home


def test_more_nodes_than_open_files_are_refused() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
    with pytest.raises(UsageError, match=r"33 nodes need 161 open files, the limit is 150; raise"):
        Network(two_subnets.build(hosts=30)).build()


def test_the_kernels_own_words_are_in_an_error() -> None:
    anywhere = ipaddress.IPv4Address("192.0.2.1")
    with (
        Channel("here") as channel,
        pytest.raises(NetlinkError, match=r"ENODEV No such device \(.*Device not found\); the"),
    ):
        channel.ask([rtnetlink.address(9999, anywhere, 32, "nothing")])


def test_the_first_refusal_of_a_batch_is_the_one_reported() -> None:
    with Channel("here") as channel:
        with pytest.raises(NetlinkError, match="here: cannot make the bridge br0: EEXIST"):
            channel.ask(
                [
                    rtnetlink.bridge("br0"),
                    rtnetlink.bridge("br0"),
                    rtnetlink.switch(9999, True, "nothing"),
                    rtnetlink.bridge("br1"),
                ]
            )
        assert {link.name for link in rtnetlink.links(channel)} >= {"br0", "br1"}
