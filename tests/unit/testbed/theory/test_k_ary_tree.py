"""Depth, children and failures of trees, against trees that are built and walked."""

from __future__ import annotations

import pytest

from testbed.theory import k_ary_tree


def below(children: dict[int, list[int]], node: int) -> set[int]:
    return {node}.union(*(below(children, child) for child in children.get(node, [])))


@pytest.mark.parametrize("arity", [2, 3, 5])
@pytest.mark.parametrize("nodes", [1, 2, 3, 7, 8, 40])
def test_a_tree_that_is_filled_level_by_level_agrees(nodes: int, arity: int) -> None:
    children: dict[int, list[int]] = {}
    level, free, hops = [0], nodes - 1, 0
    while free:
        filled = []
        for parent in level:
            taken = min(arity, free)
            first = nodes - free
            children[parent] = list(range(first, first + taken))
            filled += children[parent]
            free -= taken
        level, hops = filled, hops + 1
    assert k_ary_tree.depth(nodes, arity) == hops
    assert k_ary_tree.most_children(nodes, arity) == max(map(len, children.values()), default=0)
    assert k_ary_tree.depth(nodes, arity) <= k_ary_tree.bound(nodes, arity) <= hops + 1
    for node in range(nodes):
        assert set(k_ary_tree.below(nodes, arity, node)) == below(children, node) - {node}
        assert k_ary_tree.cut_off(nodes, arity, node) == len(below(children, node))


@pytest.mark.parametrize(
    ("nodes", "arity", "failed"), [(0, 2, 0), (3, 1, 0), (3, 2, 3), (3, 2, -1)]
)
def test_what_is_no_tree_is_refused(nodes: int, arity: int, failed: int) -> None:
    with pytest.raises(ValueError):
        k_ary_tree.cut_off(nodes, arity, failed)
