"""One agent on loopback: what it takes, what it drops and why, and how it talks to the harness."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any

import pytest

from agents import runner
from agents.api import Message
from agents.hosts import Hosts
from agents.protocols.push import PushRumour
from agents.registry import load
from agents.runner import Runner, open_udp
from agents.trace import Event, Record, Trace, read
from agents.wire import Reason, encode

pytestmark = pytest.mark.timeout(20)  # a runner with nothing to do waits for ever

DEADLINE_S = 10.0
START = {
    "do": "start",
    "run": 7,
    "seed": 1,
    "protocol": "push",
    "options": {"fan_out": 1, "retention": "forever"},
    "timing": "free",
    "round_s": 0.01,
    "sources": [],
}


class Unknown(Message):
    __slots__ = ()
    TYPE = 0xEE


class Bench:
    """A runner of node 0, a peer's socket (node 1) and the harness's end of the control plane."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.harness, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        control.setblocking(False)
        self.harness.setblocking(False)
        self.udp = open_udp("127.0.0.1", 0)
        port = self.udp.getsockname()[1]
        self.peer = open_udp("127.0.0.2", port)
        self.stranger = open_udp("127.0.0.3", port)
        hosts = Hosts.make(["127.0.0.1", "127.0.0.2", "127.0.0.9"], port=port)
        self.address = ("127.0.0.1", port)
        self.runner = Runner(0, hosts, self.udp, control)
        self.runner.trace = Trace(path)

    def close(self) -> None:
        for each in (self.harness, self.udp, self.peer, self.stranger):
            each.close()

    def tell(self, **command: Any) -> None:
        self.harness.send(json.dumps(command).encode())

    def start(self, **fields: Any) -> None:
        self.tell(**{**START, "at_ns": monotonic_ns(), **fields})

    def until(self, event: Event, count: int = 1) -> list[Record]:
        """Lets the runner work until it has recorded so many events of a kind."""
        deadline = monotonic() + DEADLINE_S
        while len(found := [r for r in read(self.path) if r.event == event]) < count:
            assert monotonic() < deadline, f"{len(found)} of {count} {event.name}"
            self.runner.step()
        return found

    def heard(self) -> list[dict[str, Any]]:
        reports = []
        while True:
            try:
                reports.append(json.loads(self.harness.recv(1 << 16)))
            except BlockingIOError:
                return reports

    def datagram(self, message: Message | None = None, **fields: Any) -> bytes:
        envelope = {"run": 7, "protocol": load("push").number, "sender": 1, "sent_ns": 0}
        message = message or PushRumour(1, 1, body=b"\0\1news")
        return encode(message, **{**envelope, **fields})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "0.trace")
    yield made
    made.close()


def test_a_message_of_the_run_is_delivered_and_reported(bench: Bench) -> None:
    bench.start()
    bench.until(Event.start)
    bench.peer.sendto(bench.datagram(), bench.address)
    (deliver,) = bench.until(Event.deliver)
    assert (deliver.parent, deliver.origin, deliver.hop) == (1, 1, 1)
    (report,) = bench.heard()
    assert (report["is"], report["run"], report["at_ns"]) == ("infected", 7, deliver.time_ns)


def test_receive_lag_is_measured_from_the_kernels_timestamp(bench: Bench) -> None:
    bench.start()
    bench.until(Event.start)
    bench.peer.sendto(bench.datagram(), bench.address)
    (receive,) = bench.until(Event.receive)
    assert 0 < receive.value < DEADLINE_S * 1e9


