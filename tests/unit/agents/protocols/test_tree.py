"""Each multicast crosses each edge of the tree once; what breaks is mended by ACK or NAK."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agents import registry
from agents.api import Actions, Deliver, MessageId, Note, Send, SetTimer, Store, View
from agents.options import OptionError, make
from agents.parts.branches import Head
from agents.parts.tree_acks import STATUS
from agents.parts.tree_messages import (
    TreeAck,
    TreeAttach,
    TreeData,
    TreeDetach,
    TreeHeartbeat,
    TreeNak,
    TreeRepair,
)
from agents.protocols.tree import ANCESTORS, Tree
from agents.seeds import derive
from testbed.checking.schedule import Crash, Schedule
from testbed.checking.world import World
from testbed.theory import k_ary_tree

ID = MessageId(0, 1)


def node(me: int, nodes: int = 15, **options: Any) -> Tree:
    chosen = make(Tree.Options, options)
    return Tree(View(me, (range(nodes),)), chosen, derive(1, me, "targets"))


def world(schedule: Schedule, **options: Any) -> World:
    return World(registry.load("tree"), make(Tree.Options, options), schedule)


def data(sequence: int = 1, low: int = 1, ancestors: tuple[int, ...] = ()) -> TreeData:
    return TreeData(0, sequence, body=Head(low, 1.0, ancestors).encode() + b"payload")


def sends(actions: Actions) -> list[Send]:
    return [action for action in actions if isinstance(action, Send)]


def delivered(made: World, id: MessageId = ID) -> dict[int, float]:
    return {at.node: at.time_s for at in made.history if at.kind == "deliver" and at.id == id}


@pytest.mark.parametrize("nodes", [2, 9, 64])
@pytest.mark.parametrize("tree", ["kary", "topology", "bfs"])
@pytest.mark.parametrize(
    ("options", "acks", "attaches"),
    [
        ({"repair": "none"}, 0, 0),
        ({"repair": "ack"}, 1, 0),
        ({"repair": "ack", "aggregate": False}, 1, 0),
        ({"repair": "nak"}, 0, 1),
    ],
)
def test_without_loss_counts_match_to_the_packet(
    nodes: int, tree: str, options: dict[str, Any], acks: int, attaches: int
) -> None:
    schedule = Schedule(nodes=nodes, subnets=3, multicasts=((0.0, 0), (0.1, 0)))
    made = world(schedule, tree=tree, **options)
    made.advance(30.0)
    assert made.sends[TreeData.TYPE] == 2 * (nodes - 1)
    assert made.sends.get(TreeAck.TYPE, 0) == 2 * acks * (nodes - 1)
    assert made.sends.get(TreeAttach.TYPE, 0) == attaches * (nodes - 1)
    assert not {TreeNak.TYPE, TreeRepair.TYPE, TreeDetach.TYPE} & set(made.sends)


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("nodes", [15, 40])
def test_a_node_sends_to_k_others_at_most_and_all_is_done_in_depth_hops(nodes: int, k: int) -> None:
    made = world(Schedule(nodes=nodes), k=k)
    made.advance(30.0)
    copies = [
        (me, action.message.hop)
        for me, action in made.actions
        if isinstance(action, Send) and isinstance(action.message, TreeData)
    ]
    senders = [me for me, _ in copies]
    assert max(senders.count(me) for me in set(senders)) == k
    assert max(hop for _, hop in copies) + 1 == k_ary_tree.depth(nodes, k)


@pytest.mark.parametrize(("aggregate", "at_the_root"), [(True, 2), (False, 14)])
def test_aggregated_or_not_decides_what_the_root_hears(aggregate: bool, at_the_root: int) -> None:
    made = world(Schedule(nodes=15), aggregate=aggregate)
    made.advance(30.0)
    acks = [
        action.to
        for _, action in made.actions
        if isinstance(action, Send) and isinstance(action.message, TreeAck)
    ]
    assert len(acks) == 14 and acks.count(0) == at_the_root


def test_below_a_dead_node_all_are_cut_off_where_nobody_mends() -> None:
    schedule = Schedule(nodes=15, multicasts=((0.5, 0),), crashes=(Crash(1, 0.0, None),))
    made = world(schedule, repair="none")
    made.advance(60.0)
    assert set(range(15)) - set(delivered(made)) == {1, 3, 4, 7, 8, 9, 10}
    assert k_ary_tree.cut_off(15, 2) == 7


@pytest.mark.parametrize("repair", ["ack", "nak"])
def test_orphans_join_the_grandparent_within_three_heartbeats_and_an_attempt(repair: str) -> None:
    schedule = Schedule(nodes=15, multicasts=((0.0, 0), (1.0, 0)), crashes=(Crash(1, 0.5, None),))
    made = world(schedule, repair=repair)
    made.advance(60.0)
    times = delivered(made, MessageId(0, 2))
    assert set(times) == set(range(15)) - {1}
    assert max(times.values()) < 1.0 + 3 * 1.0 + 1.0
    assert [
        action.to
        for me, action in made.actions
        if me == 3 and isinstance(action, Send) and isinstance(action.message, TreeAttach)
    ][-1] == 0


@pytest.mark.parametrize("repair", ["ack", "nak"])
def test_children_of_a_node_that_never_lived_are_adopted(repair: str) -> None:
    schedule = Schedule(nodes=15, multicasts=((0.5, 0),), crashes=(Crash(1, 0.0, None),))
    made = world(schedule, repair=repair, max_tries=3)
    made.advance(120.0)
    assert set(delivered(made)) == set(range(15)) - {1}


def test_the_last_multicast_of_a_burst_is_asked_for_after_a_heartbeat() -> None:
    leaf = node(14, repair="nak")
    leaf.on_message(data(1, ancestors=(2, 0)), 6, 0.0)
    beat = TreeHeartbeat(0, 2, body=Head(1, 2.0, (2, 0)).encode())
    timers = [a for a in leaf.on_message(beat, 6, 1.0) if isinstance(a, SetTimer)]
    ask = next(timer for timer in timers if timer.name == "ask/0")
    assert 1.0 <= ask.at <= 1.05
    request, again = leaf.on_timer("ask/0", ask.at)
    assert isinstance(request, Send) and isinstance(request.message, TreeNak)
    assert request.to == 6
    assert again == SetTimer("ask/0", ask.at + 0.5)


def test_requests_go_to_the_ancestors_when_the_parent_does_not_help() -> None:
    leaf = node(14, repair="nak")
    leaf.on_message(data(2, ancestors=(2, 0)), 6, 0.0)
    asked = [sends(leaf.on_timer("ask/0", float(time)))[0].to for time in range(5)]
    assert asked == [6, 6, 2, 0, 6]


def test_a_duplicate_is_answered_and_says_whether_others_lag() -> None:
    inner = node(1)
    inner.on_message(data(), 0, 0.0)
    (answer,) = sends(inner.on_message(data(), 0, 0.5))
    assert answer.message.body == STATUS.pack(False, 1)
    for child in (3, 4):
        told = inner.on_message(TreeAck(*ID, body=STATUS.pack(True, 2)), child, 0.6)
    assert [send.message.body for send in sends(told)] == [STATUS.pack(True, 2)]


def test_a_child_that_lives_but_lags_is_waited_for() -> None:
    root = node(0)
    root.multicast(b"payload", 0.0)
    late = root.on_message(TreeAck(*ID, body=STATUS.pack(False, 1)), 1, 1.0)
    assert late == [SetTimer("rto/1/0/1", 9.0)]


def test_a_node_that_is_not_the_parent_is_told_so() -> None:
    leaf = node(14)
    leaf.on_message(data(1, ancestors=(2, 0)), 6, 0.0)
    assert Send(5, TreeDetach(0, 2)) in leaf.on_message(data(2, ancestors=(2, 0)), 5, 0.1)


def test_no_node_joins_below_itself() -> None:
    top = node(2)
    top.on_message(data(1), 0, 0.0)
    assert top.on_message(TreeAttach(0, 1), 0, 1.0) == [Note("ancestor_joins", 0)]


def test_a_node_that_was_down_joins_where_it_was() -> None:
    before, after = node(14), node(14)
    kept = [a for a in before.on_message(data(1, ancestors=(2, 0)), 6, 0.0) if isinstance(a, Store)]
    assert [store.key for store in kept] == [f"{ANCESTORS}/0"]
    after.on_stored(kept[0].key, kept[0].value)
    (request,) = sends(after.on_start(9.0))
    assert request == Send(6, TreeAttach(0, 1))


def test_a_new_child_gets_what_it_lacks() -> None:
    root = node(0)
    for _ in range(3):
        root.multicast(b"payload", 0.0)
    done = sends(root.on_message(TreeAttach(0, 2), 9, 1.0))
    assert isinstance(done[0].message, TreeHeartbeat)
    assert [send.message.sequence for send in done[1:]] == [2, 3]


def test_levels_make_the_first_wait_longer() -> None:
    root = node(0)
    waits = [a.at for a in root.multicast(b"", 0.0) if isinstance(a, SetTimer) if "rto" in a.name]
    assert waits == [math.log2(16) - 1] * 2


def test_ones_own_multicast_goes_to_the_children_at_once() -> None:
    actions = list(node(0).multicast(b"payload", 0.0))
    assert actions[0] == Deliver(ID)
    assert [send.to for send in sends(actions)] == [1, 2]


def test_options_out_of_their_domain_are_refused() -> None:
    for name, value in (("k", 1), ("max_tries", 0), ("heartbeat_s", -1.0), ("tree", "ring")):
        with pytest.raises(OptionError, match=name):
            make(Tree.Options, {name: value})
