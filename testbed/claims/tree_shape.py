"""C14: a K-ary tree has depth O(log_K N), load O(K), and one failure cuts off a subtree.

Facts of the tree, so they are computed, not tested: at every size up to a thousand, and at powers
of two up to a million. A tree that heals itself is a protocol, and another claim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding
from testbed.theory import k_ary_tree

DEPTH, LOAD, CUT = "depth", "load", "failure"
ARITIES = (2, 3, 4, 8, 16)
SIZES = (*range(2, 1001), *(2**power for power in range(10, 21)))

CLAIM = Claim(
    id="C14",
    title="a tree has depth O(log_K N) and load O(K), and a failure cuts off a subtree",
    statement=(
        "In a complete K-ary spanning tree a multicast takes at most ceil(log_K N) hops and a node "
        "sends it to at most K others; when an interior node fails, all below it miss it."
    ),
    source='lecture, "Tree-Based"; CLAIMS C14; Knuth, TAOCP 1, 1997, 2.3.4.5',
    assumptions=("the tree is complete and stands before the multicast; no repair",),
    parts={
        DEPTH: Part(
            margin=Interval(-math.inf, 0.5),
            reason="trees deeper than ceil(log_K N): none may be",
        ),
        LOAD: Part(
            margin=Interval(-math.inf, 0.5),
            reason="nodes with more than K children: none may be",
        ),
        CUT: Part(
            margin=Interval(0.99, 1.01),
            reason="of 1/K of the others, cut off when a child of the root of a full tree fails",
        ),
    },
    refuted_if="a tree is deeper, or a node has more children, at any of the sizes; or a failed "
    "child of the root leaves more or less than its share in the dark",
    evidence=("computed",),
    estimator="depth and children by walking every tree's parents",
    expect=("any timing: a tree has no rounds", "full trees: 1/K of the others below each child"),
    family="tree-based multicast",
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    return {DEPTH: 0.0, LOAD: 0.0, CUT: 1.0}


def model(engines: Engines) -> list[Finding]:
    trees = [(n, k) for k in ARITIES for n in SIZES]
    deep = sum(k_ary_tree.depth(n, k) > math.ceil(math.log(n, k) - 1e-9) for n, k in trees)
    broad = sum(k_ary_tree.most_children(n, k) > k for n, k in trees)
    shares = [k_ary_tree.cut_off(size, k) * k / (size - 1) for size, k in _full()]
    worst = max(shares, key=lambda share: abs(share - 1))
    stated = {"protocol": "tree", "arities": list(ARITIES), "sizes": [SIZES[0], SIZES[-1]]}
    measured = {DEPTH: float(deep), LOAD: float(broad), CUT: worst}
    units = {
        DEPTH: "trees deeper than ceil(log_K N)",
        LOAD: "trees with a node of more than K children",
        CUT: "nodes cut off, over (N-1)/K, the worst full tree",
    }
    return [
        CLAIM.modelled(
            part,
            stated,
            Estimate(measured[part], 0.0),
            predicted=predict(stated)[part],
            unit=units[part],
            evidence="computed",
            notes=(f"{len(trees)} trees",),
        )
        for part in CLAIM.parts
    ]


def _full() -> list[tuple[int, int]]:
    """Full trees of depth 3, in which every child of the root has as many nodes below it."""
    return [(sum(k**level for level in range(4)), k) for k in ARITIES]
