"""How many sends it takes to infect the last node: a coupon collector, whatever the timers.

Model: targets are drawn one at a time, uniformly and independently among the other nodes, and a
datagram infects at once. With i nodes left, a send infects one of them with probability q i/(N-1),
whoever sends it and whenever, so fan-out, phases and the kind of timer do not matter [Feller, An
Introduction to Probability Theory, 1968, IX.3]. Left out: datagrams in flight, targets drawn
without replacement within a round; both change the count by at most one round of sends.
"""

from __future__ import annotations

import math

from testbed.theory.hits import check_ratio


def mean_sends(nodes: int, loss_ratio: float = 0.0) -> float:
    """Expected sends up to the last infection: (N-1) H_(N-1) / q with q = 1 - loss_ratio.

    Domain: nodes >= 2, 0 <= loss_ratio < 1.
    mean_sends(64) = 297.9, mean_sends(64, loss_ratio=0.5) = 595.8
    """
    return sum(1 / p for p in _chances(nodes, loss_ratio))


def sd_sends(nodes: int, loss_ratio: float = 0.0) -> float:
    """Standard deviation of the sends up to the last infection; it stays near 1.28 N for large N.

    Domain: as `mean_sends`.
    sd_sends(64) = 78.5
    """
    return math.sqrt(sum((1 - p) / p**2 for p in _chances(nodes, loss_ratio)))


def _chances(nodes: int, loss_ratio: float) -> list[float]:
    """The probability that a send infects somebody, with N-1, N-2, ... 1 nodes left."""
    if nodes < 2:
        raise ValueError(f"nodes = {nodes} is not at least 2")
    check_ratio("loss_ratio", loss_ratio)
    if loss_ratio == 1:
        raise ValueError("loss_ratio = 1 never infects anybody; take less than 1")
    others = nodes - 1
    return [(1 - loss_ratio) * left / others for left in range(others, 0, -1)]
