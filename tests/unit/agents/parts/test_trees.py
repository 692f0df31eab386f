"""Trees that all compute alike: each member once, K children at most, no deeper than said."""

from __future__ import annotations

import math

import pytest

from agents.api import View
from agents.parts.trees import KINDS, Trees
from testbed.theory import k_ary_tree

SUBNETS = (range(5), range(5, 6), range(6, 13), range(13, 20))


def trees(kind: str, k: int = 2, nodes: int = 20, subnets: tuple[range, ...] = SUBNETS) -> Trees:
    return Trees(View(0, (range(nodes),), subnets if nodes == 20 else ()), kind, k)


def levels(made: Trees, root: int) -> list[list[int]]:
    """The nodes by their distance from the root, found by walking down."""
    found = [[root]]
    while found[-1]:
        found.append([child for node in found[-1] for child in made.children(root, node)])
    return found[:-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [2, 3, 8])
@pytest.mark.parametrize("root", [0, 5, 8, 19])
def test_each_node_is_reached_once_and_parents_are_those_of_the_children(
    kind: str, k: int, root: int
) -> None:
    made = trees(kind, k)
    walked = [node for level in levels(made, root) for node in level]
    assert sorted(walked) == list(range(20))
    for node in range(20):
        assert all(made.parent(root, child) == node for child in made.children(root, node))
    assert made.parent(root, root) is None


@pytest.mark.parametrize("nodes", [2, 3, 7, 64, 100])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_a_kary_tree_is_the_complete_one(nodes: int, k: int) -> None:
    made = trees("kary", k, nodes)
    for root in (0, nodes - 1):
        assert len(levels(made, root)) - 1 == k_ary_tree.depth(nodes, k)
        assert max(len(made.children(root, node)) for node in range(nodes)) == min(k, nodes - 1)


def test_the_worked_number() -> None:
    made = trees("kary", 2, 7)
    assert made.children(0, 0) == [1, 2]
    assert made.ancestors(0, 5) == [2, 0]
    assert [made.levels_below(0, node) for node in (0, 2, 5)] == [2, 1, 0]


@pytest.mark.parametrize("kind", ["topology", "bfs"])
@pytest.mark.parametrize("root", [0, 8])
def test_a_subnet_is_entered_once(kind: str, root: int) -> None:
    made = trees(kind)
    for subnet in SUBNETS:
        entries = [node for node in subnet if made.parent(root, node) not in subnet]
        assert len(entries) == 1


def test_a_topology_tree_has_two_times_k_children_at_most() -> None:
    made = trees("topology", 2)
    assert max(len(made.children(8, node)) for node in range(20)) <= 4


def test_bfs_is_at_most_two_steps_deep() -> None:
    assert len(levels(trees("bfs"), 8)) - 1 == 2
    assert trees("bfs").children(8, 8) == [13, 0, 5, 6, 7, 9, 10, 11, 12]


@pytest.mark.parametrize("kind", KINDS)
def test_levels_below_are_never_fewer_than_there_are(kind: str) -> None:
    made = trees(kind, 2)
    for root in range(20):
        deepest = len(levels(made, root)) - 1
        assert made.levels_below(root, root) >= deepest
        assert made.levels_below(root, root) <= 2 * math.ceil(math.log2(20))
