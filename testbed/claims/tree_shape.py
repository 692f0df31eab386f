"""C14: a K-ary tree has depth O(log_K N), load O(K), and one failure cuts off a subtree.

Facts of the tree, so they are computed, not tested: at every size up to a thousand, and at powers
of two up to a million. Of the protocol they are asserted: one run in which a copy takes a hop too
many, a node sends to one too many, or others than those below a dead node are cut off refutes them.
What is looked at ends where the tree begins to mend itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from testbed import metrics
from testbed.judging import selection
from testbed.judging.claim import Claim, Part
from testbed.judging.engines import Engines
from testbed.judging.selection import Arm
from testbed.judging.stats import Estimate, Interval, tested
from testbed.judging.verdict import Finding
from testbed.measures import cuts
from testbed.tables import RunTables
from testbed.theory import k_ary_tree

DEPTH, LOAD, CUT = "depth", "load", "failure"
DEPTH_RUNS, LOAD_RUNS, CUT_RUNS = "depth: runs", "load: runs", "failure: runs"
RUNS = (DEPTH_RUNS, LOAD_RUNS, CUT_RUNS)
PROTOCOL = "tree"
LEAST_RUNS, LEAST_SIZES = 2, 3
"""All runs of a size are alike but for who sends: two show that they are."""
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
    assumptions=(
        "the tree is complete and stands before the multicast; no repair",
        "runs: nothing is lost; depth and load before the fault, the failure until a node first "
        "asks for another parent, or to the end where nobody mends",
    ),
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
        DEPTH_RUNS: Part(
            margin=Interval(-math.inf, 0.5),
            reason="hops beyond ceil(log_K N) that any copy took in any run: none may",
        ),
        LOAD_RUNS: Part(
            margin=Interval(-math.inf, 0.5),
            reason="nodes beyond K that a node sent a multicast to in any run: none may be",
        ),
        CUT_RUNS: Part(
            margin=Interval(-math.inf, 0.5),
            reason="nodes cut off that are not below the dead one, or below and not cut off, in "
            "the worst run: none may be",
            plot="interior_node_dies",
        ),
    },
    refuted_if="a tree is deeper, or a node has more children, at any of the sizes; or a failed "
    "child of the root leaves more or less than its share in the dark; or any run does so",
    evidence=("emulated", "computed"),
    estimator="depth and children by walking every tree's parents; in runs the worst of all runs "
    "and sizes, without an interval, since chance has no part in it",
    expect=("any timing: a tree has no rounds", "full trees: 1/K of the others below each child"),
    family="tree-based multicast",
    experiments=("interior_node_dies",),
)


def predict(conditions: Mapping[str, Any]) -> dict[str, float]:
    return {DEPTH: 0.0, LOAD: 0.0, CUT: 1.0} | dict.fromkeys(RUNS, 0.0)


def judge(tables: Sequence[RunTables], stand_in: Mapping[str, str]) -> list[Finding]:
    protocol = stand_in.get(PROTOCOL, PROTOCOL)
    found = [
        finding
        for arm in selection.arms([_rows(t, i) for i, t in enumerate(tables)], protocol)
        for finding in assess(arm)
    ]
    because = f"no stream of {protocol} as a K-ary tree, without loss, in which a node is killed"
    return found or CLAIM.not_run(*RUNS, because=because)


def _rows(tables: RunTables, place: int) -> pd.DataFrame:
    runs = selection.marked(metrics.per_run(tables), tables, place)
    runs = runs[(runs["kind"] == "stream") & (runs["loss_ratio"] == 0.0)]
    return runs.merge(cuts.trees(tables), on="run")


def assess(arm: Arm) -> list[Finding]:
    """The parts that runs tell, on one arm."""
    rows, k = arm.healthy, int(arm.options["k"])
    blocks = arm.blocks(LEAST_RUNS)
    if len(arm.sizes) < LEAST_SIZES:
        blocks += (f"sizes {arm.sizes}: needs {LEAST_SIZES}",)
    if (rows["multicasts"] < 1).any():
        blocks += ("nothing was sent between the kill and the first repair of the tree",)
    if blocks:
        return [CLAIM.finding(part, arm, blocks=blocks) for part in RUNS]
    hops = rows["most_hops"] - [k_ary_tree.bound(n, k) for n in rows["nodes"]]
    return [
        _asserted(arm, DEPTH_RUNS, hops, "hops beyond ceil(log_K N)", "most_hops"),
        _asserted(
            arm, LOAD_RUNS, rows["most_receivers"] - k, "receivers beyond K", "most_receivers"
        ),
        _asserted(arm, CUT_RUNS, rows["wrong"], "nodes wrongly cut off or not", "cut"),
    ]


def _asserted(arm: Arm, part: str, excess: pd.Series[float], unit: str, column: str) -> Finding:
    measured = Estimate(float(excess.max()), 0.0)
    p_support, p_refute = tested(measured, CLAIM.parts[part].margin)
    sizes = arm.healthy.groupby("nodes")[column].max()
    return CLAIM.finding(
        part,
        arm,
        predicted=0.0,
        measured=measured,
        unit=f"{unit}, the worst run",
        p_support=p_support,
        p_refute=p_refute,
        notes=(f"{column}: " + ", ".join(f"{most:.0f} at N={n}" for n, most in sizes.items()),),
    )


def model(engines: Engines) -> list[Finding]:
    trees = [(n, k) for k in ARITIES for n in SIZES]
    deep = sum(k_ary_tree.depth(n, k) > k_ary_tree.bound(n, k) for n, k in trees)
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
        for part in measured
    ]


def _full() -> list[tuple[int, int]]:
    """Full trees of depth 3, in which every child of the root has as many nodes below it."""
    return [(sum(k**level for level in range(4)), k) for k in ARITIES]