def test_receive_lag_contains_the_rounds_that_go_before_the_message(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round is due by the runner's own clock, and takes a second of it."""
    bench.start(sources=[0])
    bench.until(Event.send)
    ahead_ns = 1_000_000_000

    def fire(now_ns: int) -> None:
        nonlocal ahead_ns
        ahead_ns += 1_000_000_000

    monkeypatch.setattr(runner, "monotonic_ns", lambda: monotonic_ns() + ahead_ns)
    monkeypatch.setattr(bench.runner, "fire", fire)
    bench.peer.sendto(bench.datagram(), bench.address)
    bench.runner.receive()
    (receive,) = [record for record in read(bench.path) if record.event == Event.receive]
    assert 1e9 < receive.value < 1e9 + DEADLINE_S * 1e9


def test_an_infected_node_sends_in_its_rounds(bench: Bench) -> None:
    bench.start(sources=[0])
    sends = bench.until(Event.send, 3)
    ticks = bench.until(Event.tick, 3)
    assert [send.round for send in sends[:3]] == [1, 2, 3]
    assert all(tick.value >= 0 for tick in ticks)


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        (Reason.other_run, {"run": 8}),
        (Reason.other_protocol, {"protocol": 1}),
        (Reason.unknown_type, {"message": Unknown(1, 1)}),
        (Reason.unknown_sender, {"sender": 2}),
        (Reason.unknown_sender, {"sender": 3}),
        (Reason.unknown_sender, {"sender": 2**32 - 1}),
    ],
)
def test_a_datagram_that_is_not_ours_is_counted(
    bench: Bench, reason: Reason, fields: dict[str, Any]
) -> None:
    bench.start()
    bench.until(Event.start)
    bench.peer.sendto(bench.datagram(**fields), bench.address)
    (drop,) = bench.until(Event.drop)
    assert drop.reason == reason


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        (Reason.truncated, b""),
        (Reason.truncated, b"\x10\1garbage"),
        (Reason.version, b"\x10\2" + bytes(60)),
        (Reason.corrupt, b"\x10\1" + bytes(60)),
        (Reason.oversized, b"\x10\1" + bytes(2000)),
    ],
)
def test_garbage_is_counted(bench: Bench, reason: Reason, data: bytes) -> None:
    bench.stranger.sendto(data, bench.address)
    (drop,) = bench.until(Event.drop)
    assert drop.reason == reason
    assert drop.bytes == min(len(data), 1401)


def test_a_message_of_an_ended_run_is_of_another_run(bench: Bench) -> None:
    bench.start()
    bench.until(Event.start)
    bench.tell(do="stop", run=7)
    bench.until(Event.stop)
    bench.peer.sendto(bench.datagram(), bench.address)
    (drop,) = bench.until(Event.drop)
    assert drop.reason == Reason.other_run
    assert {"is": "stopped", "node": 0, "run": 7} in bench.heard()


def test_a_message_after_the_protocol_failed_is_of_another_run(bench: Bench) -> None:
    bench.start(sources=[0], payload_bytes=2000)  # more than a datagram holds
    bench.until(Event.error)
    bench.peer.sendto(bench.datagram(), bench.address)
    (drop,) = bench.until(Event.drop)
    assert (drop.reason, drop.run) == (Reason.other_run, 7)


def test_a_round_that_is_due_begins_before_a_message_that_came_later(bench: Bench) -> None:
    """So a node that is late does not pass on in a `sync` round what it heard in that round."""
    bench.start(timing="sync", round_s=0.2)
    (start,) = bench.until(Event.start)
    bench.peer.sendto(bench.datagram(), bench.address)
    while monotonic_ns() < start.time_ns + 200_000_000:
        pass
    bench.runner.receive()
    kinds = [record.event for record in read(bench.path)]
    assert kinds == [Event.start, Event.tick, Event.receive, Event.deliver]


def test_runs_at_once_have_rounds_and_targets_of_their_own(bench: Bench) -> None:
    runs = [{"run": run, "seed": run} for run in range(1, 5)]
    bench.start(runs=runs, sources=[0])
    ticks = bench.until(Event.tick, 40)
    assert {record.run for record in ticks} == {1, 2, 3, 4}
    sends = bench.until(Event.send, 40)
    targets = {run: [s.peer for s in sends if s.run == run] for run in range(1, 5)}
    assert len({tuple(row[:5]) for row in targets.values()}) > 1
    bench.tell(do="stop", runs=[1, 2, 3, 4])
    bench.until(Event.stop, 4)


