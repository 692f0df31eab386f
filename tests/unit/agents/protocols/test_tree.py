"""Each multicast crosses each edge of the tree once; what breaks is mended by ACK or NAK."""

from __future__ import annotations

from typing import Any

import pytest

from agents import registry
from agents.api import Actions, CancelTimer, Deliver, MessageId, Note, Send, SetTimer, Store, View
from agents.options import OptionError, make
from agents.parts.branches import Head
from agents.parts.tree_acks import BELOW
from agents.parts.tree_messages import (
    TreeAck,
    TreeAttach,
    TreeData,
    TreeDetach,
    TreeHeartbeat,
    TreeNak,
    TreeQuery,
    TreeReceipt,
    TreeRepair,
)
from agents.protocols.tree import ANCESTORS, Tree
from agents.seeds import derive
from testbed.checking.schedule import Crash, Schedule
from testbed.checking.world import World
from testbed.theory import k_ary_tree
from tests.groups import Group

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
    inner = len(_inner(made))
    gathered = options == {"repair": "ack"}
    assert made.sends.get(TreeReceipt.TYPE, 0) == 2 * gathered * inner
    again = {TreeNak.TYPE, TreeRepair.TYPE, TreeDetach.TYPE, TreeQuery.TYPE}
    assert not again & set(made.sends)


def _inner(made: World) -> set[int]:
    """Those that hand on what is not their own."""
    return {
        me
        for me, action in made.actions
        if isinstance(action, Send) and isinstance(action.message, TreeData) and me
    }


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


def test_a_lost_copy_holds_up_nothing_where_nobody_mends() -> None:
    """Half of the copies are lost for two seconds, and none afterwards."""
    early = tuple((tenth / 10, 0) for tenth in range(10))
    made = world(Schedule(nodes=15, loss_ratio=0.5, multicasts=(*early, (2.5, 0))), repair="none")
    made.advance(5.0)
    assert len(delivered(made)) < 15
    assert set(delivered(made, MessageId(0, 11))) == set(range(15))


def test_a_copy_that_is_overtaken_is_delivered_late_where_nobody_mends() -> None:
    hearer = node(7, repair="none")
    assert hearer.on_message(data(2), 3, 0.0) == [Deliver(MessageId(0, 2))]
    assert hearer.on_message(data(1), 3, 0.1) == [Deliver(MessageId(0, 1))]
    assert hearer.on_message(data(1), 3, 0.2) == []


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


def test_a_request_that_helped_in_part_ends_the_doubling_of_the_waits() -> None:
    """Before, one of many losses in a row was asked for 8 s after the other in the end."""
    leaf = node(14, repair="nak")
    leaf.on_message(data(4, ancestors=(2, 0)), 6, 0.0)
    for time in (0.0, 0.5, 1.5):
        leaf.on_timer("ask/0", time)
    repair = TreeRepair(0, 1, body=Head(1, 1.0, (2, 0)).encode() + b"payload")
    assert SetTimer("ask/0", 1.6 + 0.5) in leaf.on_message(repair, 6, 1.6)
    request, again = leaf.on_timer("ask/0", 2.1)
    assert isinstance(request, Send) and request.to == 6
    assert again == SetTimer("ask/0", 2.1 + 0.5)


def test_what_is_lost_on_an_edge_goes_out_again_after_that_edge_s_time_out_at_any_height() -> None:
    """Before, the root of 128 waited 7 s for it: 1 s for each level of the whole subtree."""
    for nodes in (7, 128):
        root = node(0, nodes)
        (wait,) = {
            a.at for a in root.multicast(b"", 0.0) if isinstance(a, SetTimer) if a.name[0] == "r"
        }
        assert wait == 1.0
        root.on_message(TreeReceipt(*ID, body=BELOW.pack(1)), 1, 0.06)
        waits = {a.name: a.at for a in root.multicast(b"", 1.0) if isinstance(a, SetTimer)}
        assert waits["rto/1/0/2"] == pytest.approx(1.0 + 4 * 0.06)
        (again, _) = root.on_timer("rto/1/0/2", 1.24)
        assert isinstance(again, Send) and isinstance(again.message, TreeRepair)


def test_an_inner_node_says_at_once_that_it_has_it_and_later_that_all_below_have() -> None:
    inner = node(1)
    first = inner.on_message(data(), 0, 0.0)
    assert Send(0, TreeReceipt(*ID, body=BELOW.pack(1))) in first
    told = [inner.on_message(TreeAck(*ID, body=BELOW.pack(2)), child, 0.6) for child in (3, 4)]
    assert [sends(actions) for actions in told] == [[], [Send(0, TreeAck(*ID, body=BELOW.pack(2)))]]


def test_a_leaf_answers_once() -> None:
    (answer,) = sends(node(14).on_message(data(1, ancestors=(2, 0)), 6, 0.0))
    assert answer == Send(6, TreeAck(*ID, body=BELOW.pack(2)))


