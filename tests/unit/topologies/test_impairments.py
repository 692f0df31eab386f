"""Tests of topologies.impairments: what is refused, and what becomes of a topology's parameters."""

from __future__ import annotations

from typing import Any

import pytest

from topologies import hierarchy, two_subnets
from topologies.errors import GraphError
from topologies.impairments import PERFECT, Impairment, of_links, parse


@pytest.mark.parametrize(
    ("impairment", "message"),
    [
        ({"jitter_distribution": "gauss", "jitter_ms": 1}, "unknown|there are normal"),
        ({"jitter_distribution": "normal"}, "mean nothing without jitter_ms"),
        ({"jitter_correlation": 0.5}, "mean nothing without jitter_ms"),
        ({"jitter_ms": 1, "jitter_correlation": 1.0}, "give 0 to below 1"),
        ({"reorder_ratio": 0.1}, "nothing to overtake; give a delay"),
        ({"bad_loss_ratio": 0.5}, "without burst_packets"),
        ({"loss_ratio": 0.1, "burst_packets": 0.5}, "give a number of packets from 1"),
        ({"loss_ratio": 0.5, "burst_packets": 2, "bad_loss_ratio": 0.5}, "it is their mean"),
        ({"loss_ratio": 0.1, "burst_packets": 2, "good_loss_ratio": 0.2}, "it is their mean"),
        ({"loss_ratio": 0.9, "burst_packets": 2}, "spells so short cannot lose so much"),
        ({"queue_packets": 0}, "give a whole number from 1"),
        ({"queue_packets": 1.5}, "give a whole number from 1"),
    ],
)
def test_a_field_that_means_nothing_is_refused(impairment: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Impairment(**impairment)


def test_a_fifth_lost_in_bursts_of_four_is_bad_for_a_fifth_of_the_time() -> None:
    worsens, ends = Impairment(loss_ratio=0.2, burst_packets=4).spells
    assert (worsens, ends) == pytest.approx((0.0625, 0.25))
    assert worsens / (worsens + ends) == pytest.approx(0.2)


def test_losses_within_and_between_spells_have_the_asked_mean() -> None:
    what = Impairment(loss_ratio=0.2, burst_packets=5, bad_loss_ratio=0.6, good_loss_ratio=0.1)
    worsens, ends = what.spells
    bad = worsens / (worsens + ends)
    assert bad * 0.6 + (1 - bad) * 0.1 == pytest.approx(0.2)


def test_a_text_is_read_into_fields() -> None:
    text = "delay_ms=20, jitter_ms=5,jitter_distribution=normal,queue_packets=9,"
    assert parse(text) == {
        "delay_ms": 20.0,
        "jitter_ms": 5.0,
        "jitter_distribution": "normal",
        "queue_packets": 9,
    }
    assert parse("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("delay_ms", "'delay_ms': write name=value"),
        ("delay=20", "unknown impairment 'delay'; did you mean delay_ms"),
        ("delay_ms=soon", "delay_ms = 'soon': not a number"),
    ],
)
def test_a_text_that_is_no_impairment_is_refused(text: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        parse(text)


def test_delays_are_on_both_directions_of_each_kind_of_link() -> None:
    graph = two_subnets.build(hosts=4, access_delay_ms=2, core_delay_ms=10)
    assert {host.receive for host in graph.hosts} == {Impairment(delay_ms=2)}
    assert {host.send for host in graph.hosts} == {Impairment(delay_ms=2)}
    assert {link.down for link in graph.links} == {Impairment(delay_ms=10)}
    assert {link.up for link in graph.links} == {Impairment(delay_ms=10)}


def test_loss_end_to_end_is_at_the_receiver_and_per_link_on_all_links() -> None:
    assert of_links(0.1)["send"] == of_links(0.1)["across"] == PERFECT
    graph = hierarchy.build(hosts=8, loss_ratio=0.1, loss="per_link")
    assert graph.path_loss(0, 1) == pytest.approx(1 - 0.9**2)
    assert graph.path_loss(0, 7) == pytest.approx(1 - 0.9**6)
    assert graph.loss_classes()["s1", "s2"] == pytest.approx(1 - 0.9**4)


def test_loss_per_link_leaves_no_room_for_another_loss_of_links() -> None:
    with pytest.raises(GraphError, match="leave one of the two out"):
        two_subnets.build(loss="per_link", loss_ratio=0.1, link_loss_ratio=0.1)


def test_the_way_up_may_differ_from_the_way_down() -> None:
    links = of_links(
        access_delay_ms=5, access="rate_mbit=10", access_up="rate_mbit=1", core_up="delay_ms=3"
    )
    assert links["receive"] == Impairment(delay_ms=5, rate_mbit=10)
    assert links["send"] == Impairment(delay_ms=5, rate_mbit=1)
    assert (links["across"], links["across_up"]) == (PERFECT, Impairment(delay_ms=3))


def test_bursts_are_left_out_where_nothing_is_lost() -> None:
    links = of_links(0.1, access="burst_packets=4")
    assert links["receive"] == Impairment(loss_ratio=0.1, burst_packets=4)
    assert links["send"] == PERFECT
