"""The simulator and the UDP driver are two drivers of one contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import groups, registry
from agents.api import (
    Action,
    Actions,
    Broadcast,
    CancelTimer,
    Deliver,
    Lost,
    MessageId,
    NodeId,
    Note,
    Send,
    SetTimer,
    Store,
)
from agents.registry import Plugin
from agents.run import Run, RunSpec
from agents.timing import MODES
from agents.trace import Event, Trace
from agents.wire import Packet
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from testbed.simulator.recorder import Row, What
from tests.scripted import Word, play
from topologies.graph import Graph, Impairment, Router

SECOND = 1_000_000_000
NODES = 5
SUBNETS = (range(2), range(2, NODES))
END_NS = 6 * SECOND
GROUPS = ("all", "subnet:0", "subnet:1")

Seen = tuple[Any, ...]
"""Event, time and what it is about, without what only one of the drivers can know."""


def lan(delay_ms: float, loss_ratio: float) -> Network:
    receive = Impairment(delay_ms=delay_ms, jitter_ms=delay_ms / 3, loss_ratio=loss_ratio)
    routers = [Router("r0", 0, None), Router("r1", 1, "r0"), Router("r2", 1, "r0")]
    return Network(Graph.grow("two", routers, [("r1", 2), ("r2", 3)], receive=receive))


class Twin:
    """One node under the UDP driver's rules, its clock moved by hand."""

    def __init__(self, plugin: Plugin, simulation: Simulation, me: NodeId, **fields: Any) -> None:
        self.trace = cast(Trace, self)
        self.wakes: list[tuple[int, int, str | int]] = []
        self.seen: list[Seen] = []
        self.reports: list[str] = []
        self.now_ns = 0
        self.kept: dict[str, bytes] = {}
        spec = RunSpec(run=1, protocol=plugin.name, at_ns=0, payload_bytes=64, **fields)
        self.run = Run(spec, plugin, simulation.network.views[me], self)
        self.run.open(0)

    def write(self, event: int, run: int, time_ns: int, **fields: Any) -> None:
        defaults = {"peer": -1, "origin": -1, "parent": -1}
        names = ("peer", "type", "origin", "sequence", "hop", "parent", "round")
        values = [fields.get(name, defaults.get(name, 0)) for name in names]
        self.seen.append((Event(event).name, time_ns, *values))

    def note(self, run: int, time_ns: int, name: str, value: float) -> None:
        self.seen.append(("note", time_ns, value))

    def send(self, node: int, datagram: bytes) -> int:
        return 0

    def cast(self, group: int, datagram: bytes, ttl: int | None) -> int:
        return 0

    def store(self, run: int, key: str, value: bytes) -> None:
        self.kept[key] = value

    def stored(self, run: int) -> dict[str, bytes]:
        return self.kept

    def settled(self, run: int) -> set[MessageId]:
        return set()

    def wake(self, due_ns: int, serial: int, run: Run, name: str | int) -> None:
        heappush(self.wakes, (due_ns, serial, name))

    def report(self, message: dict[str, Any]) -> None:
        assert message["is"] in ("infected", "settled"), message
        self.reports.append(message["is"])

    def until(self, time_ns: int) -> None:
        while self.wakes and self.wakes[0][0] <= time_ns:
            due_ns, serial, name = heappop(self.wakes)
            self.now_ns = max(self.now_ns, due_ns)
            self.run.fire(serial, name, due_ns, self.now_ns)
        self.now_ns = time_ns


def seen(row: Row) -> Seen:
    time_ns, _, event, peer, k, what = row
    if event == Event.note:
        assert isinstance(what, What)
        return "note", time_ns, what.value
    if isinstance(what, What):
        about = (what.type, what.origin, what.sequence, what.hop, what.parent, what.round + k)
    else:
        about = (what.TYPE, what.origin, what.sequence, what.hop, -1, what.round)
    return Event(event).name, time_ns, peer, *about


def agree(plugin: Plugin, simulation: Simulation, **fields: Any) -> None:
    """Feeds each node's twin with what the node heard, when it heard it."""
    rows = list(simulation.recorder.rows())
    for me in range(NODES):
        mine = [row for row in rows if row[1] == me]
        twin = Twin(plugin, simulation, me, **fields)
        for time_ns, _, event, sender, _, what in mine:
            if event in (Event.receive, Event.duplicate):
                assert not isinstance(what, What)
                twin.until(time_ns)
                twin.run.take(Packet(1, sender, 0, what), 0, 0, time_ns)
        twin.until(END_NS)
        assert twin.seen == [seen(row) for row in mine]


def hearers(me: NodeId, peer: int) -> int:
    """How many get a datagram that is sent there and not lost."""
    if peer >= 0:
        return 1
    group = range(NODES) if peer == groups.peer(groups.ALL) else SUBNETS[-3 - peer]
    return len(group) - (me in group)


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "seed": st.integers(0, 10**9),
            "timing": st.sampled_from(MODES),
            "sources": st.sampled_from(["all", [0], [1, 3]]),
            "messages": st.integers(1, 3),
            "interval_s": st.sampled_from([0.0, 0.3, 1.0]),
        }
    )