def test_a_duplicate_is_answered_and_says_whether_others_lag() -> None:
    inner = node(1)
    inner.on_message(data(), 0, 0.0)
    assert sends(inner.on_message(data(), 0, 0.5)) == [
        Send(0, TreeReceipt(*ID, body=BELOW.pack(1)))
    ]
    for child in (3, 4):
        inner.on_message(TreeAck(*ID, body=BELOW.pack(2)), child, 0.6)
    assert sends(inner.on_message(data(), 0, 0.7)) == [Send(0, TreeAck(*ID, body=BELOW.pack(2)))]


def test_a_child_that_has_it_is_asked_for_those_below_and_gets_no_copy_again() -> None:
    """A second for each level below it, doubled each time that some still lag."""
    root = node(0)
    root.multicast(b"payload", 0.0)
    lags = TreeReceipt(*ID, body=BELOW.pack(1))
    now = 0.1
    for wait_s in (2.0, 4.0, 8.0, 8.0):
        assert root.on_message(lags, 1, now) == [SetTimer("rto/1/0/1", now + wait_s)]
        now += wait_s
        asked, timer = root.on_timer("rto/1/0/1", now)
        assert asked == Send(1, TreeQuery(*ID))
        assert isinstance(timer, SetTimer) and now < timer.at < now + 1.1


def test_a_child_that_does_not_answer_to_questions_is_given_up() -> None:
    root = node(0, max_tries=2)
    root.multicast(b"payload", 0.0)
    root.on_message(TreeReceipt(*ID, body=BELOW.pack(1)), 1, 0.1)
    times = [root.on_timer("rto/1/0/1", now) for now in (3.0, 4.0, 6.0)]
    assert [Note("gave_up", 1) in actions for actions in times] == [False, False, True]
    assert [send.to for send in sends(times[-1])] == [3, 4]


def test_a_lost_acknowledgement_is_made_up_for_by_the_next_word() -> None:
    """Each tells below what number everything is complete."""
    root = node(0)
    for _ in range(2):
        root.multicast(b"payload", 0.0)
    told = root.on_message(TreeReceipt(0, 2, body=BELOW.pack(2)), 1, 0.1)
    assert CancelTimer("rto/1/0/1") in told


def test_a_question_is_answered_by_what_is_so() -> None:
    inner, leaf = node(1), node(14)
    inner.on_message(data(), 0, 0.0)
    leaf.on_message(data(1, ancestors=(2, 0)), 6, 0.0)
    ask = TreeQuery(*ID)
    assert inner.on_message(ask, 0, 1.0) == [Send(0, TreeReceipt(*ID, body=BELOW.pack(1)))]
    assert leaf.on_message(ask, 6, 1.0) == [Send(6, TreeAck(*ID, body=BELOW.pack(2)))]
    assert leaf.on_message(TreeQuery(0, 2), 6, 1.0) == [Send(6, TreeAttach(0, 2))]
    assert leaf.on_message(ask, 5, 1.0) == [Send(5, TreeDetach(*ID))]


@pytest.mark.parametrize(("aggregate", "end_s"), [(True, 12.0), (False, 20.0)])
def test_a_stream_through_losses_arrives_in_a_deep_tree(aggregate: bool, end_s: float) -> None:
    """Before, when a time-out was that of the whole subtree, 32% had arrived with gathered ACKs.

    A root that all acknowledge to waits 4 s for the deepest before it sends again.
    """
    rng = derive(1, "losses")
    group = Group(Tree, [128], drop=lambda *_: rng.random() < 0.2, aggregate=aggregate)
    for number in range(10):
        group.at(0.2 * number, lambda: group.multicast(0))
    group.until(end_s)
    assert len(group.delivered) > 0.99 * 10 * 128


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


def test_levels_make_the_first_wait_longer_where_the_answer_comes_straight_to_the_root() -> None:
    """As many ways down as there are levels and one way back: two ways are a round trip."""
    root = node(0, aggregate=False)
    waits = [a.at for a in root.multicast(b"", 0.0) if isinstance(a, SetTimer) if "rto" in a.name]
    assert waits == [1.0] * 2 + [1.5] * 4 + [2.0] * 8


def test_ones_own_multicast_goes_to_the_children_at_once() -> None:
    actions = list(node(0).multicast(b"payload", 0.0))
    assert actions[0] == Deliver(ID)
    assert [send.to for send in sends(actions)] == [1, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tree": "bfs", "k": 3}, r"^k=3: .*tree=kary or topology .defaults k=2"),
        ({"repair": "nak", "aggregate": False}, r"^aggregate=false: .*repair=ack .defaults"),
        ({"heartbeat_s": 9.0}, r"^heartbeat_max_s=8: choose at least heartbeat_s=9 .*8 and 1"),
        ({"rto_max_ms": 2.0}, r"^rto_max_ms=2: "),
    ],
)
def test_what_other_options_leave_without_a_meaning_is_refused(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        Tree.check(make(Tree.Options, options), 8)


def test_options_out_of_their_domain_are_refused() -> None:
    for name, value in (("k", 1), ("max_tries", 0), ("heartbeat_s", -1.0), ("tree", "ring")):
        with pytest.raises(OptionError, match=name):
            make(Tree.Options, {name: value})
