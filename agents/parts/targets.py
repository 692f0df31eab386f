"""Drawing gossip targets from ranges of nodes, in memory that does not grow with the group.

Members of a group have consecutive numbers, so "everyone but me" and "my site but not my subnet"
are a range without a smaller range inside it: one draw and one comparison, for 2 nodes or 2^32.
"""

from __future__ import annotations

from random import Random

from agents.api import NodeId, View


def size(group: range, without: range) -> int:
    """Counts the nodes of `group` that are not in `without`, a part of it."""
    return len(group) - len(without)


def member(group: range, without: range, index: int) -> int:
    """Returns the node that has an index in 0..size-1 when `without` is left out of `group`."""
    node = group.start + index
    return node if node < without.start else node + len(without)


def pick(rng: Random, group: range, without: range) -> int:
    """Draws one node of `group` that is not in `without`, uniformly.

    Raises `ValueError` when nobody is left.
    """
    return member(group, without, rng.randrange(size(group, without)))


def pick_many(
    rng: Random, group: range, without: range, count: int, replacement: bool
) -> list[int]:
    """Draws `count` nodes, each uniformly; all different when `replacement` is false.

    Without replacement, `count` over the nodes there are raises `ValueError`.
    """
    left = size(group, without)
    if replacement:
        return [member(group, without, rng.randrange(left)) for _ in range(count)]
    return [member(group, without, index) for index in rng.sample(range(left), count)]


def others(rng: Random, view: View, count: int, replacement: bool) -> list[NodeId]:
    """Draws `count` nodes of the whole group but the node itself, as `pick_many` does."""
    me = range(view.me, view.me + 1)
    return pick_many(rng, view.everyone, me, count, replacement)
