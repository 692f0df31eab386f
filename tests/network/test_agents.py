"""Real agents, one process a host, in the namespaces of a small routed network."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agents.hosts import Hosts
from agents.protocols.push import PushRumour
from agents.registry import load
from agents.trace import Event, Record, read
from agents.wire import Reason, encode
from testbed.errors import TestbedError
from testbed.fleet import Zygote, harness_socket
from testbed.kernel.namespaces import entered
from testbed.network import Network
from topologies import two_subnets

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

NODES = 6
DEADLINE_S = 30.0
START = {
    "do": "start",
    "run": 1,
    "seed": 3,
    "protocol": "push",
    "options": {"fan_out": 2, "retention": "forever"},
    "timing": "free",
    "round_s": 0.05,
    "sources": [0],
}


class Harness:
    """A network with an agent on every host, and the harness's end of the control plane."""

    def __init__(self, net: Network, folder: Path, addresses: list[str] | None = None) -> None:
        self.net = net
        self.folder = folder
        graph = two_subnets.build(hosts=NODES)
        self.hosts = Hosts.make(
            addresses or [str(host.address) for host in graph.hosts],
            [graph.groups(host.node) for host in graph.hosts],
        )
        self.socket = harness_socket(folder)
        self.zygote = Zygote(
            self.hosts, control=folder, trace=folder, protocols=["push", "topology_aware"]
        )
        self.poll = select.poll()
        self.poll.register(self.socket, select.POLLIN)
        self.poll.register(self.zygote, select.POLLIN)
        self.reports: list[dict[str, Any]] = []
        self.deaths: list[tuple[int, int]] = []

    def spawn(self, nodes: range = range(NODES), nice: int = 0) -> dict[int, int]:
        hosts = self.net.hosts
        pids = self.zygote.spawn([(node, hosts[node].netns) for node in nodes], nice)
        self.wait(lambda: len(self.said("ready")) >= len(nodes))
        return pids

    def tell(self, node: int, command: dict[str, Any]) -> None:
        self.socket.sendto(json.dumps(command).encode(), str(self.folder / f"agent-{node}"))

    def start(self, **fields: Any) -> None:
        at_ns = time.monotonic_ns() + 100_000_000
        for node in range(NODES):
            self.tell(node, {**START, "at_ns": at_ns, **fields})

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [report for report in self.reports if report["is"] == kind]

    def wait(self, done: Callable[[], bool]) -> None:
        """Hears agents and zygote until it is done."""
        deadline = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < deadline, f"{self.reports[-5:]} {self.deaths}"
            self.poll.poll(20)
            self.deaths += self.zygote.deaths()
            try:
                self.reports.append(json.loads(self.socket.recv(1 << 16)))
            except BlockingIOError:
                pass

    def events(self, node: int, kind: Event) -> list[Record]:
        return [r for r in read(self.folder / f"{node}.trace") if r.event == kind]

    def throw(self, sender: int, receiver: int, data: bytes) -> None:
        """Sends a datagram from a host's namespace, as a program of its own there would."""
        with entered(self.net.hosts[sender].netns):
            thrower = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with thrower:
            thrower.sendto(data, (self.hosts.address(receiver), self.hosts.port))


@contextmanager
def harness(folder: Path, **params: Any) -> Iterator[Harness]:
    with Network(two_subnets.build(hosts=NODES)) as net:
        made = Harness(net, folder, **params)
        try:
            yield made
        finally:
            made.zygote.close()
            made.socket.close()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def processes_in(netns: int) -> list[str]:
    found = []
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdecimal() and os.path.samestat(
                os.fstat(netns), os.stat(f"/proc/{entry}/ns/net")
            ):
                found.append(entry)
    return found


