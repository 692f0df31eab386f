"""Tests of the queue process's parts that need no kernel: damage, and what it is told."""

from __future__ import annotations

import time
from dataclasses import asdict
from random import Random
from socket import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from testbed.kernel.queueing import PREROUTING, Packet
from testbed.shaping.interface import Port
from testbed.shaping.nfqueue import Nfqueue
from testbed.shaping.queue_process import Link, Node, Queues, damaged
from topologies.impairments import PERFECT, Impairment

MS = 1_000_000
HEADER = bytes.fromhex("450000280000400040110000") + bytes(8)
UDP = HEADER + bytes(8) + b"payload of it"


def flipped(one: bytes, other: bytes) -> list[int]:
    return [
        8 * place + bit
        for place, (a, b) in enumerate(zip(one, other, strict=True))
        for bit in range(8)
        if (a ^ b) >> bit & 1
    ]


def test_damage_is_one_bit_of_what_udp_carries_and_may_be_any() -> None:
    random = Random(1)
    bits = [flipped(UDP, damaged(UDP, random)) for _ in range(5000)]
    assert {len(each) for each in bits} == {1}
    assert {each[0] for each in bits} == set(range(28 * 8, len(UDP) * 8))


def test_an_empty_datagram_is_damaged_in_its_own_header_and_an_empty_packet_stays_whole() -> None:
    assert flipped(UDP[:28], damaged(UDP[:28], Random(1)))[0] >= 20 * 8
    assert damaged(HEADER, Random(1)) == HEADER


@pytest.mark.parametrize(("inward", "hook"), [(False, "h3-eth0 in"), (True, "h3-eth0")])
def test_a_link_of_a_host_is_shaped_in_the_host(inward: bool, hook: str) -> None:
    port = Port("r1", "p2", "h3", True, Impairment(delay_ms=1), inward=inward)
    placed = Nfqueue().place(port)
    assert (placed.router, placed.way, placed.to, placed.far) == ("h3", hook, "r1", "p2")
    link = Port("r1", "up", "r0", False, PERFECT)
    assert Nfqueue().place(link) is link


class Sender(Link):
    """A link into a host that keeps what it sends anew."""

    def __init__(self, impairment: Impairment) -> None:
        about = {"name": "h1", "impairment": asdict(impairment), "device": 2, "mac": "02" * 6}
        super().__init__(Node(cast(socket, None)), about, 1, [])
        self.sent: list[bytes] = []

    def send(self, payload: bytes) -> None:
        self.sent.append(payload)


@pytest.mark.parametrize(("delay_ms", "anew"), [(20, True), (0, False)])
def test_a_delayed_packet_that_is_read_late_comes_into_its_host_anew(
    monkeypatch: pytest.MonkeyPatch, delay_ms: float, anew: bool
) -> None:
    """Read 25 ms after it came, so it may go at once: as the kernel's, with the time of its coming,
    only when all of that is lateness."""
    monkeypatch.setattr(time, "monotonic_ns", lambda: 125 * MS)
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_025 * MS)
    link, queues = Sender(Impairment(delay_ms=delay_ms)), Queues()
    queues.meet(link, Packet(bytes(4), PREROUTING, 2, UDP, 1_000_000 * MS))
    assert link.sent == ([UDP] if anew else [])
    assert queues.latest_ns == (25 - delay_ms) * MS
    assert (link.counts["passed"], link.held) == (1, 0)


def test_lateness_is_that_of_the_packets_since_it_was_last_asked_for() -> None:
    """So the packets of one cell that are on time cannot hide those of the next that are late."""
    queues, backend = Queues(), Nfqueue()
    backend._process = cast(Any, SimpleNamespace(ask=lambda order: queues.obey(order, [])))
    for _ in range(1000):
        queues.note_late(1)
    assert backend.late_ms() == pytest.approx(0.1)
    for _ in range(5):
        queues.note_late(30 * MS)
    assert backend.late_ms() == pytest.approx(30.1)
    assert backend.late_ms() == 0.0
