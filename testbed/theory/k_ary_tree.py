"""Depth and failures of a complete K-ary tree, nodes numbered level by level from the root 0.

The parent of node i is (i-1) // K [Knuth, The Art of Computer Programming 1, 1997, 2.3.4.5;
Williams' heap, 1964]. The deepest node is the last one. Leaves out: trees that adapt or repair
themselves.
"""

from __future__ import annotations


def depth(nodes: int, arity: int) -> int:
    """Hops from the root to the deepest node, by walking up from it: depth(1000, 2) = 9

    Domain: nodes >= 1, arity >= 2.
    """
    _check(nodes, arity)
    hops, node = 0, nodes - 1
    while node:
        node, hops = (node - 1) // arity, hops + 1
    return hops


def bound(nodes: int, arity: int) -> int:
    """The hops that the lecture allows, ceil(log_K N): bound(1000, 2) = 10, bound(8, 2) = 3

    By multiplying, since a rounded logarithm may be a whole number off at powers of K.
    """
    _check(nodes, arity)
    hops, reach = 0, 1
    while reach < nodes:
        hops, reach = hops + 1, reach * arity
    return hops


def most_children(nodes: int, arity: int) -> int:
    """Children of the node that has the most: most_children(1000, 8) = 8

    The first node fills up before the second has any, so it is the root.
    """
    _check(nodes, arity)
    return min(nodes - 1, arity)


def cut_off(nodes: int, arity: int, failed: int = 1) -> int:
    """Nodes that miss a multicast when `failed` does not forward: itself and all below it.

    cut_off(15, 2) = 7; the root's failure cuts off everybody
    """
    _check(nodes, arity)
    if not 0 <= failed < nodes:
        raise ValueError(f"failed = {failed} is not within 0..{nodes - 1}")
    first, last, total = failed, failed, 0
    while first < nodes:
        total += min(last, nodes - 1) - first + 1
        first, last = first * arity + 1, last * arity + arity
    return total


def below(nodes: int, arity: int, top: int) -> list[int]:
    """The nodes below one, level by level: below(15, 2, 1) = [3, 4, 7, 8, 9, 10]

    Domain: 0 <= top < nodes.
    """
    _check(nodes, arity)
    found, next_ones = [], [top]
    while next_ones:
        children = [range(arity * node + 1, arity * node + arity + 1) for node in next_ones]
        next_ones = [child for each in children for child in each if child < nodes]
        found += next_ones
    return found


def _check(nodes: int, arity: int) -> None:
    if nodes < 1 or arity < 2:
        raise ValueError(f"nodes = {nodes} must be at least 1 and arity = {arity} at least 2")
