"""Tests of testbed.rest: how long a network is waited for."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from testbed.rest import Rest

Look = tuple[int, int]
"""Packets that links hold, and datagrams so far."""


def waited(looks: Iterable[Look]) -> tuple[int, str]:
    """Seconds until a wait of a patience of 5 s ends, with a look a second, and its complaint."""
    rest = Rest(5.0)
    for now_s, (held, datagrams) in enumerate(looks):
        if not rest.awaited(now_s, held, (datagrams,)):
            return now_s, rest.complaint
    raise AssertionError("the looks ended before the wait")


def test_two_looks_that_see_the_same_are_rest() -> None:
    assert waited([(0, 7), (0, 7)]) == (1, "")
    assert waited([(0, 7), (0, 8), (0, 8)]) == (2, "")


def test_a_backlog_is_waited_for_as_long_as_it_falls() -> None:
    """One packet in 4 s, for 80 s."""
    backlog = [(20 - second // 4, second // 4) for second in range(81)]
    assert waited([*backlog, (0, 20)]) == (81, "")


@pytest.mark.parametrize("step", [0, 1])
def test_a_backlog_that_does_not_fall_is_named(step: int) -> None:
    seconds, complaint = waited((17, step * second) for second in range(99))
    assert seconds == 6
    assert complaint.startswith("links held 17 packets") and "a rate is too low" in complaint


def test_datagrams_that_do_not_stop_are_named() -> None:
    seconds, complaint = waited((0, second) for second in range(99))
    assert seconds == 6
    assert complaint.startswith("datagrams still moved 5 s after the end of a run")


def test_packets_that_come_again_renew_no_patience() -> None:
    """Agents that send on: links hold 3, 2, 3, 2, ... packets."""
    assert waited((3 - second % 2, second) for second in range(99))[0] == 7
