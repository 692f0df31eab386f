"""Audits whom protocols choose: shares of subnets, and uniformity inside each."""

from __future__ import annotations

from collections import Counter

import pytest
from scipy.stats import binomtest, chisquare

from agents.api import View
from agents.options import make
from agents.protocols.push import Push
from agents.protocols.topology_aware import TopologyAware
from agents.seeds import derive

DRAWS = 20_000
LEAST_P = 1e-4  # some 30 tests in this file, each of a fixed seed


def drawn(
    kind: type[Push] | type[TopologyAware], me: int, *groups: range, **options: object
) -> Counter[int]:
    settings = make(kind.Options, {"fan_out": 1, **options})
    node = kind(View(me, groups), settings, derive(1, me, "targets"))
    counts: Counter[int] = Counter()
    while counts.total() < DRAWS:
        counts.update(node.draw())
    return counts


def uniform(counts: Counter[int], nodes: set[int]) -> None:
    assert chisquare([counts[node] for node in sorted(nodes)]).pvalue > LEAST_P


def share(counts: Counter[int], nodes: set[int], expected: float) -> None:
    inside = sum(counts[node] for node in nodes)
    assert binomtest(inside, counts.total(), expected).pvalue > LEAST_P


@pytest.mark.parametrize("options", [{}, {"fan_out": 3}, {"fan_out": 3, "replacement": False}])
def test_push_is_uniform_over_the_others(options: dict[str, object]) -> None:
    counts = drawn(Push, 5, range(8), range(16), **options)
    assert set(counts) == set(range(16)) - {5}
    uniform(counts, set(counts))


@pytest.mark.parametrize("me", [0, 3, 7])
def test_topology_aware_leaves_its_subnet_with_probability_one_over_its_size(me: int) -> None:
    counts = drawn(TopologyAware, me, range(8), range(24))
    inside, outside = set(range(8)) - {me}, set(range(8, 24))
    share(counts, outside, 1 / 8)
    uniform(counts, inside)
    uniform(counts, outside)
    assert counts[me] == 0


def test_three_levels_share_by_the_sizes_of_the_nested_groups() -> None:
    """g = (1, 4, 12, 36): 3/4 in the subnet, 1/4 - 1/12 = 1/6 in the site, 1/12 beyond."""
    counts = drawn(TopologyAware, 17, range(16, 20), range(12, 24), range(36))
    subnet, site = set(range(16, 20)) - {17}, set(range(12, 24)) - set(range(16, 20))
    beyond = set(range(36)) - set(range(12, 24))
    for nodes, expected in ((subnet, 3 / 4), (site, 1 / 6), (beyond, 1 / 12)):
        share(counts, nodes, expected)
        uniform(counts, nodes)


def test_a_node_alone_in_its_subnet_always_sends_outside() -> None:
    counts = drawn(TopologyAware, 4, range(4, 5), range(10))
    assert set(counts) == set(range(10)) - {4}
    uniform(counts, set(counts))


def test_one_group_only_makes_topology_aware_uniform() -> None:
    counts = drawn(TopologyAware, 4, range(10))
    uniform(counts, set(range(10)) - {4})


def test_each_of_b_draws_is_made_by_itself() -> None:
    """With one draw a round deciding for both targets, mixed rounds would not exist."""
    node = TopologyAware(
        View(0, (range(4), range(8))), make(TopologyAware.Options, {}), derive(1, 0, "targets")
    )
    outside = Counter(sum(target >= 4 for target in node.draw()) for _ in range(DRAWS))
    expected = [DRAWS * p for p in (9 / 16, 6 / 16, 1 / 16)]
    assert chisquare([outside[n] for n in range(3)], expected).pvalue > LEAST_P


def test_without_replacement_no_target_is_drawn_twice_in_a_round() -> None:
    options = make(TopologyAware.Options, {"fan_out": 7, "replacement": False})
    node = TopologyAware(View(2, (range(4), range(8))), options, derive(1, 2, "targets"))
    for _ in range(200):
        assert sorted(node.draw()) == [0, 1, 3, 4, 5, 6, 7]
