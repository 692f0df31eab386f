"""What a full packet carries and a full buffer loses, policy by policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from scipy.stats import chisquare

from agents.api import MAX_HOP, Deliver, MessageId, Note, Send
from agents.options import OptionError, make
from agents.parts.buffer import (
    AGE_AT_LOSS,
    DUPLICATES,
    INVERSIONS,
    POLICIES,
    Buffer,
    BufferOptions,
)
from agents.parts.bundles import MAX_PAYLOAD, Entry, pack, unpack
from agents.parts.stores import UNNAMED
from agents.protocols.buffered_push import RumourBundle
from agents.seeds import derive

ME, NODES = 3, 1001  # R = 14 rounds
LEAST_P = 1e-4


def buffer(targets: Sequence[int] = (1,), seed: int = 1, **options: Any) -> Buffer:
    settings = make(BufferOptions, options)
    rng = derive(seed, ME, "targets")
    return Buffer(RumourBundle, settings, ME, NODES, rng, lambda: targets)


def bundle(*sequences: int, age: int = 1, hop: int = 0, priority: int = 0) -> RumourBundle:
    entries = [Entry(MessageId(7, each), hop, age, priority, b"news") for each in sequences]
    (body,) = pack(entries)
    return RumourBundle(7, UNNAMED, body=body)


def hear(node: Buffer, sequence: int, now: float, **fields: int) -> None:
    node.hear(bundle(sequence, **fields), now)


def carried(actions: Sequence[object], to: int = 1) -> list[int]:
    """Numbers of the rumours that one target gets, in their order."""
    sends = [each for each in actions if isinstance(each, Send) and each.to == to]
    return [entry.id.sequence for each in sends for entry in unpack(each.message.body)]


def notes(actions: Sequence[object], kind: str) -> list[float]:
    return [each.value for each in actions if isinstance(each, Note) and each.kind == kind]


def three(**options: Any) -> Buffer:
    """Holds 1, 2 and 3, received in this order, of priorities 2, 0 and 1; 1 was sent twice, 2 once
    and 3 never. 4 of priority 0 comes last, in the tests of eviction."""
    node = buffer(**options)
    for number, priority in ((1, 2), (2, 0), (3, 1)):
        hear(node, number, float(number), priority=priority)
    for number, sends in ((1, 2), (2, 1), (3, 0)):
        node.held[MessageId(7, number)].sends = sends
    return node


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        ("most_recent", [3, 2, 1]),
        ("oldest_first", [1, 2, 3]),
        ("highest_priority", [1, 3, 2]),
        ("least_sent", [3, 2, 1]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_packet_carries_the_first_by_the_policy(
    policy: str, order: list[int], limit: int
) -> None:
    expected = order[:limit] if limit < 3 else [1, 2, 3]  # without a choice: as they came
    assert carried(three(policy=policy, packet_limit=limit).begin_round(1)) == expected


@pytest.mark.parametrize(
    ("eviction", "lost"),
    [("most_recent", 1), ("oldest_first", 4), ("highest_priority", 2), ("least_sent", 1)],
)
def test_a_full_buffer_loses_the_last_by_the_eviction(eviction: str, lost: int) -> None:
    node = three(buffer_limit=3, eviction=eviction)
    actions = node.hear(bundle(4, age=6), 4.0)
    assert actions[0] == Deliver(MessageId(7, 4), 1)
    assert {id.sequence for id in node.held} == {1, 2, 3, 4} - {lost}
    assert notes(actions, AGE_AT_LOSS) == [6 if lost == 4 else 1]


def test_what_was_evicted_is_neither_delivered_again_nor_taken_back() -> None:
    node = buffer(buffer_limit=2, eviction="oldest_first")
    node.hear(bundle(1, 2), 1.0)
    node.hear(bundle(3), 2.0)
    assert {id.sequence for id in node.held} == {1, 2}
    assert node.hear(bundle(3), 9.0) == [Note(DUPLICATES, 1)]
    assert {id.sequence for id in node.held} == {1, 2}


def test_a_bundle_may_overflow_a_buffer_by_more_than_one() -> None:
    node = buffer(buffer_limit=2, eviction="least_sent")
    actions = node.hear(bundle(1, 2, 3, 4, 5, age=8), 1.0)
    assert sum(isinstance(each, Deliver) for each in actions) == 5
    assert notes(actions, AGE_AT_LOSS) == [8, 8, 8]
    assert len(node.held) == 2


def test_ones_own_multicast_can_be_evicted_at_once() -> None:
    node = buffer(buffer_limit=1, eviction="oldest_first")
    node.begin(MessageId(ME, 1), b"first", 0.0)
    actions = node.begin(MessageId(ME, 2), b"second", 1.0)
    assert actions == [Deliver(MessageId(ME, 2)), Note(AGE_AT_LOSS, 0)]


def test_equal_priorities_fall_to_the_most_recent() -> None:
    node = buffer(policy="highest_priority", packet_limit=2)
    for number, priority in ((1, 1), (2, 1), (3, 0), (4, 1)):
        hear(node, number, float(number), priority=priority)
    assert carried(node.begin_round(1)) == [4, 2]


@pytest.mark.parametrize("policy", POLICIES)
def test_ties_fall_to_chance_evenly(policy: str) -> None:
    """Of four rumours that came in one bundle each is in half of the packets of two."""
    counts: Counter[int] = Counter()
    packets = 2000
    for seed in range(packets):
        node = buffer(seed=seed, policy=policy, packet_limit=2)
        node.hear(bundle(1, 2, 3, 4), 1.0)
        counts.update(carried(node.begin_round(1)))
    assert counts.total() == 2 * packets
    assert chisquare([counts[number] for number in (1, 2, 3, 4)]).pvalue > LEAST_P


def test_random_subsets_do_not_look_at_age_sends_or_priority() -> None:
    counts: Counter[int] = Counter()
    for seed in range(2000):
        counts.update(carried(three(seed=seed, packet_limit=1).begin_round(1)))
    assert chisquare([counts[number] for number in (1, 2, 3)]).pvalue > LEAST_P


def test_least_sent_takes_turns_and_oldest_first_does_not() -> None:
    turns, stuck = (
        buffer(policy=policy, packet_limit=1) for policy in ("least_sent", "oldest_first")
    )
    for node in (turns, stuck):
        for number in (1, 2, 3):
            hear(node, number, float(number))
    assert sorted(carried(turns.begin_round(k))[0] for k in (1, 2, 3)) == [1, 2, 3]
    assert [carried(stuck.begin_round(k)) for k in (1, 2, 3)] == [[1], [1], [1]]


@pytest.mark.parametrize(
    ("policy", "inversions"),
    [("most_recent", 2), ("oldest_first", 1), ("highest_priority", 0), ("least_sent", 2)],
)
def test_an_inversion_is_a_rumour_carried_while_a_higher_one_is_left_out(
    policy: str, inversions: int
) -> None:
    """Priorities 2, 0, 1 by age; a packet of two leaves out 1 (most recent), 3 or 2."""
    actions = three(policy=policy, packet_limit=2).begin_round(1)
    assert notes(actions, INVERSIONS) == [inversions]


def test_a_packet_that_carries_everything_inverts_nothing() -> None:
    assert notes(three(policy="oldest_first").begin_round(1), INVERSIONS) == [0]


def test_all_targets_of_a_round_get_the_same_packet() -> None:
    node = three(targets=(1, 2, 4), packet_limit=2)
    actions = node.begin_round(1)
    first = carried(actions, 1)
    assert len(first) == 2
    assert carried(actions, 2) == carried(actions, 4) == first
    assert sorted(each.sends for each in node.held.values()) != [0, 1, 2]


def test_copies_carry_one_hop_more_and_the_age_with_this_round() -> None:
    node = buffer()
    node.hear(bundle(1, age=4, hop=2), 1.0)
    _, send = node.begin_round(6)
    assert isinstance(send, Send)
    assert (send.message.id, send.message.round) == (MessageId(ME, UNNAMED), 6)
    assert unpack(send.message.body) == [Entry(MessageId(7, 1), 3, 5, 0, b"news")]


def test_the_hop_of_a_delivery_stays_within_the_wire() -> None:
    assert buffer().hear(bundle(1, hop=MAX_HOP), 1.0) == [Deliver(MessageId(7, 1), MAX_HOP)]


def test_a_round_ages_what_it_does_not_send() -> None:
    node = buffer(policy="oldest_first", packet_limit=1, retention="infect_and_die")
    hear(node, 1, 1.0)
    hear(node, 2, 2.0)
    assert carried(node.begin_round(1)) == [1]
    assert node.begin_round(2) == ()


def test_a_counter_can_end_in_the_middle_of_a_round() -> None:
    node = buffer(targets=(1, 2, 4), retention="counter", k_counter=2)
    hear(node, 1, 1.0)
    actions = node.begin_round(1)
    assert [carried(actions, to) for to in (1, 2, 4)] == [[1], [1], []]


def test_an_older_copy_ends_a_rumour() -> None:
    node = buffer(retention="age")
    hear(node, 1, 1.0)
    hear(node, 1, 2.0, age=14)
    assert node.begin_round(1) == ()


def test_priorities_of_ones_own_multicasts_take_turns() -> None:
    node = buffer(priority_levels=3)
    for sequence in range(1, 7):
        node.begin(MessageId(ME, sequence), b"", 0.0)
    assert [each.priority for each in node.held.values()] == [1, 2, 0, 1, 2, 0]


def test_bytes_that_are_no_bundle_are_noted() -> None:
    assert buffer().hear(RumourBundle(1, UNNAMED, body=b"x"), 1.0) == [Note("bad_bundle", 1)]


def test_a_payload_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match=f"choose at most {MAX_PAYLOAD}"):
        buffer().begin(MessageId(ME, 1), bytes(MAX_PAYLOAD + 1), 0.0)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("packet_limit", 0, r"choose int 1\.\. rumours \(default 10\)"),
        ("buffer_limit", 0, r"choose int 1\.\. rumours \(default 100\)"),
        ("priority_levels", "high", r"choose int 1\.\.256 levels \(default 4\)"),
        ("priority_levels", 0, r"choose int 1\.\.256 levels \(default 4\)"),
        ("policy", "newest", "random_subset"),
        ("eviction", "newest", r"\(default least_sent\)"),
    ],
)
def test_what_is_outside_its_domain_is_refused(option: str, value: object, says: str) -> None:
    with pytest.raises(OptionError, match=f"{option}=.*{says}"):
        make(BufferOptions, {option: value})
