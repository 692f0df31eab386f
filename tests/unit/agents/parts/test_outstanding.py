"""When what is not acknowledged is sent again, and when it is given up."""

from __future__ import annotations

from typing import Any

import pytest

from agents.api import CancelTimer, MessageId
from agents.options import OptionError, make
from agents.parts.outstanding import Due, Outstanding, RetryOptions

ID, NEXT = MessageId(0, 1), MessageId(0, 2)
TO = 5


def outstanding(**options: Any) -> Outstanding:
    made = Outstanding(make(RetryOptions, options))
    made.expect(TO, ID)
    return made


def waits(made: Outstanding, times: int, id: MessageId = ID, **more: Any) -> list[float]:
    return [round(made.sent(TO, id, 10.0, **more).at - 10.0, 6) for _ in range(times)]


def test_the_wait_doubles_up_to_its_limit() -> None:
    assert waits(outstanding(), 5) == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_an_answer_takes_longer_that_takes_more_round_trips() -> None:
    assert waits(outstanding(), 2, trips=1.5) == [1.5, 3.0]


def test_a_receipt_gives_a_second_for_each_level_and_all_tries_back() -> None:
    made = outstanding(max_tries=2)
    name = made.sent(TO, ID, 0.0).name
    assert made.due(name) == Due(TO, ID, over=False, has_it=False)
    given = [made.received(TO, ID, 10.0, levels=3).at - 10.0 for _ in range(3)]
    assert given == [3.0, 6.0, 8.0]
    made.sent(TO, ID, 20.0)
    assert made.due(name) == Due(TO, ID, over=False, has_it=True)


def test_the_receipt_is_the_round_trip_and_the_word_that_ends_it_is_not() -> None:
    made = outstanding()
    made.sent(TO, ID, 0.0)
    made.received(TO, ID, 0.1, levels=3)
    made.answered(TO, ID, 5.0)
    made.expect(TO, NEXT)
    assert waits(made, 1, NEXT) == [0.4]


def test_an_answer_that_waited_for_others_measures_nothing() -> None:
    made = outstanding()
    made.sent(TO, ID, 0.0)
    made.answered(TO, ID, 0.1, measures=False)
    made.expect(TO, NEXT)
    assert waits(made, 1, NEXT) == [1.0]


def test_four_measured_round_trips_are_the_next_wait() -> None:
    made = outstanding()
    made.sent(TO, ID, 0.0)
    assert made.answered(TO, ID, 0.1) == CancelTimer("rto/5/0/1")
    made.expect(TO, NEXT)
    assert waits(made, 2, NEXT) == [0.4, 0.8]


def test_a_short_round_trip_waits_for_the_least_time() -> None:
    made = outstanding()
    made.sent(TO, ID, 0.0)
    made.answered(TO, ID, 0.001)
    made.expect(TO, NEXT)
    assert waits(made, 1, NEXT) == [0.2]


def test_ten_tries_last_37_s_or_55_s_before_a_round_trip_is_known() -> None:
    """From the first to the last; the docstrings of `centralized` and `tree` quote it."""
    tries = RetryOptions().max_tries
    made = outstanding()
    assert sum(waits(made, tries - 1)) == 55
    made.expect(TO, NEXT)
    made.sent(TO, NEXT, 0.0)
    made.answered(TO, NEXT, 0.05)
    third = MessageId(0, 3)
    made.expect(TO, third)
    assert sum(waits(made, tries - 1, third)) == pytest.approx(36.6)


def test_an_answer_to_a_second_try_measures_nothing() -> None:
    made = outstanding()
    waits(made, 2)
    made.answered(TO, ID, 10.5)
    made.expect(TO, NEXT)
    assert waits(made, 1, NEXT) == [1.0]


def test_a_receiver_is_given_up_after_its_tries() -> None:
    made = outstanding(max_tries=2)
    name = made.sent(TO, ID, 0.0).name
    assert made.due(name) == Due(TO, ID, over=False)
    made.sent(TO, ID, 1.0)
    assert made.due(name) == Due(TO, ID, over=True)
    assert not made.expects(TO, ID)
    assert made.due(name) is None


def test_an_answer_nobody_waits_for_is_none() -> None:
    made = outstanding()
    assert made.answered(TO, NEXT, 0.0) is None
    assert made.answered(3, ID, 0.0) is None


def test_what_is_waited_for_can_be_listed_and_dropped() -> None:
    made = outstanding()
    made.expect(TO, NEXT)
    made.expect(6, NEXT)
    assert made.of(TO) == [ID, NEXT] and made.receivers(NEXT) == [TO, 6]
    assert made.drop(TO) == [CancelTimer("rto/5/0/1"), CancelTimer("rto/5/0/2")]
    assert made.of(TO) == []


def test_the_longest_wait_is_not_shorter_than_the_shortest() -> None:
    with pytest.raises(OptionError, match=r"rto_max_ms=100: choose at least .*default"):
        make(RetryOptions, {"rto_max_ms": 100.0}).check()
