"""Tests that Mininet's interface works on these classes, alone and mixed with stock ones.

The facts are those that Mininet's own tests rely on: mininet/test/test_nets.py (ping over each
topology), test_walkthrough.py (what the CLI's commands do), test_hifi.py (bandwidth of a TCLink),
test_ptyleak.py, and examples/test (bind, linuxrouter, multilink, multipoll, popen).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from mininet import net as stock_net
from mininet import topo, topolib, util

from testbed.network import Host, Network, Router
from tests.network.mininets import FAST, running_shells, single
from topologies import two_subnets

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

# Topologies, as in test_nets.py


@pytest.mark.parametrize(
    "shape",
    [topo.SingleSwitchTopo(k=5), topo.LinearTopo(k=5), topolib.TreeTopo(depth=2, fanout=2)],
    ids=["single", "linear", "tree"],
)
@pytest.mark.parametrize("network", [Network, stock_net.Mininet])
def test_every_topology_pings(shape: Any, network: Any) -> None:
    net = network(topo=shape, **FAST)
    assert net.run(net.ping) == 0


def test_a_stock_network_of_these_classes_needs_no_shell() -> None:
    net = stock_net.Mininet(topo=topo.SingleSwitchTopo(4), **FAST)
    net.start()
    assert running_shells(net) == 0
    net.stop()


def test_network_leaves_the_settings_of_the_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("fixLimits was called")

    monkeypatch.setattr(stock_net, "fixLimits", refuse)
    monkeypatch.setattr(stock_net, "ensureRoot", refuse)
    single().stop()
    Network(two_subnets.build(hosts=2)).stop()
    assert stock_net.Mininet.inited is False


def test_a_switch_is_in_the_namespace_of_the_caller_unless_asked_otherwise() -> None:
    with single() as net:
        assert {"s1", "s1-eth1", "s1-eth2"} <= set(os.listdir("/sys/class/net"))
        net.pingAll()
    assert os.listdir("/sys/class/net") == ["lo"]
    net = Network(build=False)
    own = net.addSwitch("s1", inNamespace=True)
    for name in ("h1", "h2"):
        net.addLink(net.addHost(name), own)
    with net:
        assert os.listdir("/sys/class/net") == ["lo"]
        assert net.pingAll() == 0


def test_nodes_outside_of_namespaces_leave_no_link() -> None:
    with Network(build=False) as net:
        net.addLink(*(net.addHost(name, inNamespace=False) for name in ("h1", "h2")))
        assert {"h1-eth0", "h2-eth0"} <= set(os.listdir("/sys/class/net"))
        assert "h2-eth0" in net["h1"].cmd("ls /sys/class/net")
    assert os.listdir("/sys/class/net") == ["lo"]


def test_a_spanning_tree_opens_a_loop() -> None:
    """Three switches in a ring: one port is blocked, so a broadcast comes to an end."""
    with Network(build=False) as net:
        for number in (1, 2, 3):
            net.addSwitch(f"s{number}", stp=True)
        for one, other in (("s1", "s2"), ("s2", "s3"), ("s3", "s1")):
            net.addLink(one, other)
        net.start()
        assert not all(net[name].connected() for name in ("s1", "s2", "s3"))
        bridge = Path("/sys/class/net/s1/bridge")
        assert (bridge / "stp_state").read_text() == "1\n"
        assert int((bridge / "priority").read_text()) == net["s1"].prio
    assert os.listdir("/sys/class/net") == ["lo"]


# Processes


def test_the_shell_starts_on_first_use() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        assert running_shells(net) == 0
        assert net["h1"].cmd("echo hello").strip() == "hello"
        assert running_shells(net) == 1


@pytest.mark.parametrize("attribute", ["pid", "shell", "stdin", "stdout", "pollOut"])
def test_attributes_of_the_shell_are_there(attribute: str) -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        assert getattr(net["h1"], attribute) is not None


def test_pid_is_in_the_nodes_namespace() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        node = net["h1"]
        inside = os.stat(f"/proc/{node.pid}/ns/net").st_ino
        assert inside == os.fstat(node.netns).st_ino
        assert f"pid={node.pid}" in repr(node)


def test_a_stopped_node_takes_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    net = Network(two_subnets.build(hosts=2))
    net.start()
    node = net["h1"]
    net.stop()
    assert node.cmd("echo hello") is None
    assert node.shell is None


def test_commands_run_in_their_host() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        node = net["h2"]
        assert "h2-eth0" in node.cmd("ls /sys/class/net")
        assert node.popen("ls /sys/class/net").communicate()[0] == b"h2-eth0\nlo\n"
        assert node.popen("cd /sys/class; ls net", shell=True).communicate()[0] == b"h2-eth0\nlo\n"
        assert node.pexec("sh", "-c", "echo out; echo err >&2; exit 3") == ("out\n", "err\n", 3)


def test_output_can_be_waited_for_and_watched() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        node = net["h1"]
        node.sendCmd("echo begin; echo end")
        assert node.waiting
        assert node.waitOutput().split() == ["begin", "end"]
        node.sendCmd("sh -c 'echo ready; exec sleep 1000'")
        assert "ready" in node.monitor(timeoutms=30_000)  # an earlier Ctrl-C might find nobody
        node.sendInt()
        node.waitOutput()
        assert not node.waiting
        for host in net.hosts:
            host.sendCmd(f"echo from {host}")
        missing = {"h1", "h2"}
        for host, line in net.monitor(timeoutms=30_000):
            # A line that came in two reads has its first part twice, in Mininet's own readline.
            assert f"from {host}" in line
            missing.remove(host.name)
            if not missing:
                break


def test_a_background_job_has_its_pid_told() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        node = net["h1"]
        node.cmd("sleep 1000 &")
        os.kill(node.lastPid, signal.SIGTERM)


def test_pmonitor_reads_several_hosts() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        started = {host: host.popen("echo", host.name) for host in net.hosts}
        heard = {(host.name, line.strip()) for host, line in util.pmonitor(started) if host}
        assert heard == {("h1", "h1"), ("h2", "h2")}


def test_private_directories_differ_from_host_to_host(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    host = lambda name, **params: Host(  # noqa: E731
        name, privateDirs=[str(own), (str(shared), f"{tmp_path}/%(name)s")], **params
    )
    with single(host=host) as net:
        for node in net.hosts:
            node.cmd(f"echo {node} > {own}/name; echo {node} > {shared}/name")
        for node in net.hosts:
            assert node.cmd(f"cat {own}/name {shared}/name").split() == [node.name, node.name]
    assert (tmp_path / "h1" / "name").read_text() == "h1\n"
    assert os.listdir(own) == []


def test_deleting_and_adding_a_host_leaks_no_descriptor() -> None:
    with single() as net:
        net["h1"].cmd("true")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            net.delHost(net["h1"])
            net.addHost("h1").cmd("true")
        assert len(os.listdir("/proc/self/fd")) == before


# Interfaces and links


def test_addresses_can_be_changed() -> None:
    with single() as net:
        node = net["h1"]
        node.setIP("10.9.9.9/8")
        node.setMAC("00:00:00:00:00:99")
        assert (node.IP(), node.MAC()) == ("10.9.9.9", "00:00:00:00:00:99")
        assert node.intf().updateAddr() == ("10.9.9.9", "00:00:00:00:00:99")
        assert node.intf().updateIP() == "10.9.9.9"
        assert node.intf().updateMAC() == "00:00:00:00:00:99"
        assert net.pingAll() == 0
        assert node.cmd("ip -o -4 addr show dev h1-eth0").count("inet") == 1
        node.setIP("10.9.9.8", 24)
        assert "inet 10.9.9.8/24 brd 10.9.9.255" in node.cmd("ip -o -4 addr show dev h1-eth0")
        with pytest.raises(ValueError, match=r"h1-eth0: 10\.9\.9\.7 has no prefix length; write"):
            node.intf().setIP("10.9.9.7")


def test_ifconfig_takes_what_it_always_took() -> None:
    with single() as net:
        intf = net["h1"].intf()
        assert "10.0.0.1" in intf.ifconfig()
        assert intf.ifconfig("mtu", "1400") == ""
        assert "mtu 1400" in net["h1"].cmd("ip link show dev h1-eth0")
        assert intf.ifconfig("down") == ""
        assert not intf.isUp()
        assert intf.isUp(setUp=True)
        assert intf.isUp()
        intf.rename("eth7")
        assert "eth7" in net["h1"].cmd("ls /sys/class/net")
        assert intf.status() == "OK"


def test_a_network_grows_and_shrinks_after_its_start() -> None:
    with single() as net:
        added = net.addHost("h3", ip="10.0.0.3/8")
        link = net.addLink("s1", added)
        added.configDefault()
        assert net.pingAll() == 0
        assert net.linksBetween(added, net["s1"]) == [link]
        assert link.status() == "(OK OK)"
        net.delLink(link)
        assert net.linksBetween(added, net["s1"]) == []
        assert added.intfList() == []
        net.delHost(added)
        assert "h3" not in net
        assert net.pingAll() == 0


def test_a_host_can_be_added_to_the_network_of_a_graph() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        added = net.addHost("probe", ip=None)
        net.addLink(added, net["r0"])
        added.setIP("192.0.2.1/24")
        net["r0"].setIP("192.0.2.2/24", intf="r0-eth2")
        added.setDefaultRoute("via 192.0.2.2")
        for name in ("h1", "h2"):
            assert " 0% packet loss" in added.cmd("ping -c1 -W1", net[name].IP())


def test_a_router_can_be_deleted() -> None:
    with Network(two_subnets.build(hosts=2)) as net:
        del net["r2"]
        assert [router.name for router in net.routers] == ["r0", "r1"]


def test_links_go_down_and_up() -> None:
    with single() as net:
        net.configLinkStatus("s1", "h1", "down")
        assert "unreachable" in net["h1"].cmd("ping -c1 -W1 10.0.0.2")
        net.configLinkStatus("s1", "h1", "up")
        assert net.pingPair() == 0


def test_several_links_between_two_nodes() -> None:
    with single() as net:
        net.addLink("h1", "s1")
        assert net["h1"].intfNames() == ["h1-eth0", "h1-eth1"]
        assert len(net.linksBetween(net["h1"], net["s1"])) == 2
        assert net["h1"].connectionsTo(net["s1"])[1][0].name == "h1-eth1"
        net.delLinkBetween(net["h1"], net["s1"], index=1)
        assert net["h1"].intfNames() == ["h1-eth0"]


def test_static_arp_saves_the_asking() -> None:
    with single(4, autoStaticArp=True, autoSetMacs=True) as net:
        table = net["h1"].cmd("ip neigh")
        for number in (2, 3, 4):
            assert f"10.0.0.{number} dev h1-eth0 lladdr 00:00:00:00:00:0{number} PERM" in table


def test_routes_are_set_as_words_or_interfaces() -> None:
    with single() as net:
        node = net["h1"]
        for words, shown in (
            ("via 10.0.0.2", "default via 10.0.0.2 dev h1-eth0"),
            ("dev h1-eth0 via 10.0.0.3", "default via 10.0.0.3 dev h1-eth0"),
            ("via 10.0.0.4 metric 7", "default via 10.0.0.4 dev h1-eth0 metric 7"),
            (node.intf(), "default dev h1-eth0"),
        ):
            node.setDefaultRoute(words)
            assert node.cmd("ip route show default").startswith(shown)
        node.setHostRoute("192.0.2.1", "h1-eth0")
        assert "192.0.2.1 dev h1-eth0" in node.cmd("ip route")


def test_a_router_of_a_topology_forwards() -> None:
    """The network of examples/linuxrouter.py, with our router in place of its sysctl call."""
    with Network(build=False) as net:
        router = net.addHost("r0", cls=Router, ip=None)
        for number in (1, 2):
            host = net.addHost(
                f"h{number}", ip=f"10.0.{number}.2/24", defaultRoute=f"via 10.0.{number}.1"
            )
            net.addLink(host, router, params2={"ip": f"10.0.{number}.1/24"})
        net.build()
        assert net.ping([net["h1"], net["h2"]]) == 0
