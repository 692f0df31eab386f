"""When a node rises from B with m to B with m+1, cools down in C, and falls silent in D."""

from __future__ import annotations

import pytest

from agents.api import MessageId
from agents.parts.median_counter import COOLING, Medians, limit

ID = MessageId(0, 1)


def spreading(counter: int = 1, most: int = 3) -> Medians:
    made = Medians(most, 30)
    made.start(ID)
    made.begin_round()
    made.hot[ID].counter = counter
    return made


def counter(made: Medians) -> int:
    return made.hot[ID].counter


def meet(made: Medians, *told: int | None) -> None:
    """A round in which the partners told these counters, or nothing, and the next begins."""
    for each in told:
        made.met()
        if each is not None:
            made.heard(ID, each)
    made.begin_round()


def test_the_worked_number() -> None:
    assert [limit(nodes) for nodes in (2, 64, 256, 2**16)] == [2, 4, 4, 5]


@pytest.mark.parametrize(
    ("told", "after"),
    [
        ((2,), 3),
        ((3,), 3),
        ((1,), 2),
        ((None,), 2),
        ((2, None), 2),
        ((2, 2, None), 3),
        ((2, 1, 1), 2),
        ((), 2),
    ],
)
def test_the_counter_rises_when_most_partners_are_as_far(
    told: tuple[int | None, ...], after: int
) -> None:
    made = spreading(counter=2)
    meet(made, *told)
    assert counter(made) == after


def test_beyond_the_limit_and_after_meeting_c_a_node_cools_down() -> None:
    made = spreading(counter=3)
    meet(made, 3)
    assert counter(made) == COOLING
    made = spreading(counter=1)
    meet(made, COOLING, None, None)
    assert counter(made) == COOLING


def test_it_cools_down_for_as_many_rounds_as_the_limit_and_is_silent() -> None:
    made = spreading(counter=3)
    meet(made, 3)
    for _ in range(2):
        meet(made)
        assert counter(made) == COOLING
    meet(made)
    assert made.hot == {}


def test_who_hears_from_c_is_in_c_for_whole_rounds() -> None:
    made = Medians(2, 30)
    made.start(ID, COOLING)
    for _ in range(2):
        made.begin_round()
        assert counter(made) == COOLING
    made.begin_round()
    assert made.hot == {}


def test_the_round_in_which_it_was_heard_counts_for_nothing_but_a_c() -> None:
    made = Medians(3, 30)
    made.start(ID, 1)
    meet(made, 3, 3)
    assert counter(made) == 1
    made.start(ID, 1)
    meet(made, COOLING)
    assert counter(made) == COOLING


def test_among_the_silent_a_node_stops_after_its_patience() -> None:
    made = Medians(3, patience=5)
    made.start(ID)
    for _ in range(5):
        meet(made, None)
        assert counter(made) == 1
    meet(made, None)
    assert made.hot == {}
