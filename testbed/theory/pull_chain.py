"""The exact chain of synchronous pull gossip.

Model: in each round every susceptible node asks `fan_out` others and learns the rumour when one
of those that are infected answers it. The nodes ask independently, so the number that stays
susceptible is binomial [Demers et al., PODC 1987, 1.3: p_{i+1} = p_i^2 for one pull].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from testbed.theory.chain import Chain, check_nodes
from testbed.theory.hits import check_ratio, missed

Floats = NDArray[np.float64]


def pull_chain(
    nodes: int,
    fan_out: int = 1,
    *,
    replacement: bool = False,
    loss_ratio: float = 0.0,
    legs: int = 2,
    crashed: int = 0,
) -> Chain:
    """The chain for a group of `nodes`, of which `crashed` are dead from the start.

    `legs` is the number of datagrams of a pull that can be lost: 2, request and answer, or 1.
    Domain: 2 <= nodes <= 2048, 1 <= fan_out <= nodes-1 (any when targets may repeat).
    mean(pull_chain(64).rounds_to_all()) = 8.96, mean(pull_chain(64).rounds_to_half()) = 6.29
    """
    alive = check_nodes(nodes, crashed)
    table = unpulled(
        nodes, alive, fan_out, replacement=replacement, loss_ratio=loss_ratio, legs=legs
    )
    return Chain(table[:, ::-1].copy())


def unpulled(
    nodes: int, alive: int, fan_out: int, *, replacement: bool, loss_ratio: float, legs: int
) -> Floats:
    """Row i: the distribution of the number still susceptible, with i infected at the start."""
    infected = np.arange(alive + 1)
    miss = missed(
        nodes - 1,
        np.minimum(infected, nodes - 1),
        fan_out,
        answered(loss_ratio, legs),
        replacement=replacement,
    )
    table: Floats = binom.pmf(
        np.arange(alive + 1)[None, :], (alive - infected)[:, None], miss[:, None]
    )
    return table


def answered(loss_ratio: float, legs: int) -> float:
    """The probability that a pull from an infected node succeeds: answered(0.5, 2) = 0.25"""
    check_ratio("loss_ratio", loss_ratio)
    if legs not in (1, 2):
        raise ValueError(f"legs = {legs} is not 1 or 2, the datagrams of a pull that can be lost")
    return (1.0 - loss_ratio) ** legs
