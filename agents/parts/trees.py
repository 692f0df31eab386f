"""Spanning trees over the members, computed from their numbers: one for every origin, its root.

- `kary`: a complete K-ary tree; the members stand in it by their numbers, from the origin on.
- `topology`: a head for each subnet (the origin in its own), heads in a K-ary tree, and the members
  of a subnet in a K-ary tree below their head: each subnet is entered once.
- `bfs`: breadth first over subnets, with all of them one step apart: the members of the origin's
  subnet and the heads of all others hang from the origin, the other members from their head. The
  fan-out has no bound. Whatever routers lie between, as in a chain, no head stands in for them: a
  view has the nested groups of its own node only, so the others' ways are not known.

Everybody computes the same tree without a word. A view without subnets counts as one subnet.
Worked number: in a binary tree of 7, node 0 has children 1 and 2, and 5 has the ancestors 2 and 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from agents.api import NodeId, View

KINDS = ("kary", "topology", "bfs")


class Trees:
    """The trees of one group, by origin. `k` is the greatest number of children in a K-ary tree."""

    def __init__(self, view: View, kind: str, k: int) -> None:
        self.kind = kind
        self.k = k
        self.nodes = view.nodes
        self.subnets: Sequence[range] = view.subnets or (view.everyone,)
        self._starts = [subnet.start for subnet in self.subnets]

    def parent(self, root: NodeId, node: NodeId) -> NodeId | None:
        """Who hands a node the multicasts of an origin; None for the origin."""
        if node == root:
            return None
        if self.kind == "kary":
            place = (node - root) % self.nodes
            return (root + (place - 1) // self.k) % self.nodes
        home = self._home(node)
        head = self._head(root, home)
        if node != head:
            place = self._place(head, node)
            above = 0 if self.kind == "bfs" else (place - 1) // self.k
            return self._member(head, self.subnets[home], above)
        if self.kind == "bfs":
            return root
        first = self._home(root)
        turn = (home - first) % len(self.subnets)
        return self._head(root, (first + (turn - 1) // self.k) % len(self.subnets))

    def children(self, root: NodeId, node: NodeId) -> list[NodeId]:
        """Whom a node hands the multicasts of an origin."""
        if self.kind == "kary":
            place = (node - root) % self.nodes
            return [(root + below) % self.nodes for below in self._below(place, self.nodes)]
        home = self._home(node)
        subnet, head = self.subnets[home], self._head(root, home)
        place = self._place(head, node)
        heads: list[NodeId] = []
        if node == head:
            first, count = self._home(root), len(self.subnets)
            turns = self._below((home - first) % count, count)
            if self.kind == "bfs":
                turns = range(1, count) if node == root else range(0)
            heads = [self._head(root, (first + turn) % count) for turn in turns]
        places = self._below(place, len(subnet))
        if self.kind == "bfs":
            places = range(1, len(subnet)) if node == head else range(0)
        return heads + [self._member(head, subnet, below) for below in places]

    def ancestors(self, root: NodeId, node: NodeId) -> list[NodeId]:
        """The nodes between a node and the origin, nearest first, the origin last."""
        found: list[NodeId] = []
        above = self.parent(root, node)
        while above is not None:
            found.append(above)
            above = self.parent(root, above)
        return found

    def levels_below(self, root: NodeId, node: NodeId) -> int:
        """At most how many levels of the tree are below a node."""
        return max(0, self._depth() - len(self.ancestors(root, node)))

    def _depth(self) -> int:
        """Of the deepest tree there is."""
        if self.kind == "kary":
            return self._level(self.nodes - 1)
        largest = max(map(len, self.subnets))
        if self.kind == "bfs":
            return min(len(self.subnets) - 1, 1) + min(largest - 1, 1)
        return self._level(len(self.subnets) - 1) + self._level(largest - 1)

    def _level(self, place: int) -> int:
        level = 0
        while place > 0:
            place = (place - 1) // self.k
            level += 1
        return level

    def _below(self, place: int, count: int) -> range:
        """The places of the children in a complete K-ary tree of so many."""
        first = self.k * place + 1
        return range(min(first, count), min(first + self.k, count))

    def _home(self, node: NodeId) -> int:
        return bisect_right(self._starts, node) - 1

    def _head(self, root: NodeId, home: int) -> NodeId:
        subnet = self.subnets[home]
        return root if root in subnet else subnet.start

    def _place(self, head: NodeId, node: NodeId) -> int:
        """A member's place below its head, which has place 0."""
        start = self.subnets[self._home(node)].start
        if node == head:
            return 0
        return node - start + (node < head)

    def _member(self, head: NodeId, subnet: range, place: int) -> NodeId:
        if place == 0:
            return head
        node = subnet.start + place
        return node if node > head else node - 1
