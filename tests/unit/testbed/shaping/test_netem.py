"""Tests of testbed.shaping.netem: what is sent to the kernel, and what its answers mean.

The answers were recorded on Linux 6.1 (user-mode Linux) with a loss of 0.3 on a device that had
been sent 100 packets; `tc -s qdisc` printed "limit 1000000 loss 30%", 69 packets, 31 dropped.
"""

from __future__ import annotations

import struct

import pytest

from testbed.errors import ShapingError
from testbed.shaping.interface import Shaped
from testbed.shaping.netem import CERTAIN, Netem, encoded_ratio, parse, replaced
from topologies.elements import Impairment

NETEM = bytes.fromhex(
    "000000000300000000000180ffffffff020000000a0001006e6574656d000000700002000000000040420f00"
    "cccccc4c0000000000000000000000000c000a0000000000000000000c000b00000000000000000010000100"
    "0000000000000000000000000c00030000000000000000000c00040000000000000000001400060000000000"
    "00000000000000000000000005000c000000000004000900380007000400060014000100970b000000000000"
    "4500000000000000040006001800030000000000000000001f00000000000000000000002c000300970b0000"
    "00000000450000001f000000000000000000000000000000000000000000000000000000"
)
NOQUEUE = bytes.fromhex(
    "000000000200000000000000ffffffff020000000c0001006e6f71756575650005000c000000000004000900"
    "3800070004000600140001000000000000000000000000000000000004000600180003000000000000000000"
    "0000000000000000000000002c00030000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000"
)
OPTIONS = 44 - 8  # offset of latency in NETEM


def test_a_recorded_queue_is_read() -> None:
    qdisc = parse(NETEM)
    assert qdisc is not None
    assert qdisc.device_index == 3
    assert qdisc.impairment.loss_ratio == pytest.approx(0.3, abs=Netem.resolution)
    assert qdisc.shaped == Shaped(passed=69, dropped=31, dropped_udp=None)


def test_queues_of_other_kinds_are_passed_over() -> None:
    assert parse(NOQUEUE) is None


def test_a_queue_that_is_not_the_root_is_passed_over() -> None:
    assert parse(NETEM[:12] + struct.pack("=I", 0x80010001) + NETEM[16:]) is None


def test_a_delay_that_nobody_asked_for_is_an_error() -> None:
    assert struct.unpack_from("=III", NETEM, OPTIONS) == (0, 1_000_000, 0x4CCCCCCC)
    delayed = NETEM[:OPTIONS] + struct.pack("=I", 312500) + NETEM[OPTIONS + 4 :]
    with pytest.raises(ShapingError, match="delays or duplicates"):
        parse(delayed)


def test_the_request_is_what_the_kernel_answers_with() -> None:
    request = replaced(3, "va", Impairment(loss_ratio=0.3))
    # Both begin with the device, the parent, and the kind; the options hold the same six numbers.
    assert request.body[4:8] == NETEM[4:8]
    assert request.body[12:16] == NETEM[12:16]
    assert request.body[20:32] == NETEM[20:32]
    assert request.body[OPTIONS:] == NETEM[OPTIONS : OPTIONS + 24]


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0, 0), (1, CERTAIN), (0.5, 2**31), (0.3, 0x4CCCCCCC)]
)
def test_a_ratio_becomes_a_share_of_32_bits(ratio: float, expected: int) -> None:
    assert encoded_ratio(ratio) == expected


@pytest.mark.parametrize(("ratio", "refused"), [(0.0, False), (1.0, False), (1e-12, True)])
def test_ratios_that_would_become_0_or_1_are_refused(ratio: float, refused: bool) -> None:
    assert (Netem().refusal(Impairment(loss_ratio=ratio)) is not None) is refused
