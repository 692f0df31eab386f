"""Who is hit and when: draws by name from a seed, kinds taken apart into steps."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed import faults
from testbed.errors import UsageError
from testbed.faults.drawing import Drawing
from testbed.faults.timeline import Playback, State, Step, Timeline
from topologies import two_subnets

RECORDED = Path(__file__).parents[3] / "recorded"
GRAPH = two_subnets.build(hosts=8)
ROUND_S = 0.5


def drawn(*tables: dict[str, Any], seed: int = 1, source: int | None = None) -> Timeline:
    parsed = faults.parse("mine", list(tables))
    return Drawing(parsed, GRAPH, ROUND_S, horizon_rounds=20).draw(seed, source)


KILL = {"kind": "kill", "at_round": 0, "nodes": 0.5}


def test_a_seed_gives_the_same_nodes_and_another_one_others() -> None:
    assert drawn(KILL) == drawn(KILL)
    assert len({drawn(KILL, seed=seed).steps[0].nodes for seed in range(20)}) > 10


def test_every_node_is_hit_equally_often() -> None:
    hits = Counter(node for seed in range(4000) for node in drawn(KILL, seed=seed).steps[0].nodes)
    assert sum(hits.values()) == 4 * 4000
    # Binomial with n = 4000 and p = 1/2 each: 5 standard deviations.
    assert all(abs(hits[node] - 2000) < 5 * math.sqrt(1000) for node in range(8))


def test_a_further_fault_leaves_the_draw_of_the_first_alone() -> None:
    more = drawn(KILL, {"kind": "pause", "between_rounds": [1, 2], "nodes": 1, "source": "any"})
    assert more.steps[0] == drawn(KILL).steps[0]


def test_sources_are_drawn_from_those_that_are_spared() -> None:
    spared = drawn(KILL)
    assert set(spared.sources) == set(range(8)) - set(spared.steps[0].nodes)
    assert drawn({**KILL, "source": "included"}).sources == spared.steps[0].nodes
    assert drawn({**KILL, "source": "any"}).sources == tuple(range(8))


def test_the_source_itself_can_be_hit() -> None:
    first = {"kind": "kill", "at_round": 1, "nodes": "source"}
    assert drawn(first).sources == tuple(range(8))
    assert drawn(first, source=5).steps == (Step(0.5, "kill", (5,)),)


def test_a_node_can_be_hit_by_its_place_after_the_source() -> None:
    """In a K-ary tree the first K after the source are its children."""
    first = {"kind": "kill", "at_round": 1, "nodes": "source+2"}
    assert drawn(first).sources == tuple(range(8))
    assert drawn(first, source=5).steps == (Step(0.5, "kill", (7,)),)
    assert drawn(first, source=7).steps == (Step(0.5, "kill", (1,)),)


def test_names_stand_for_all_below_them() -> None:
    def hit(name: str) -> tuple[int, ...]:
        return drawn({**KILL, "nodes": name, "source": "any"}).steps[0].nodes

    first, second = GRAPH.subnets
    assert hit(first.name) == hit(first.router) == (0, 1, 2, 3)
    assert hit(second.name) == (4, 5, 6, 7)
    assert hit("all") == hit(GRAPH.core.name) == tuple(range(8))
    within = drawn({**KILL, "within": second.name}).steps[0].nodes
    assert len(within) == 2 and set(within) < {4, 5, 6, 7}


def test_a_fault_that_lasts_is_undone_at_its_end() -> None:
    assert drawn({**KILL, "nodes": [1], "at_round": 2, "for_rounds": 3}).steps == (
        Step(1.0, "kill", (1,)),
        Step(2.5, "restart", (1,)),
    )


def test_a_slow_node_is_stopped_and_continued_in_turns() -> None:
    slow = {"kind": "slow", "nodes": [1], "at_s": 1, "for_s": 0.4, "share": 0.25, "period_s": 0.2}
    steps = [(round(s.at_s, 6), s.do) for s in drawn(slow).steps]
    assert steps == [(1.05, "pause"), (1.2, "resume"), (1.25, "pause"), (1.4, "resume")]


def test_a_flapping_link_ends_up() -> None:
    flap = {"kind": "flap", "nodes": [1], "at_s": 1, "for_s": 0.5, "share": 0.5, "period_s": 0.3}
    steps = [(round(s.at_s, 6), s.do) for s in drawn(flap).steps]
    assert steps == [(1.0, "down"), (1.15, "up"), (1.3, "down"), (1.45, "up")]


def test_turns_go_no_further_than_the_horizon_however_long_they_are_to_last() -> None:
    slow = {"kind": "slow", "nodes": [1], "at_s": 0, "share": 0.5, "period_s": 0.1}
    assert drawn({**slow, "for_s": 1e9}) == drawn(slow)
    churn = {"kind": "churn", "nodes": "all", "leave_ratio": 0.5, "away_rounds": 1}
    assert drawn({**churn, "for_rounds": 1e9}) == drawn(churn)
    assert len(drawn({**slow, "for_s": 1e9}).steps) == 2 * 10.0 / 0.1 - 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "slow", "nodes": [1], "at_s": 0, "share": 0.5, "period_s": 0.1},
        {"kind": "churn", "nodes": "all", "leave_ratio": 0.9, "away_rounds": 0.01, "source": "any"},
    ],
)
def test_more_steps_than_memory_is_good_for_are_refused(
    fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(drawn(fault).steps) > 100
    monkeypatch.setattr("testbed.faults.drawing.MAX_STEPS", 100)
    with pytest.raises(UsageError, match=r"more than 100 steps before the horizon of 10 s; choose"):
        drawn(fault)


def test_random_times_are_uniform_between_their_rounds() -> None:
    pause = {"kind": "pause", "nodes": 3, "between_rounds": [2, 4]}
    times = [step.at_s for seed in range(400) for step in drawn(pause, seed=seed).steps]
    assert len(times) == 1200
    assert min(times) >= 1.0 and max(times) < 2.0
    assert np.mean(times) == pytest.approx(1.5, abs=5 * 1 / math.sqrt(12 * 1200))


@pytest.mark.parametrize(
    ("fault", "nodes"),
    [
        ({"kind": "partition", "sets": ["s1"], "source": "any"}, (0, 1, 2, 3)),
        ({"kind": "heal"}, ()),
        ({"kind": "loss", "nodes": "s2", "loss_ratio": 0.5}, (4, 5, 6, 7)),
        ({"kind": "loss", "router": "r1", "loss_ratio": 0.5}, ()),
        ({"kind": "link_down", "router": "r1"}, ()),
        ({"kind": "restart"}, ()),
        ({"kind": "weather", "profile": str(RECORDED / "weather" / "day.csv")}, (0,)),
    ],
)
def test_what_is_of_no_single_node_begins_at_one_random_time(
    fault: dict[str, Any], nodes: tuple[int, ...]
) -> None:
    first = [drawn({**fault, "between_rounds": [2, 4]}, seed=s).steps for s in range(100)]
    assert {steps[0].nodes for steps in first} == {nodes}
    assert {len(steps) for steps in first} == {3 if fault["kind"] == "weather" else 1}
    times = [steps[0].at_s for steps in first]
    assert 1.0 <= min(times) < 1.1 and 1.9 < max(times) < 2.0
    assert first[0] == drawn({**fault, "between_rounds": [2, 4]}, seed=0).steps


def test_churn_may_wait_for_an_infected_fraction_or_begin_at_random_times() -> None:
    churn = {"kind": "churn", "nodes": "all", "leave_ratio": 0.5, "away_rounds": 1, "source": "any"}
    waiting = drawn({**churn, "at_infected": 0.5}).steps
    assert {step.infected for step in waiting} == {0.5}
    assert [(s.at_s, s.do, s.nodes) for s in waiting] == [
        (s.at_s, s.do, s.nodes) for s in drawn(churn).steps
    ]
    later = drawn({**churn, "between_rounds": [4, 8]}).steps
    assert later[0].at_s > 2.0 and {step.nodes for step in later} == {(n,) for n in range(8)}


def test_a_share_in_each_round_falls_whoever_is_drawn() -> None:
    crash = {"kind": "kill", "nodes": "all", "each_round": 0.2, "source": "any"}
    first, second = (drawn(crash, seed=seed).steps for seed in (1, 2))
    assert [step.at_s for step in first] == [step.at_s for step in second]
    assert [step.nodes for step in first] != [step.nodes for step in second]
    alive = [8 - sum(step.at_s < k * ROUND_S for step in first) for k in range(6)]
    assert alive == [round(8 * 0.8**k) for k in range(6)]


def test_churn_alternates_at_each_node_and_ends_with_everyone_back() -> None:
    churn = {"kind": "churn", "nodes": "all", "leave_ratio": 0.5, "away_rounds": 1, "for_rounds": 9}
    for seed in range(50):
        timeline = drawn({**churn, "source": "any"}, seed=seed)
        state = State(8, timeline)
        for step in timeline.steps:
            assert (step.do == "kill") == (step.nodes[0] not in state.dead)
            state.apply(step)
        assert not state.dead
    leaves = [s for seed in range(200) for s in drawn(churn, seed=seed).steps if s.do == "kill"]
    # Away one round in 1/0.69 + 1 on the average: 3.7 leaves in 9 rounds, a few more at the start.
    assert len(leaves) / (200 * 8) == pytest.approx(9 / (1 / math.log(2) + 1), rel=0.12)


def test_correct_are_those_that_are_up_and_on_the_source_s_side() -> None:
    timeline = drawn({"kind": "partition", "at_s": 1, "for_s": 1, "sets": ["s2"], "source": "any"})
    state = State(8, timeline)
    state.apply(Step(0, "kill", (1,), 9))
    state.apply(Step(0, "pause", (2,), 9))
    state.apply(Step(0, "down", (3,), 9))
    assert state.correct(0) == {0, 4, 5, 6, 7}
    state.apply(timeline.steps[0])
    assert state.correct(0) == {0} and state.correct(4) == {4, 5, 6, 7}
    assert state.parted(0, 4) and not state.parted(4, 5)
    state.apply(timeline.steps[1])
    for undo in ("restart", "resume", "up"):
        state.apply(Step(0, undo, (), 9))
    assert state.correct(0) == set(range(8))


def test_a_router_s_link_parts_what_is_below_it_and_heal_leaves_it_down() -> None:
    timeline = drawn({"kind": "link_down", "at_s": 0, "router": "r2"}, {"kind": "heal", "at_s": 1})
    state = State(8, timeline)
    for step in timeline.steps:
        state.apply(step)
    below = {host.node for host in GRAPH.hosts if GRAPH.router_of(host).name == "r2"}
    assert state.correct(min(below)) == below


def test_a_dead_node_is_neither_paused_nor_killed_twice() -> None:
    state = State(8, drawn(KILL))
    assert state.apply(Step(0, "pause", (1, 2))) == (1, 2)
    assert state.apply(Step(0, "kill", (2, 3))) == (2, 3)
    assert state.apply(Step(0, "kill", (2,))) == ()
    assert state.apply(Step(0, "pause", (2,))) == ()
    assert state.apply(Step(0, "resume")) == (1,)
    assert state.apply(Step(0, "restart", (3, 4))) == (3,)


def test_steps_are_handed_out_when_due_and_those_on_infection_once_it_is_reached() -> None:
    late = {"kind": "kill", "at_infected": 0.5, "nodes": [1], "for_s": 1}
    playback = Playback(drawn({**KILL, "nodes": [2]}, late))
    assert playback.take(0.0) == [Step(0.0, "kill", (2,))]
    assert playback.next_s == math.inf
    playback.reached(0.4, now_s=1.0)
    assert playback.take(9.0) == []
    playback.reached(0.5, now_s=2.0)
    assert playback.next_s == 2.0 and playback.returning
    assert [step.do for step in playback.take(2.0)] == ["kill"]
    playback.reached(0.9, now_s=2.5)
    assert playback.next_s == 3.0
    assert [step.do for step in playback.take(3.0)] == ["restart"]
    assert not playback.returning
