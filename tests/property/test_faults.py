"""Random timelines in the simulator: nobody does what a dead, stopped or cut-off node cannot do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import registry
from agents.trace import Event
from testbed import faults
from testbed.errors import UsageError
from testbed.faults.drawing import Drawing
from testbed.faults.timeline import State, Timeline
from testbed.faults.virtual import VirtualPlayer
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from topologies import two_subnets

GRAPH = two_subnets.build(hosts=8)
NETWORK = Network(GRAPH)
ROUND_S, HORIZON = 1.0, 12
ACTIVE = [Event.tick, Event.send, Event.receive, Event.duplicate, Event.deliver]

nodes = st.one_of(st.integers(1, 4), st.sampled_from([0.25, 0.5, "s1", "s2", [0, 5]]))
when = st.one_of(
    st.fixed_dictionaries({"at_round": st.sampled_from([0, 0.5, 2, 3.25])}),
    st.fixed_dictionaries({"at_infected": st.sampled_from([0.3, 0.7])}),
)
at_once = st.one_of(when, st.fixed_dictionaries({"between_rounds": st.just([1, 4])}))
spread = st.one_of(
    at_once,
    st.fixed_dictionaries({"each_round": st.sampled_from([0.05, 0.3])}),
)
lasting = st.fixed_dictionaries({}, optional={"for_rounds": st.sampled_from([0.5, 1, 3])})
hitting = st.fixed_dictionaries({"nodes": nodes, "source": st.just("any")})


def kind(name: str, *parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(
        lambda found: {"kind": name, **{k: v for each in found for k, v in each.items()}}
    )


some_fault = st.one_of(
    kind("kill", spread, lasting, hitting),
    kind("pause", spread, lasting, hitting),
    kind("link_down", spread, lasting, hitting),
    kind("link_down", at_once, lasting, st.just({"router": "r2"})),
    kind("partition", at_once, lasting, st.sampled_from([{"sets": ["s1"]}, {"sets": [3, 2]}])),
    kind("slow", when, hitting, st.just({"share": 0.5, "period_s": 0.4})),
    kind("flap", when, hitting, st.just({"share": 0.5, "period_s": 0.8})),
    kind("loss", at_once, lasting, hitting, st.just({"loss_ratio": 0.6})),
    kind("clock_step", when, hitting, st.sampled_from([{"seconds": 5}, {"seconds": -5}])),
    kind(
        "churn", at_once, hitting, st.just({"leave_ratio": 0.3, "away_rounds": 1, "for_rounds": 6})
    ),
    kind("heal", at_once),
    kind("restart", at_once),
    kind("resume", at_once),
)


class Played:
    """One simulated run under faults: its records, and the state as it was at any time."""

    def __init__(self, tables: list[dict[str, Any]], seed: int) -> None:
        drawing = Drawing(faults.parse("mine", tables), GRAPH, ROUND_S, HORIZON)
        self.timeline: Timeline = drawing.draw(seed)
        simulation = Simulation(
            NETWORK,
            registry.load("push"),
            {"fan_out": 2, "retention": "forever"},
            seed=seed,
            round_s=ROUND_S,
            sources=[self.timeline.sources[0]],
        )
        self.player = VirtualPlayer(
            simulation, drawing.faults, self.timeline, seed=seed, source=self.timeline.sources[0]
        )
        self.whole = self.player.play(int(HORIZON * 1e9))
        self.end_ns = simulation.now_ns
        self.records, self.hosts = simulation.recorder.finish()
        self.reached = simulation.infected


drawn = st.lists(some_fault, min_size=1, max_size=3)


def built(tables: list[dict[str, Any]], seed: int) -> Played | None:
    try:
        return Played(tables, seed)
    except UsageError:  # two faults that leave no node to multicast, say
        return None


@settings(max_examples=150, deadline=None)
@given(drawn, st.integers(0, 2**32))
def test_a_node_is_active_only_while_it_is_up(tables: list[dict[str, Any]], seed: int) -> None:
    timed = [table for table in tables if "at_infected" not in table]
    played = built(timed, seed) if timed else None
    if played is None:
        return
    active = np.isin(played.records["event"], ACTIVE)
    changes = [0, *(round(each.at_s * 1e9) for each in played.timeline.steps), played.end_ns + 1]
    state = State(8, played.timeline)
    steps = [None, *played.timeline.steps]
    for step, from_ns, until_ns in zip(steps, changes[:-1], changes[1:], strict=True):
        if step is not None:
            state.apply(step)
        # What falls on the very instant of a step may come before it.
        inside = (played.records["time_ns"] > from_ns) & (played.records["time_ns"] < until_ns)
        mine = active & inside
        assert not set(played.hosts[mine]) & (state.dead | state.paused)
        heard = mine & np.isin(played.records["event"], [Event.receive, Event.duplicate])
        for host, peer in zip(played.hosts[heard], played.records["peer"][heard], strict=True):
            # A stopped node hears what had come before it was cut off.
            assert not state.parted(int(peer), int(host)) or "pause" in {
                each.do for each in played.timeline.steps
            }


@settings(max_examples=100, deadline=None)
@given(drawn, st.integers(0, 2**32))
def test_a_run_is_whole_when_all_correct_nodes_have_it(
    tables: list[dict[str, Any]], seed: int
) -> None:
    played = built(tables, seed)
    if played is None:
        return
    delivered = set(played.hosts[played.records["event"] == Event.deliver].tolist())
    correct = set(range(8)) - played.player.faulty
    assert len(delivered) == played.reached
    if played.whole:
        assert correct <= delivered
        assert played.end_ns <= HORIZON * 1e9
    else:
        assert played.end_ns == HORIZON * 1e9


@settings(max_examples=40, deadline=None)
@given(drawn, st.integers(0, 2**32))
def test_a_seed_gives_the_same_run_bit_for_bit(tables: list[dict[str, Any]], seed: int) -> None:
    first, second = built(tables, seed), built(tables, seed)
    if first is None or second is None:
        assert first is second is None
        return
    assert first.records.tobytes() == second.records.tobytes()


def test_a_partition_from_the_start_keeps_the_multicast_on_one_side() -> None:
    parted = {"kind": "partition", "at_round": 0, "sets": ["s2"], "source": "excluded"}
    played = Played([parted], seed=1)
    assert played.whole and played.reached == 4
    assert played.player.faulty == frozenset(range(4, 8))


def test_what_waits_for_an_infected_fraction_happens_at_that_moment() -> None:
    late = {"kind": "kill", "at_infected": 0.5, "nodes": [7], "source": "excluded"}
    played = Played([late], seed=3)
    deliveries = np.sort(played.records["time_ns"][played.records["event"] == Event.deliver])
    ticks = played.records["time_ns"][(played.hosts == 7) & (played.records["event"] == Event.tick)]
    assert played.player.faulty == {7}
    assert ticks.max(initial=0) <= deliveries[3]


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_the_loss_of_a_fault_is_that_share_of_the_datagrams(ratio: float) -> None:
    lossy = {"kind": "loss", "at_round": 0, "nodes": "all", "loss_ratio": ratio}
    sent = came = 0
    for seed in range(60):
        played = Played([lossy], seed)
        events = played.records["event"]
        sent += int((events == Event.send).sum())
        came += int(np.isin(events, [Event.receive, Event.duplicate]).sum())
    assert sent > 1000
    # Binomial: five standard deviations at 1,000 datagrams are 0.08.
    assert came / sent == pytest.approx(1 - ratio, abs=0.08 if ratio == 0.5 else 0)
