"""Distances come from echoed stamps, whatever the clocks say."""

from __future__ import annotations

import pytest

from agents.parts.distances import LEAST_S, Distances, Echo, as_stamp, stamp


def test_half_of_the_round_trip_less_the_hold_is_the_distance() -> None:
    mine = Distances(1.0)
    mine.echoed(7, stamp(1.0), as_stamp(0.3), 1.4)
    assert mine.to(7) == pytest.approx(0.05)


def test_an_unknown_member_is_at_the_first_distance() -> None:
    assert Distances(1.0).to(7) == 1.0


def test_an_echo_says_how_long_the_stamp_was_held() -> None:
    theirs = Distances(1.0)
    theirs.heard(3, 123, 2.0)
    assert theirs.echoes(2.25, 10) == [Echo(3, 123, 250_000)]


def test_only_the_latest_stamp_is_echoed() -> None:
    theirs = Distances(1.0)
    theirs.heard(3, 1, 2.0)
    theirs.heard(3, 2, 3.0)
    assert theirs.echoes(3.0, 10) == [Echo(3, 2, 0)]


def test_what_does_not_fit_is_echoed_in_turn() -> None:
    theirs = Distances(1.0)
    for peer in range(5):
        theirs.heard(peer, peer, 0.0)
    told = [echo.peer for _ in range(5) for echo in theirs.echoes(1.0, 2)]
    assert told == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]


def test_a_clock_that_wraps_between_stamp_and_echo_is_no_harm() -> None:
    mine = Distances(1.0)
    end = 2**32 / 1e6
    mine.echoed(7, stamp(end - 0.05), 0, end + 0.05)
    assert mine.to(7) == pytest.approx(0.05)


def test_a_hold_longer_than_the_round_trip_is_passed_over() -> None:
    mine = Distances(1.0)
    mine.echoed(7, stamp(1.0), as_stamp(0.5), 1.4)
    assert mine.to(7) == 1.0


def test_no_distance_is_zero() -> None:
    mine = Distances(1.0)
    mine.echoed(7, stamp(1.0), 0, 1.0)
    assert mine.to(7) == LEAST_S
