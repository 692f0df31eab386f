"""The shipped topologies as real networks: in the harness, as scripts, and in stock Mininet."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from testbed import lab
from testbed.network import Network
from topologies import catalog
from topologies.graph import Graph, Impairment

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"
STOCK = shutil.which("mn", path="/usr/local/bin:/usr/bin:/usr/sbin")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOBODY = 65534

UNEVEN: list[tuple[str, dict[str, Any]]] = [
    ("two_subnets", {"hosts": 5}),
    ("two_subnets", {"hosts": 5, "lan": "switched"}),
    ("star", {"hosts": 7, "subnets": 3}),
    ("hierarchy", {"depth": 2, "fan_out": 2, "hosts_per_subnet": [1, 3, 2, 1]}),
    ("hierarchy", {"hosts": 4, "depth": 4, "fan_out": 1}),
]


@pytest.mark.in_lab
@pytest.mark.parametrize("name", catalog.names())
def test_every_topology_comes_up_and_all_hosts_reach_each_other(name: str) -> None:
    with Network(catalog.build(name)) as net:
        assert net.pingAll() == 0


@pytest.mark.in_lab
@pytest.mark.parametrize(("name", "parameters"), UNEVEN)
def test_uneven_networks_come_up_and_all_hosts_reach_each_other(
    name: str, parameters: dict[str, Any]
) -> None:
    with Network(catalog.build(name, **parameters)) as net:
        assert net.pingAll() == 0


@pytest.mark.in_lab
@pytest.mark.parametrize(("name", "parameters"), UNEVEN)
def test_a_datagram_crosses_as_many_routers_as_the_path_says(
    name: str, parameters: dict[str, Any]
) -> None:
    graph = catalog.build(name, **parameters)
    with Network(graph) as net:
        for a, b in ((0, 1), (0, graph.nodes - 1), (graph.nodes - 1, 0)):
            crossed = len(graph.path(a, b))
            answer = net.get(graph.host(a).name).cmd(f"ping -c1 -W2 {graph.host(b).address}")
            assert f"ttl={64 - crossed} " in answer


@pytest.mark.in_lab
def test_every_router_reaches_every_address_of_every_other() -> None:
    graph = catalog.build("hierarchy", hosts=8, depth=3, fan_out=2)
    addresses = [link.upper_address for link in graph.links]
    addresses += [link.lower_address for link in graph.links]
    addresses += [subnet.gateway for subnet in graph.subnets]
    with Network(graph) as net:
        for router in ("r0", "r1", graph.routers[-1].name):
            pings = "; ".join(f"ping -c1 -W2 -q {address}" for address in addresses)
            answer = net.get(router).cmd(pings)
            assert answer.count(" 0% packet loss") == len(addresses)


@pytest.mark.in_lab
def test_a_datagram_to_nobody_is_refused_and_not_sent_in_circles() -> None:
    graph = catalog.build("hierarchy", hosts=9, depth=2, fan_out=3)
    nobody = graph.subnets[2].prefix.broadcast_address + 2
    assert any(nobody in route.network for route in graph.routes("r0"))
    assert not any(nobody in subnet.prefix for subnet in graph.subnets)
    with Network(graph) as net:
        answer = net.get("h9").cmd(f"ping -c1 -W2 {nobody}")
    assert "nreachable" in answer
    assert f"From {graph.routes('r0')[0].via} " in answer


def _run(command: list[str], user: int | None = None, text: str = "") -> Any:
    """Runs a command without an active environment, as a plain user if asked for."""
    return subprocess.run(
        command,
        cwd="/",
        env={"PATH": PATH, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def script(name: str) -> str:
    return str(ROOT / "topologies" / f"{name}.py")


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="no .venv; make setup")
@pytest.mark.parametrize("name", catalog.names())
def test_a_topology_runs_as_a_script_of_the_system_s_python(name: str) -> None:
    done = _run([SYSTEM_PYTHON, script(name), "--hosts", "4", "-c", "h1 ping -c1 h4", *_few(name)])
    assert done.returncode == 0, done.stderr
    assert "1 received, 0% packet loss" in done.stderr  # where Mininet's output goes


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user runs all of these as one")
@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="no .venv; make setup")
def test_a_topology_runs_as_a_script_of_a_plain_user() -> None:
    if _run(["test", "-x", str(ROOT / ".venv/bin/python")], NOBODY).returncode:
        pytest.skip(f"{ROOT} is closed to other users")
    done = _run([SYSTEM_PYTHON, script("star"), "--hosts", "4", "-c", "pingall"], NOBODY)
    assert done.returncode == 0, done.stderr
    assert "0% dropped (12/12 received)" in done.stderr


def test_a_script_without_commands_asks_for_them_until_the_input_ends() -> None:
    done = _run([SYSTEM_PYTHON, script("two_subnets")], text="h1 ping -c1 h8\nnodes\n")
    assert done.returncode == 0, done.stderr
    assert "two_subnets: 8 hosts, 3 routers; exit with ^D" in done.stdout
    assert "1 received, 0% packet loss" in done.stderr
    assert "h1 h2 h3 h4 h5 h6 h7 h8 r0 r1 r2" in done.stderr
    assert "Traceback" not in done.stderr  # of a command history, for want of a home


def test_a_dead_link_asked_of_a_script_is_dead() -> None:
    command = [SYSTEM_PYTHON, script("two_subnets"), "--hosts=4", "--link-loss-ratio=1"]
    done = _run([*command, "-c", "h1 ping -c1 -W1 h2", "-c", "h1 ping -c1 -W1 h4"])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(" 0% packet loss") == 1
    assert done.stderr.count(" 100% packet loss") == 1


def test_a_script_under_sudo_leaves_no_files_of_root_behind(tmp_path: Path) -> None:
    for package in ("topologies", "testbed"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=_no_bytecode)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    command = [SYSTEM_PYTHON, str(tmp_path / "topologies/star.py"), "--hosts", "4", "-c", "nodes"]
    assert _run(["env", "SUDO_UID=1000", *command]).returncode == 0
    assert list(tmp_path.rglob("__pycache__")) == []
    assert _run(command).returncode == 0
    assert list(tmp_path.rglob("__pycache__")) != []


def _no_bytecode(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]


def _few(name: str) -> list[str]:
    # What `--hosts 4` needs to be possible.
    return {"hierarchy": ["--depth", "1"], "chain": ["--subnets", "4"]}.get(name, [])


needs_stock = pytest.mark.skipif(
    STOCK is None or shutil.which("brctl", path=PATH) is None,
    reason="no mn or brctl; apt-get install mininet bridge-utils",
)


def _mn(topo: str, *more: str) -> Any:
    command = [str(STOCK), "--custom", str(ROOT / "topologies/mn.py"), "--topo", topo]
    return _run([*command, "--switch", "lxbr", "--controller", "none", *more])


@needs_stock
@pytest.mark.in_lab
@pytest.mark.parametrize(
    ("topo", "pings"),
    [
        ("two_subnets,hosts=8", 110),
        ("two_subnets,5,lan=switched", 56),
        ("star,hosts=4,subnets=2", 42),
        ("hierarchy,hosts_per_subnet=2+1+1+1", 132),
    ],
)
def test_stock_mininet_brings_a_topology_up_and_all_reach_all(topo: str, pings: int) -> None:
    done = _mn(topo, "--test", "pingall")
    assert done.returncode == 0
    assert f"*** Results: 0% dropped ({pings}/{pings} received)" in done.stderr


@needs_stock
@pytest.mark.in_lab
def test_stock_mininet_uses_the_names_and_addresses_of_the_graph() -> None:
    commands = ROOT / "tests/network/names.mn"
    done = _mn("two_subnets,hosts=2", "--test", "none", "--pre", str(commands))
    for line in ("h2 h2-eth0:s2-eth2", "r0 d-r1:up d-r2:up", "r1 up:d-r1 br-s1:s1-eth1"):
        assert line in done.stderr.replace("\r", "")
    assert "inet 10.0.0.1/30 " in done.stderr
    assert "link/ether 02:00:0a:00:00:01 " in done.stderr
    assert "unreachable 10.0.0.4/30" in done.stderr


@needs_stock
@pytest.mark.in_lab
@pytest.mark.parametrize(
    ("topo", "message"),
    [
        ("two_subnets,hosts=many", "hosts = 'many': give a whole number"),
        ("two_subnets,hosts=0", "hosts = 0: give a whole number"),
        ("two_subnets,hostz=8", "no parameter 'hostz'; did you mean hosts?"),
        ("two_subnets" + ",1" * 14, "14 values, there are 12 parameters"),
        ("two_subnets,loss_ratio=0.1", "h1: loss or delay is not given by stock"),
        ("two_subnets,link_loss_ratio=0.1", "r0-r1: loss or delay is not given by stock"),
        ("two_subnets,hosts=2046", "subnet s1: 1023 hosts, 1022 and the router fit a bridge"),
    ],
)
def test_stock_mininet_stops_with_one_line_at_what_it_cannot_give(topo: str, message: str) -> None:
    done = _mn(topo, "--link", "tc", "--test", "pingall")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr and "Cleaning up" not in done.stderr


def _delayed() -> Graph:
    graph = catalog.build("two_subnets", hosts=2)
    bad = type(graph.hosts[0])
    first = graph.hosts[0]
    slow = bad(
        *(first.name, first.node, first.subnet, first.address, first.mac),
        receive=Impairment(delay_ms=5),
    )
    return Graph("slow", graph.routers, graph.subnets, (slow, graph.hosts[1]), graph.links)


def test_a_delay_that_no_backend_gives_ends_a_shell_with_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from testbed import shaping, shell
    from testbed.errors import ShapingError

    def possible() -> bool:
        try:
            shaping.choose(_delayed())
        except ShapingError:
            return False
        return True

    if lab.call(possible):
        pytest.skip("this kernel can delay")
    monkeypatch.setattr(shell, "Network", None)  # it is not come to that
    assert shell.open_on(_delayed(), ["nodes"]) == 1
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("slow: ") and err.count("\n") == 1
