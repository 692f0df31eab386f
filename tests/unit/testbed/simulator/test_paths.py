"""What a simulated datagram meets: the graph's losses and delays, and the core's count."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from scipy.stats import binomtest

from testbed.errors import UsageError
from testbed.medium import LOST
from testbed.simulator.paths import Network, Path, Paths
from topologies import hierarchy, star, two_subnets
from topologies.graph import Graph, Impairment, Router

SENT = 20_000
LEAST_P = 1e-4


def carry(network: Network, a: int, b: int, seed: int = 1, times: int = SENT) -> list[int]:
    paths = Paths(network, seed)
    path = paths[network.home[a] * network.subnets + network.home[b]]
    assert path is not None
    return [late[0] if late else LOST for late in carried(path, a, b, times)]


def carried(path: Path, a: int, b: int, times: int) -> list[Sequence[int]]:
    return [path.carry(a, b, 0x90, 100) for _ in range(times)]


def lan(receive: Impairment, nodes: int = 2) -> Network:
    return Network(Graph.grow("lan", [Router("r0", 0, None)], [("r0", nodes)], receive=receive))


@pytest.mark.parametrize(("a", "b"), [(0, 1), (0, 7), (3, 4)])
def test_the_loss_of_a_path_is_the_graphs(a: int, b: int) -> None:
    graph = hierarchy.build(hosts=8, loss_ratio=0.2, link_loss_ratio=0.1)
    lost = carry(Network(graph), a, b).count(LOST)
    assert binomtest(lost, SENT, graph.path_loss(a, b)).pvalue > LEAST_P


def test_a_dead_receiver_hears_nothing() -> None:
    assert set(carry(lan(Impairment(loss_ratio=1.0)), 0, 1, times=100)) == {LOST}


def test_what_is_lost_on_its_way_up_does_not_cross_the_core() -> None:
    network = Network(two_subnets.build(hosts=4, link_loss_ratio=0.5))
    paths = Paths(network, 1)
    path = paths[1]
    assert path is not None
    arrived = sum(len(path.carry(0, 3, 0x90, 100)) for _ in range(SENT))
    (crossing,) = paths.crossings.values()
    assert binomtest(crossing.packets[0x90], SENT, 0.5).pvalue > LEAST_P
    assert binomtest(arrived, crossing.packets[0x90], 0.5).pvalue > LEAST_P
    assert crossing.bytes[0x90] == 100 * crossing.packets[0x90]


def test_loss_at_the_receiver_comes_after_the_core() -> None:
    network = Network(two_subnets.build(hosts=4, loss_ratio=1.0))
    paths = Paths(network, 1)
    path = paths[1]
    assert path is not None and path.carry(0, 3, 0x90, 100) == ()
    assert paths.crossings["r1", "r2"].packets == {0x90: 1}


def test_delays_of_links_and_receiver_add_up() -> None:
    across, receive = Impairment(delay_ms=10.0), Impairment(delay_ms=1.5)
    routers = [Router("r0", 0, None), Router("r1", 1, "r0"), Router("r2", 1, "r0")]
    graph = Graph.grow("two", routers, [("r1", 1), ("r2", 1)], receive=receive, across=across)
    assert carry(Network(graph), 0, 1, times=1) == [21_500_000]


def test_jitter_is_uniform_around_the_delay() -> None:
    times = carry(lan(Impairment(delay_ms=10.0, jitter_ms=2.0)), 0, 1)
    assert 8e6 <= min(times) < 8.01e6 and 11.99e6 < max(times) <= 12e6
    mean, sd = 10e6, 4e6 / math.sqrt(12)
    assert abs(sum(times) / SENT - mean) < 4 * sd / math.sqrt(SENT)


def test_jitter_over_the_delay_sends_nothing_back_in_time() -> None:
    assert min(carry(lan(Impairment(delay_ms=1.0, jitter_ms=5.0)), 0, 1)) == 0


def test_two_runs_of_a_seed_lose_the_same_datagrams() -> None:
    network = lan(Impairment(loss_ratio=0.5))
    assert carry(network, 0, 1, seed=3) == carry(network, 0, 1, seed=3)
    assert carry(network, 0, 1, seed=3) != carry(network, 0, 1, seed=4)


def test_two_links_of_a_run_lose_independently() -> None:
    network = lan(Impairment(loss_ratio=0.5), nodes=3)
    one, other = (carry(network, 0, to, seed=3) for to in (1, 2))
    both = sum(a == b == LOST for a, b in zip(one, other, strict=True))
    assert binomtest(both, SENT, 0.25).pvalue > LEAST_P


def test_editing_one_link_leaves_the_draws_of_the_others_alone() -> None:
    one = star.build(hosts=6, subnets=3, loss_ratio=0.5)
    other = star.build(hosts=6, subnets=3, loss_ratio=0.5, link_loss_ratio=0.3)
    assert carry(Network(one), 0, 1, seed=3) == carry(Network(other), 0, 1, seed=3)


def test_a_perfect_lan_has_nothing_to_do() -> None:
    network = Network(two_subnets.build(hosts=4))
    assert Paths(network, 1)[0] is None
    assert Paths(network, 1)[1] is not None  # the core counts


def test_hosts_at_the_core_router_itself_cross_it() -> None:
    network = lan(Impairment(loss_ratio=0.5))
    paths = Paths(network, 1)
    path = paths[0]
    assert path is not None
    path.carry(0, 1, 0x90, 100)
    assert list(paths.crossings) == [("s1", "s1")]


def test_a_switched_lan_has_no_router_inside() -> None:
    network = Network(two_subnets.build(hosts=4, lan="switched"))
    paths = Paths(network, 1)
    assert paths[0] is None and not paths.crossings


@pytest.mark.parametrize(
    "receive",
    [Impairment(rate_mbit=10.0), Impairment(queue_packets=10)],
)
def test_what_is_not_modelled_is_refused(receive: Impairment) -> None:
    with pytest.raises(UsageError, match=r"h1: \w+ = [\d.]+ is not simulated .* testbed run"):
        lan(receive)


def test_views_are_the_graphs_nested_groups() -> None:
    network = Network(hierarchy.build(hosts=8))
    assert network.views[5].me == 5
    assert network.views[5].groups == network.graph.groups(5)


def test_delays_of_access_links_are_met_on_the_way_up_and_down() -> None:
    network = Network(two_subnets.build(hosts=4, access_delay_ms=2, core_delay_ms=10))
    assert carry(network, 0, 1, times=1) == [4_000_000]
    assert carry(network, 0, 3, times=1) == [24_000_000]


def test_copies_meet_the_later_links_each_by_itself() -> None:
    network = Network(
        two_subnets.build(hosts=2, loss_ratio=0.5, core_up="duplicate_ratio=1", access="")
    )
    paths = Paths(network, 1)
    path = paths[1]
    assert path is not None
    arrived = [len(late) for late in carried(path, 0, 1, SENT)]
    assert {*arrived} == {0, 1, 2}
    assert binomtest(arrived.count(2), SENT, 0.25).pvalue > LEAST_P
    assert paths.crossings["r1", "r2"].packets == {0x90: 2 * SENT}


def test_what_is_corrupted_crosses_the_core_and_does_not_arrive() -> None:
    network = Network(two_subnets.build(hosts=2, core_up="corrupt_ratio=0.25"))
    paths = Paths(network, 1)
    path = paths[1]
    assert path is not None
    arrived = sum(len(late) for late in carried(path, 0, 1, SENT))
    assert binomtest(arrived, SENT, 0.75).pvalue > LEAST_P
    assert paths.crossings["r1", "r2"].packets == {0x90: SENT}
