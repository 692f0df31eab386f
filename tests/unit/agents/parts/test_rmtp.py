"""RMTP's tree, status and windows, each by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.api import View
from agents.parts.rmtp_sender import Sender
from agents.parts.rmtp_session import Session
from agents.parts.rmtp_status import WIDEST, Status, pack, unpack
from agents.parts.rmtp_tree import addresses, served, smallest, way_up

SUBNETS = tuple(range(4 * place, 4 * place + 4) for place in range(4))


def view(me: int) -> View:
    """16 nodes in four subnets, two pairs of them."""
    half = range(8) if me < 8 else range(8, 16)
    return View(me, (SUBNETS[me // 4], half, range(16)), SUBNETS)


@pytest.mark.parametrize(
    ("me", "source", "above"),
    [
        (2, 1, (1,)),  # in the source's subnet
        (6, 1, (4, 1)),  # its half is the source's
        (15, 1, (12, 8, 1)),
        (12, 1, (8, 1)),  # itself the first of its subnet
        (8, 1, (1,)),  # ... and of its half
        (0, 1, (1,)),  # the source takes its place
        (1, 1, ()),
        (12, 13, (13,)),
    ],
)
def test_a_node_reports_to_the_nearest_designated_receiver(
    me: int, source: int, above: tuple[int, ...]
) -> None:
    assert way_up(view(me), source) == above


def test_every_way_up_is_that_of_the_first_above_it() -> None:
    for source in range(16):
        for me in range(16):
            first, *rest = way_up(view(me), source) or (source,)
            assert tuple(rest) == (way_up(view(first), source) if me != source else ())


@pytest.mark.parametrize(
    ("me", "source", "groups"),
    [
        (12, 1, (SUBNETS[3],)),
        (8, 1, (SUBNETS[2], range(8, 16))),
        (1, 1, (SUBNETS[0], range(8), range(16))),
        (0, 1, ()),
        (5, 1, ()),
    ],
)
def test_a_designated_receiver_serves_its_groups(
    me: int, source: int, groups: tuple[range, ...]
) -> None:
    assert served(view(me), source) == groups


def test_a_subtree_is_addressed_by_its_subnets_and_the_whole_group_at_once() -> None:
    assert addresses(view(8), range(8, 16)) == ("subnet:2", "subnet:3")
    assert addresses(view(8), range(16)) == ("all",)
    assert smallest((SUBNETS[2], range(8, 16)), [9, 12]) == range(8, 16)
    assert smallest((SUBNETS[2], range(8, 16)), [1]) is None


def test_the_worked_status_is_what_the_module_says() -> None:
    assert pack(Status(3, frozenset({4, 6}))).hex() == "0000000350"


@given(st.integers(0, 2**32 - 1 - WIDEST), st.sets(st.integers(1, WIDEST - 1), max_size=40))
def test_a_status_survives_the_wire(low: int, above: set[int]) -> None:
    status = Status(low, frozenset(low + each for each in above))
    assert unpack(pack(status)) == status


@pytest.mark.parametrize("body", [b"", b"\0\0\0", bytes(4 + WIDEST // 8 + 1)])
def test_bytes_that_are_no_status_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="bytes"):
        unpack(body)


def test_a_status_over_too_wide_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        pack(Status(1, frozenset({WIDEST + 1})))


def session(*numbers: int, now: float = 0.0) -> Session:
    made = Session(view(8), 1)
    for number in numbers:
        made.add(number, 0, b"", now)
    return made


def test_gaps_are_lacked_at_once_and_the_end_when_it_had_time_to_arrive() -> None:
    dr = session(1, 2, 3, 4, now=5.0)
    status = Status(1, frozenset({3}))
    assert dr.lacks(status, 64, before=4.9) == [1, 2]
    assert dr.lacks(status, 64, before=5.0) == [1, 2, 4]
    assert dr.lacks(status, 2, before=5.0) == [1, 2]


def test_what_a_designated_receiver_misses_itself_it_cannot_repair() -> None:
    assert session(2).lacks(Status(1, frozenset({3})), 64, 1.0) == [2]


def test_what_was_just_repaired_is_not_asked_for_again() -> None:
    dr = session(1)
    dr.resent[1] = 1.0
    dr.ask(9, [1], since=0.9)
    assert not dr.asked
    dr.ask(9, [1], since=1.0)
    assert list(dr.asked) == [1]


def test_the_slowest_that_still_reports_holds_the_window() -> None:
    source = session()
    assert source.acknowledged(0.0) is None
    source.report(2, 5, now=1.0)
    source.report(3, 9, now=2.0)
    assert source.acknowledged(0.5) == 5
    assert source.acknowledged(1.5) == 9


def grown(sender: Sender, bursts: int) -> list[int]:
    sizes = []
    for _ in range(bursts):
        sizes.append(len(sender.next(sender.sent + 1)))
        sender.adapt()
    return sizes


def test_each_burst_is_one_larger_up_to_the_window() -> None:
    sender = Sender(window=4, threshold=1)
    for number in range(1, 50 + 1):
        sender.create(number)
    assert grown(sender, 6) == [1, 2, 3, 4, 4, 4]


def test_too_many_requests_bring_the_burst_back_to_one() -> None:
    sender = Sender(window=4, threshold=1)
    for number in range(1, 50 + 1):
        sender.create(number)
    grown(sender, 3)
    sender.requests = 2
    sender.adapt()
    assert grown(sender, 2) == [1, 2]


def test_nothing_leaves_beyond_the_window() -> None:
    sender = Sender(window=4, threshold=1)
    sender.size = 4
    for number in range(1, 50 + 1):
        sender.create(number)
    assert sender.next(1) == [1, 2, 3, 4]
    assert sender.next(1) == []
    assert sender.next(3) == [5, 6]
