"""Tests of the queue process's parts that need no kernel: damage, and what it is told."""

from __future__ import annotations

from random import Random

import pytest

from testbed.shaping.interface import Port
from testbed.shaping.nfqueue import Nfqueue
from testbed.shaping.queue_process import damaged
from topologies.impairments import PERFECT, Impairment

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