def test_a_multicast_reaches_every_host_through_the_routers(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        pids = lab.spawn()
        assert all(
            os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/self/fd/{host.netns}")
            for pid, host in zip(pids.values(), lab.net.hosts, strict=True)
        )
        lab.start()
        lab.wait(lambda: len(lab.said("infected")) == NODES)
        for node in range(1, NODES):
            (deliver,) = lab.events(node, Event.deliver)
            assert deliver.hop >= 1 and 0 <= deliver.parent < NODES


def test_after_the_exit_each_datagram_sent_was_read_or_counted(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        lab.spawn()
        lab.start()
        lab.wait(lambda: len(lab.said("infected")) == NODES)
        for node in range(NODES):
            lab.tell(node, {"do": "stop", "run": 1})
        lab.wait(lambda: len(lab.said("stopped")) == NODES)
        for node in range(NODES):
            lab.tell(node, {"do": "exit"})
        lab.wait(lambda: len(lab.deaths) == len(lab.said("exited")) == NODES)
        assert {status for _, status in lab.deaths} == {0}
        sent = sum(len(lab.events(node, Event.send)) for node in range(NODES))
        read_ = sum(report["read"] + report["unread"] for report in lab.said("exited"))
        taken = [Event.receive, Event.duplicate, Event.drop]
        recorded = sum(len(lab.events(node, kind)) for node in range(NODES) for kind in taken)
        assert sent == read_ == recorded + sum(r["unread"] for r in lab.said("exited"))


def test_bad_datagrams_are_counted_and_the_agent_goes_on(tmp_path: Path) -> None:
    number = load("push").number
    message = PushRumour(1, 1, body=b"\0\1news")

    def datagram(run: int) -> bytes:
        return encode(message, run=run, protocol=number, sender=1, sent_ns=0)

    good = datagram(1)
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    bad = {
        Reason.corrupt: flipped,
        Reason.truncated: good[:-3],
        Reason.version: good[:1] + b"\x09" + good[2:],
        Reason.other_run: datagram(2),
        Reason.oversized: good + bytes(1400),
    }
    with harness(tmp_path) as lab:
        lab.spawn()
        lab.start(sources=[])
        for data in bad.values():
            lab.throw(1, 4, data)
        lab.wait(lambda: len(lab.events(4, Event.drop)) == len(bad))
        assert [record.reason for record in lab.events(4, Event.drop)] == list(bad)
        lab.wait(lambda: len(lab.events(4, Event.start)) == 1)
        lab.throw(1, 4, good)
        lab.wait(lambda: len(lab.events(4, Event.deliver)) == 1)
        lab.throw(2, 5, good)  # says that it is from node 1
        lab.wait(lambda: len(lab.events(5, Event.drop)) == 1)
        assert lab.events(5, Event.drop)[0].reason == Reason.unknown_sender
        assert lab.deaths == []


def test_a_killed_agent_is_reported_and_its_events_survive(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        pids = lab.spawn()
        lab.start()
        lab.wait(lambda: len(lab.events(0, Event.send)) >= 3)
        lab.zygote.kill(0, signal.SIGKILL)
        lab.wait(lambda: lab.deaths == [(0, -signal.SIGKILL)])
        assert not alive(pids[0])
        assert len(lab.events(0, Event.send)) >= 3
        assert read(lab.folder / "0.trace").torn_bytes == 0
        again = lab.spawn(range(1))
        assert alive(again[0]) and again[0] != pids[0]


def test_a_stopped_agent_stays_and_catches_up(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        lab.spawn()
        lab.zygote.kill(2, signal.SIGSTOP)
        lab.start()
        lab.wait(lambda: len(lab.said("infected")) == NODES - 1)
        assert lab.deaths == []
        lab.zygote.kill(2, signal.SIGCONT)
        lab.wait(lambda: len(lab.said("infected")) == NODES)


def test_agents_die_with_their_zygote(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        pids = lab.spawn()
        assert all(alive(pid) for pid in pids.values())
        os.kill(lab.zygote.pid, signal.SIGKILL)
        lab.zygote._process.wait()
        deadline = time.monotonic() + DEADLINE_S
        while any(alive(pid) for pid in pids.values()):
            assert time.monotonic() < deadline
        with pytest.raises(TestbedError, match="ended with -9"):
            lab.zygote.deaths()


def test_a_zygote_ends_its_agents_when_the_harness_closes_its_socket(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        pids = lab.spawn()
        lab.zygote.kill(2, signal.SIGSTOP)
        lab.zygote.close()
        assert not any(alive(pid) for pid in pids.values())


def test_a_zygote_whose_death_notices_nobody_read_ends_its_agents(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        pids = lab.spawn()
        lab.zygote.kill(0)
        assert select.select([lab.zygote], [], [], DEADLINE_S)[0]
        lab.zygote.close()
        assert not any(alive(pid) for pid in pids.values())
        assert (lab.folder / "agents.log").read_text() == ""


def test_a_zygote_whose_harness_goes_while_it_starts_agents_ends_them(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        spawn = {"do": "spawn", "nodes": [*range(NODES)], "nice": 0}
        lab.zygote._tell(spawn, [host.netns for host in lab.net.hosts])
        lab.zygote.close()
        assert not any(processes_in(host.netns) for host in lab.net.hosts)
        assert (lab.folder / "agents.log").read_text() == ""


def test_an_address_that_the_host_does_not_have_is_named(tmp_path: Path) -> None:
    with (
        harness(tmp_path, addresses=["192.0.2.1"] * NODES) as lab,
        pytest.raises(TestbedError, match=r"192\.0\.2\.1:9000"),
    ):
        lab.spawn()


def test_a_protocol_that_does_not_load_is_named(tmp_path: Path) -> None:
    with Network(two_subnets.build(hosts=2)) as net, harness_socket(tmp_path):
        hosts = Hosts.make(["10.0.0.1", "10.0.0.2"])
        with (
            Zygote(hosts, control=tmp_path, trace=tmp_path, protocols=["pusch"]) as zygote,
            pytest.raises(TestbedError, match="did you mean 'push'"),
        ):
            zygote.spawn([(0, net.hosts[0].netns)])


def test_a_node_that_lives_is_not_started_twice(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        lab.spawn()
        with pytest.raises(TestbedError, match="node 0 lives"):
            lab.zygote.spawn([(0, lab.net.hosts[0].netns)])


def test_a_harness_with_more_than_1024_open_files_starts_agents(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip(f"at most {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(open(os.devnull))
        lab = stack.enter_context(harness(tmp_path))
        lab.spawn()


def test_niceness_is_the_agents(tmp_path: Path) -> None:
    with harness(tmp_path) as lab:
        pids = lab.spawn(nice=19)
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids.values()} == {19}
