"""The deterministic recurrence of synchronous gossip: the chain's mean step, taken as a certainty.

Model: given x susceptible and y infected nodes at a round's start, the next x is its expectation.
For push with targets that may repeat this is x (1 - q/(N-1))^(b y) [Pittel, SIAM J. Appl. Math.
47(1), 1987, with loss added]; for pull without loss p_{i+1} = p_i^(k+1) [Demers et al. 1987].

Leaves out the fluctuations: the first rounds and the last susceptible nodes are random, so the
mean of the chain lags behind this curve (`push_chain` gives the difference exactly).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testbed.theory.hits import check_fan_out, check_ratio, missed
from testbed.theory.pull_chain import answered

Floats = NDArray[np.float64]


def mean_field(
    protocol: str,
    nodes: int,
    rounds: int,
    fan_out: int = 1,
    *,
    replacement: bool = False,
    loss_ratio: float = 0.0,
    legs: int = 2,
    crashed: int = 0,
    sources: float = 1.0,
) -> Floats:
    """The infected after each of round 0..rounds, for the protocol push, pull or push_pull.

    Parameters as for the chains, at any size; ValueError for another protocol.
    mean_field("push", 64, rounds=6) ends with 36.97; the exact mean is 36.82
    """
    if protocol not in ("push", "pull", "push_pull"):
        raise ValueError(f"protocol = {protocol} is not push, pull or push_pull")
    if not replacement:
        check_fan_out(nodes - 1, fan_out)
    check_ratio("loss_ratio", loss_ratio)
    others, alive = nodes - 1, nodes - crashed
    success = answered(loss_ratio, legs)
    draws, sends = (1, fan_out) if replacement else (fan_out, 1)
    unhit_by_one = (1.0 - draws * (1.0 - loss_ratio) / others) ** sends
    curve = np.empty(rounds + 1)
    curve[0] = sources
    for number in range(rounds):
        infected = curve[number]
        left = alive - infected
        if protocol != "pull":
            left *= unhit_by_one**infected
        if protocol != "push":
            asked = min(infected, others)
            left *= missed(others, asked, fan_out, success, replacement=replacement)[0]
        curve[number + 1] = alive - left
    return curve


def pull_step(susceptible_ratio: float, fan_out: int = 1, success_ratio: float = 1.0) -> float:
    """The fraction still susceptible after one round of pulls, in a large group.

    p_{i+1} = p_i (1 - r + r p_i)^k, r the success of a pull; without loss p_i^(k+1), the
    lecture's recurrence [Demers et al. 1987, 1.3]. Domain: 0 <= susceptible_ratio <= 1.
    pull_step(0.1, fan_out=2) = 0.001; with success_ratio=0.5 it is 0.03025
    """
    check_ratio("susceptible_ratio", susceptible_ratio)
    check_ratio("success_ratio", success_ratio)
    kept = 1.0 - success_ratio + success_ratio * susceptible_ratio
    return float(susceptible_ratio * kept**fan_out)
