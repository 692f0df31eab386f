"""Tests of testbed.shaping.netem: what is sent to the kernel, and what its answers mean.

The answers were recorded on Linux 6.1 (user-mode Linux) with a loss of 0.3 on a device that had
been sent 100 packets; `tc -s qdisc` printed "limit 1000000 loss 30%", 69 packets, 31 dropped.
"""

from __future__ import annotations

import struct
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from testbed.errors import ShapingError
from testbed.shaping import netem
from testbed.shaping.applied import compare
from testbed.shaping.interface import Port, Shaped
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
STATISTICS = NETEM[156:]  # the attributes from TCA_STATS2 on


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


WEATHER = Impairment(
    loss_ratio=0.2,
    burst_packets=5,
    bad_loss_ratio=0.6,
    good_loss_ratio=0.1,
    delay_ms=20.5,
    jitter_ms=5,
    jitter_distribution="pareto",
    reorder_ratio=0.1,
    duplicate_ratio=0.05,
    corrupt_ratio=0.02,
    rate_mbit=12.5,
    queue_packets=77,
)


def answer_to(impairment: Impairment) -> bytes:
    """What the kernel says of a queue that was asked for: the same options, and its counts."""
    return replaced(3, "va", impairment).body + STATISTICS


@pytest.mark.parametrize(
    "impairment",
    [WEATHER, Impairment(delay_ms=1e-3), Impairment(rate_mbit=40_000), Impairment(loss_ratio=1)],
)
def test_every_field_comes_back_but_the_form_of_the_jitter(impairment: Impairment) -> None:
    held = parse(answer_to(impairment))
    assert held is not None
    compare(Netem(), [Port("r1", "va", "h1", True, impairment)], {"va": held.impairment})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("loss_ratio", 0.201), ("burst_packets", 5.1), ("bad_loss_ratio", 0.61)),
        *(("delay_ms", 20.6), ("jitter_ms", 5.1), ("reorder_ratio", 0.11)),
        *(("duplicate_ratio", 0.06), ("corrupt_ratio", 0.03), ("rate_mbit", 12.6)),
        ("queue_packets", 78),
    ],
)
def test_a_field_that_is_held_otherwise_is_noticed(field: str, value: Any) -> None:
    held = parse(answer_to(replace(WEATHER, **{field: value})))
    assert held is not None
    with pytest.raises(ShapingError, match=r"wanted .* the kernel says"):
        compare(Netem(), [Port("r1", "va", "h1", True, WEATHER)], {"va": held.impairment})


def test_a_queue_that_makes_no_sense_is_an_error() -> None:
    body = replaced(3, "va", replace(WEATHER, queue_packets=None)).body
    delay = struct.pack("=q", 20_500_000)
    assert body.count(delay) == 1
    with pytest.raises(ShapingError, match="netem holds what nobody asked for"):
        parse(body.replace(delay, bytes(8)) + STATISTICS)


def test_a_correlation_that_netem_does_not_keep_is_refused() -> None:
    wanted = Impairment(jitter_ms=1, jitter_correlation=0.5)
    assert "use nfqueue" in str(Netem().refusal(wanted))


def test_the_table_of_a_distribution_has_its_mean_and_spread() -> None:
    body = replaced(3, "va", Impairment(jitter_ms=1, jitter_distribution="pareto")).body
    (at,) = [at for at in range(len(body)) if body[at : at + 4] == struct.pack("=HH", 8196, 2)]
    table = [each / 8192 for each in struct.unpack_from("=4096h", body, at + 4)]
    assert sum(table) / 4096 == pytest.approx(-0.0234, abs=1e-3)  # for want of its longest ones
    assert table == sorted(table) and 3.9 < table[-1] < 4


def test_the_request_is_what_the_kernel_answers_with() -> None:
    request = replaced(3, "va", Impairment(loss_ratio=0.3))
    # Both begin with the device, the parent, and the kind; the options hold the same six numbers.
    assert request.body[4:8] == NETEM[4:8]
    assert request.body[12:16] == NETEM[12:16]
    assert request.body[20:32] == NETEM[20:32]
    assert request.body[OPTIONS : OPTIONS + 24] == NETEM[OPTIONS : OPTIONS + 24]


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0, 0), (1, CERTAIN), (0.5, 2**31), (0.3, 0x4CCCCCCC)]
)
def test_a_ratio_becomes_a_share_of_32_bits(ratio: float, expected: int) -> None:
    assert encoded_ratio(ratio) == expected


@pytest.mark.parametrize(("ratio", "refused"), [(0.0, False), (1.0, False), (1e-12, True)])
def test_ratios_that_would_become_0_or_1_are_refused(ratio: float, refused: bool) -> None:
    assert (Netem().refusal(Impairment(loss_ratio=ratio)) is not None) is refused


def test_the_bound_of_what_a_link_loses_has_what_came_until_it_was_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    qdisc = held = parse(NETEM)
    assert qdisc is not None
    counts = iter([1000, 1003, 2000, 2000])
    monkeypatch.setattr(netem, "_channel", lambda *_: nullcontext())
    monkeypatch.setattr(netem, "_handed", lambda _: next(counts))
    monkeypatch.setattr(netem, "_queue", lambda *_: held)
    monkeypatch.setattr(netem, "_named", lambda _: [("p0", qdisc), ("p1", qdisc)])
    backend = Netem()
    for waiting in (40, 5):
        held = qdisc._replace(shaped=replace(qdisc.shaped, held=waiting))
        with backend.going_down(7, "p0"):
            pass
    assert {way: each.emptied for way, each in backend.counted(7).items()} == {"p0": 48, "p1": 0}
    assert backend.counted(7)["p0"].doubtful == 0, "nothing comes from nowhere there"
