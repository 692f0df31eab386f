"""Faults that overlap: each holds its effect until it lets go, and only some lift all holds."""

from __future__ import annotations

from typing import Any

import pytest

from testbed import faults
from testbed.faults.drawing import Drawing
from testbed.faults.timeline import Playback, State
from topologies import two_subnets

GRAPH = two_subnets.build(hosts=8)


class Course:
    """A timeline that is played step by step."""

    def __init__(self, *tables: dict[str, Any]) -> None:
        parsed = faults.parse("mine", list(tables))
        self.timeline = Drawing(parsed, GRAPH, 1.0, horizon_rounds=20).draw(1)
        self._steps = list(self.timeline.steps)
        self.state = State(8, self.timeline)

    def until(self, at_s: float) -> State:
        while self._steps and self._steps[0].at_s <= at_s:
            self.state.apply(self._steps.pop(0))
        return self.state


def test_a_partition_that_was_healed_early_takes_no_other_along_at_its_end() -> None:
    course = Course(
        {"kind": "partition", "at_s": 1, "for_s": 4, "sets": ["s1"]},
        {"kind": "heal", "at_s": 2},
        {"kind": "partition", "at_s": 3, "sets": [[0]]},
    )
    assert course.until(1).parted(0, 4)
    assert not course.until(2).parted(0, 4)
    assert course.until(3).parted(0, 1)
    assert course.until(9).parted(0, 1), "the end of the first, at 5 s, heals nothing"


def test_heal_ends_all_partitions() -> None:
    course = Course(
        {"kind": "partition", "at_s": 1, "sets": ["s1"]},
        {"kind": "partition", "at_s": 1, "sets": [[0]]},
        {"kind": "heal", "at_s": 2},
    )
    assert course.until(1).cuts == {0, 1}
    assert course.until(2).cuts == set()


CHURN = {"kind": "churn", "nodes": [1], "leave_ratio": 0.9, "away_rounds": 0.5, "source": "any"}
SLOW = {"kind": "slow", "at_s": 0, "nodes": [1], "share": 0.5, "period_s": 0.5}
FLAP = {"kind": "flap", "at_s": 0, "nodes": [1], "share": 0.5, "period_s": 0.5}


@pytest.mark.parametrize(
    ("turning", "lasting", "effect"),
    [
        (CHURN, {"kind": "kill", "at_s": 3, "nodes": [1]}, "dead"),
        (SLOW, {"kind": "pause", "at_s": 3, "nodes": [1]}, "paused"),
        (FLAP, {"kind": "link_down", "at_s": 3, "nodes": [1]}, "down"),
    ],
)
def test_turns_do_not_end_what_another_fault_holds(
    turning: dict[str, Any], lasting: dict[str, Any], effect: str
) -> None:
    course = Course(turning, lasting)
    before = [bool(getattr(course.until(at / 10), effect)) for at in range(29)]
    assert len(set(before)) == 2, "it comes and goes"
    assert all(getattr(course.until(at / 10), effect) == {1} for at in range(31, 199))


def test_of_two_that_hold_a_node_the_last_lets_go() -> None:
    course = Course(
        {"kind": "kill", "at_s": 1, "for_s": 3, "nodes": [1]},
        {"kind": "kill", "at_s": 2, "for_s": 4, "nodes": [1, 2]},
    )
    assert course.until(3).dead == {1, 2}
    assert course.until(5).dead == {1, 2}
    assert course.until(6).dead == set()


def test_a_router_s_link_is_down_until_the_last_fault_lets_go_or_link_up_lifts_all() -> None:
    first = {"kind": "link_down", "at_s": 1, "for_s": 2, "router": "r2"}
    second = {"kind": "link_down", "at_s": 2, "for_s": 3, "router": "r2"}
    course = Course(first, second)
    assert course.until(4).severed == {"r2"} and course.until(4).parted(0, 4)
    assert course.until(5).severed == set() and not course.until(5).parted(0, 4)
    course = Course(first, second, {"kind": "link_up", "at_s": 2.5, "router": "r2"})
    assert course.until(2).severed == {"r2"}
    assert course.until(2.5).severed == set()


@pytest.mark.parametrize(
    ("begin", "end", "effect"),
    [("kill", "restart", "dead"), ("pause", "resume", "paused"), ("link_down", "link_up", "down")],
)
def test_a_kind_that_ends_an_effect_lifts_it_whoever_holds_it(
    begin: str, end: str, effect: str
) -> None:
    held = [
        {"kind": begin, "at_s": 1, "nodes": [1, 2]},
        {"kind": begin, "at_s": 1, "for_s": 9, "nodes": [1, 3]},
    ]
    course = Course(*held, {"kind": end, "at_s": 2, "nodes": [1, 4]}, {"kind": end, "at_s": 3})
    assert getattr(course.until(1), effect) == {1, 2, 3}
    assert getattr(course.until(2), effect) == {2, 3}
    assert getattr(course.until(3), effect) == set()


def test_link_up_without_a_place_is_for_routers_too() -> None:
    down = {"kind": "link_down", "at_s": 1}
    course = Course(
        {**down, "nodes": [1]}, {**down, "router": "r2"}, {"kind": "link_up", "at_s": 2}
    )
    assert course.until(1).down == {1} and course.state.severed == {"r2"}
    assert course.until(2).down == set() and course.state.severed == set()


def test_what_starts_in_the_place_of_a_stopped_agent_runs() -> None:
    course = Course(
        {"kind": "pause", "at_s": 1, "for_s": 9, "nodes": [1]},
        {"kind": "kill", "at_s": 2, "for_s": 1, "nodes": [1]},
    )
    assert course.until(2).paused == set() and course.state.dead == {1}
    assert course.until(3).failed == set()


@pytest.mark.parametrize("turning", [SLOW, FLAP])
def test_a_node_of_turns_is_correct_whoever_s_turn_it_is(turning: dict[str, Any]) -> None:
    course = Course(turning)
    turns = set()
    for at in range(200):
        state = course.until(at / 10)
        turns.add(bool(state.paused or state.down))
        assert state.correct(0) == state.correct(1) == set(range(8))
    assert turns == {False, True}
    assert not Playback(course.timeline).returning, "no run waits for the last turn"
