"""Each retention stops when its definition says."""

from __future__ import annotations

from random import Random
from statistics import mean

import pytest

from agents.options import OptionError, make
from agents.parts.retention import KINDS, Hold, Retention, RumourOptions, round_limit

B = 3


def hold(kind: str, nodes: int = 1001, age: int = 0, **values: float) -> Hold:
    options = make(RumourOptions, {"retention": kind, **values})
    return Retention.of(options, nodes).hold(age)


def gossip(held: Hold, rng: Random, rounds: int = 200) -> list[int]:
    """Sends a round until it stops, with a fan-out of B."""
    sends: list[int] = []
    while held.active and len(sends) < rounds:
        held.begin_round()
        sends.append(0)
        for _ in range(B):
            sends[-1] += 1
            if not held.sent(rng):
                break
    return sends


def test_two_ln_of_a_thousand_others_is_fourteen_rounds() -> None:
    assert round_limit(2, 1001) == 14
    assert gossip(hold("rounds", c=2), Random(1)) == [B] * 14


def test_two_nodes_send_for_one_round_although_ln_1_is_0() -> None:
    assert round_limit(2, 2) == 1


def test_age_counts_from_the_origin() -> None:
    assert gossip(hold("age", c=2), Random(1)) == [B] * 14
    assert gossip(hold("age", c=2, age=10), Random(1)) == [B] * 4
    assert gossip(hold("age", c=2, age=14), Random(1)) == []


def test_an_older_copy_ages_a_rumour_and_a_younger_one_does_not() -> None:
    held = hold("age", c=2, age=3)
    held.heard(2)
    assert held.age == 3
    held.heard(13)
    assert gossip(held, Random(1)) == [B]


def test_other_retentions_ignore_the_age_of_copies() -> None:
    held = hold("rounds", c=2, age=13)
    held.heard(500)
    assert len(gossip(held, Random(1))) == 14


def test_infect_and_die_gossips_for_one_round() -> None:
    assert gossip(hold("infect_and_die"), Random(1)) == [B]


def test_counter_stops_after_k_sends_in_the_middle_of_a_round() -> None:
    assert gossip(hold("counter", k_counter=5), Random(1)) == [3, 2]


def test_coin_stops_after_k_sends_on_average() -> None:
    rng = Random(5)
    totals = [sum(gossip(hold("coin", k_counter=4), rng)) for _ in range(2000)]
    assert mean(totals) == pytest.approx(4, rel=0.08)
    assert min(totals) == 1


def test_forever_does_not_stop() -> None:
    assert len(gossip(hold("forever"), Random(1))) == 200


def test_a_round_makes_a_rumour_one_older() -> None:
    for kind in KINDS:
        held = hold(kind, age=2)
        held.begin_round()
        assert held.age == 3


@pytest.mark.parametrize(("fan_out", "nodes"), [(2, 2), (64, 64), (1, 1), (1, 0)])
def test_fan_out_over_the_others_there_are_is_refused(fan_out: int, nodes: int) -> None:
    with pytest.raises(OptionError, match=f"fan_out={fan_out}.*choose"):
        make(RumourOptions, {"fan_out": fan_out}).check(nodes)


def test_fan_out_of_all_the_others_is_allowed() -> None:
    make(RumourOptions, {"fan_out": 63}).check(64)
