"""Buffered push in groups: what a bundle leaves in the traces, and where the policies differ."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents import registry
from agents.parts.buffer import POLICIES
from agents.trace import Event
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from topologies import two_subnets

SECOND = 1_000_000_000
PERIOD_S = 0.25
MESSAGES, SOURCES = 40, 4


@lru_cache
def played(
    protocol: str = "buffered_push",
    messages: int = MESSAGES,
    sources: int = SOURCES,
    **options: Any,
) -> NDArray[Any]:
    """The records of one run of 16 nodes, 40 multicasts a second; `unused` is the host."""
    simulation = Simulation(
        Network(two_subnets.build(hosts=16)),
        registry.load(protocol),
        {"fan_out": 2, **options},
        seed=4,
        round_s=PERIOD_S,
        sources=range(sources),
        messages=messages,
        interval_s=0.1,
    )
    simulation.advance(15 * SECOND)
    assert simulation.failures == []
    records, hosts = simulation.recorder.finish()
    records["unused"] = hosts
    return records


def of(records: NDArray[Any], event: Event) -> NDArray[Any]:
    return np.asarray(records[records["event"] == event])


def delivered(records: NDArray[Any]) -> NDArray[Any]:
    """Deliveries at nodes that are not the origin."""
    found = of(records, Event.deliver)
    return np.asarray(found[found["origin"] != found["unused"]])


def share(**options: Any) -> float:
    return len(delivered(played(**options))) / (MESSAGES * SOURCES * 15)


def test_every_datagram_sent_is_received_once_and_a_packet_is_one() -> None:
    records = played()
    sends = of(records, Event.send)
    assert len(of(records, Event.receive)) == len(sends)
    assert len(of(records, Event.duplicate)) == 0
    packets = {(send["unused"], send["round"]) for send in sends}
    assert len(sends) == 2 * len(packets)


def test_each_delivery_has_its_parent_and_one_hop_more_than_there() -> None:
    hops = {
        (d["unused"], d["origin"], d["sequence"]): d["hop"] for d in of(played(), Event.deliver)
    }
    for each in delivered(played()):
        name = each["origin"], each["sequence"]
        assert each["hop"] == hops[(each["parent"], *name)] + 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_single_multicast_spreads_as_by_push_draw_for_draw(policy: str) -> None:
    one, other = played("push", 1, 1), played("buffered_push", 1, 1, policy=policy, packet_limit=1)
    for event, names in (
        (Event.deliver, ["time_ns", "unused", "origin", "sequence", "hop", "parent", "round"]),
        (Event.send, ["time_ns", "unused", "peer", "round"]),
    ):
        assert len(of(one, event)) >= 15
        assert of(one, event)[names].tolist() == of(other, event)[names].tolist()


def test_without_a_limit_that_binds_the_policies_deliver_alike() -> None:
    for policy in ("most_recent", "oldest_first", "highest_priority", "least_sent"):
        assert share(policy=policy, packet_limit=200, buffer_limit=200) > 0.97


def test_past_the_capacity_no_policy_delivers_more_than_it() -> None:
    """B = 2: 2 x 2 / 0.25 s = 16 of the 40 multicasts a second come to a node at most."""
    for policy in ("most_recent", "oldest_first", "highest_priority", "least_sent"):
        assert share(policy=policy, packet_limit=2) < 0.6


@pytest.mark.parametrize("limit", [2, 4])
def test_highest_priority_serves_the_top_level_at_the_cost_of_the_lowest(limit: int) -> None:
    found = delivered(played(policy="highest_priority", packet_limit=limit))
    levels = np.bincount(found["sequence"] % 4, minlength=4)
    assert levels[3] > 2 * levels[0]
    even = delivered(played(policy="least_sent", packet_limit=limit))
    assert np.ptp(np.bincount(even["sequence"] % 4, minlength=4)) < 0.25 * len(even)


def delay_s(policy: str) -> float:
    """Mean delay of what is delivered when packets hold four."""
    found = delivered(played(policy=policy, packet_limit=4))
    return float(np.mean(found["time_ns"] / SECOND - 0.1 * (found["sequence"] - 1)))


def test_the_most_recent_travel_fast_and_the_oldest_slowly() -> None:
    middle = [delay_s(policy) for policy in ("random_subset", "least_sent")]
    assert 2 * delay_s("most_recent") < min(middle)
    assert 1.3 * max(middle) < delay_s("oldest_first")


def test_highest_priority_pays_with_what_all_levels_together_get() -> None:
    shares = {policy: share(policy=policy, packet_limit=4) for policy in POLICIES}
    assert 1.3 * shares.pop("highest_priority") < min(shares.values())