delays = st.sampled_from([0.0, 15.0, 700.0])
losses = st.sampled_from([0.0, 0.4])


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(registry.names()), chosen=conditions(), delay=delays, loss=losses)
def test_an_agent_that_hears_what_its_twin_heard_does_the_same(
    name: str, chosen: dict[str, Any], delay: float, loss: float
) -> None:
    plugin = registry.load(name)
    simulation = Simulation(lan(delay, loss), plugin, {}, round_s=1.0, **chosen)
    simulation.advance(END_NS)
    assert not simulation.failures
    agree(plugin, simulation, options={}, round_s=1.0, **chosen)


actions = st.lists(
    st.one_of(
        st.builds(Send, st.integers(0, NODES - 1), st.builds(Word, st.just(9), st.integers(0, 3))),
        st.tuples(st.sampled_from("ab"), st.sampled_from([-1.0, 0.0, 0.25, 1.0, 1.5])),
        st.builds(CancelTimer, st.sampled_from("ab")),
        st.builds(Note, st.just("n"), st.floats(0, 1)),
        st.builds(Send, st.sampled_from(GROUPS), st.builds(Word, st.just(9), st.integers(0, 3))),
        st.builds(Broadcast, st.builds(Word, st.just(8), st.integers(0, 3))),
        st.builds(Lost, st.builds(MessageId, st.just(9), st.integers(0, 3))),
        st.builds(Store, st.sampled_from("ab"), st.binary(max_size=3)),
        st.just(None),
    ),
    max_size=4,
)
"""A pair is a timer so many seconds from now, None a delivery of something new."""


@settings(max_examples=60, deadline=None)
@given(
    answers=st.lists(actions, max_size=20),
    chosen=conditions(),
    delay=delays,
    loss=losses,
)
def test_both_drivers_make_the_same_of_any_actions(
    answers: Sequence[Sequence[Any]], chosen: dict[str, Any], delay: float, loss: float
) -> None:
    def scripted() -> Plugin:
        calls: Counter[NodeId] = Counter()

        def script(me: NodeId, call: str, now: float) -> Actions:
            calls[me] += 1
            place = NODES * (calls[me] - 1) + me
            done: list[Action] = []
            for action in answers[place] if place < len(answers) else ():
                if action is None:
                    id = MessageId(me, 1000 * calls[me] + len(done))
                    done.append(Deliver(id, len(done) or None))
                elif isinstance(action, tuple):
                    done.append(SetTimer(action[0], now + action[1]))
                else:
                    done.append(action)
            return done

        return play(script, groups=True)

    simulation = Simulation(lan(delay, loss), scripted(), {}, round_s=1.0, **chosen)
    simulation.advance(END_NS)
    assert not simulation.failures
    agree(scripted(), simulation, options={}, round_s=1.0, **chosen)
    for node in simulation.nodes:
        times = [call[1] for call in node.protocol.calls]  # type: ignore[attr-defined]
        assert times == sorted(times)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(registry.names()), chosen=conditions(), delay=delays, loss=losses)
def test_a_run_repeats_bit_for_bit_and_loses_nothing_by_itself(
    name: str, chosen: dict[str, Any], delay: float, loss: float
) -> None:
    runs: list[tuple[Any, Any]] = []
    for _ in range(2):
        simulation = Simulation(lan(delay, loss), registry.load(name), {}, round_s=1.0, **chosen)
        for step in range(1, 7) if runs else (6,):  # advancing in steps changes nothing
            simulation.advance(step * SECOND)
        runs.append(simulation.recorder.finish())
    (records, hosts), (again, others) = runs
    assert records.tobytes() == again.tobytes() and hosts.tobytes() == others.tobytes()
    times = records["time_ns"]
    assert (np.diff(times) >= 0).all()
    sends = records["event"] == Event.send
    sent = sum(map(hearers, hosts[sends].tolist(), records["peer"][sends].tolist()))
    heard = np.isin(records["event"], [Event.receive, Event.duplicate])
    if loss == 0 and delay == 0:
        assert np.count_nonzero(heard) == sent
    else:
        assert np.count_nonzero(heard) <= sent
    delivered = list(hosts[records["event"] == Event.deliver])
    if chosen["sources"] == "all":
        assert len(delivered) == len(set(delivered))


def test_seeds_reach_targets_phases_and_losses() -> None:
    def drawn(seed: int) -> bytes:
        simulation = Simulation(lan(0.0, 0.4), registry.load("push"), {}, seed=seed, round_s=1.0)
        simulation.advance(END_NS)
        return simulation.recorder.finish()[0].tobytes()

    assert len({drawn(Random(1).randrange(100) + offset) for offset in range(5)}) == 5