def test_a_run_does_not_depend_on_what_else_runs(bench: Bench, tmp_path: Path) -> None:
    alone = Bench(tmp_path / "alone.trace")
    bench.start(runs=[{"run": 7}, {"run": 8, "seed": 2}], sources=[0])
    alone.start(sources=[0])
    both = [r.peer for r in bench.until(Event.send, 40) if r.run == 7]
    one = [r.peer for r in alone.until(Event.send, 20)]
    alone.close()
    shared = min(len(both), len(one))
    assert shared > 5
    assert both[:shared] == one[:shared]


@pytest.mark.parametrize(
    "command",
    [
        {"do": "dance"},
        {},
        {**START, "at_ns": 0, "protocol": "nothing"},
        {**START, "at_ns": 0, "options": {"fan_out": 5}},
        {**START, "at_ns": 0, "timing": "never"},
        {**START},
    ],
)
def test_a_command_that_cannot_be_done_is_reported(bench: Bench, command: dict[str, Any]) -> None:
    bench.tell(**command)
    bench.runner.step()
    (report,) = bench.heard()
    assert report["is"] == "error"
    assert report["text"] and "\n" not in report["text"]


def test_a_command_that_is_no_json_is_reported(bench: Bench) -> None:
    bench.harness.send(b"\xff{")
    bench.runner.step()
    assert bench.heard()[0]["is"] == "error"


def test_reports_wait_for_a_harness_that_does_not_read(bench: Bench) -> None:
    for run in range(600):
        bench.runner.report({"is": "stopped", "node": 0, "run": run})
    assert bench.runner.outbox
    runs: list[int] = []
    while len(runs) < 600:
        runs += [report["run"] for report in bench.heard()]
        if bench.runner.outbox:
            bench.runner.step()
    assert runs == list(range(600))


def test_the_exit_counts_what_was_read_and_what_was_too_late(bench: Bench) -> None:
    bench.peer.sendto(b"garbage", bench.address)
    bench.until(Event.drop)
    for _ in range(3):
        bench.peer.sendto(b"late", bench.address)
    bench.tell(do="exit")
    bench.runner.exiting = True
    bench.runner.loop(Trace(bench.path))
    (exit_,) = bench.until(Event.exit)
    assert (exit_.value, exit_.sequence, exit_.round) == (1, 3, 0)
    assert bench.heard()[-1] == {"is": "exited", "node": 0, "read": 1, "unread": 3, "overflows": 0}


def test_a_full_socket_is_noticed(bench: Bench) -> None:
    bench.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for _ in range(50):
        bench.peer.sendto(bytes(1000), bench.address)
    bench.until(Event.drop)
    bench.peer.sendto(b"one more carries the count", bench.address)
    bench.runner.step()
    drops = Counter(r.event for r in read(bench.path))[Event.drop]
    assert bench.runner.overflows == 51 - drops > 0


def test_a_send_that_fails_is_counted(bench: Bench) -> None:
    hosts = Hosts.make(["127.0.0.1", "255.255.255.255"], port=9)  # broadcast: EACCES
    bench.runner.hosts = hosts
    bench.runner.view = hosts.view(0)
    bench.start(sources=[0])
    drop, *_ = bench.until(Event.drop)
    assert (drop.reason, drop.peer) == (Reason.send_error, 1)
    assert drop.value > 0


def test_a_clock_that_was_moved_stands_so_for_runs_that_start_later(bench: Bench) -> None:
    bench.tell(do="clock", ahead_s=100.0)
    bench.start()
    bench.until(Event.start)
    run = bench.runner.runs[7]
    assert run.spec.at_ns - run.zero_ns == 100_000_000_000
    bench.tell(do="clock", ahead_s=0.0)
    bench.until(Event.tick, 3)
    assert run.zero_ns == run.spec.at_ns
