"""The lecture's continuous-time model of push gossip: dx/dt = -beta x y.

x uninfected and y infected of n+1 nodes mix homogeneously, one of them infected at t = 0, at a
contact rate of beta = b/n between any two [Bailey, The Mathematical Theory of Infectious Diseases,
1975]. Time is in gossip periods. Departures from agents with timers: nodes are not whole, and the
random first contacts, which shift a real epidemic by a period or two, are averaged away.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def infected(nodes: int, time: ArrayLike, fan_out: float = 1.0, loss_ratio: float = 0.0) -> Floats:
    """Nodes infected at `time` periods: (n+1) / (1 + n e^(-beta (n+1) t)), beta = b (1-loss)/n.

    Domain: nodes >= 2, time >= 0, fan_out > 0, 0 <= loss_ratio < 1.
    infected(256, 0) = 1.0, infected(256, 8) = 236.4
    """
    _check(nodes, fan_out, loss_ratio)
    n = nodes - 1
    growth = fan_out * (1 - loss_ratio) * nodes / n
    return np.asarray(nodes / (1 + n * np.exp(-growth * np.asarray(time, dtype=float))))


def time_to(nodes: int, reached: float, fan_out: float = 1.0, loss_ratio: float = 0.0) -> float:
    """Periods until `reached` nodes are infected. Domain: 1 <= reached < nodes.

    Half of them at about ln n / b, all but one at about 2 ln n / b.
    time_to(256, 128) = 5.52, time_to(256, 255) = 11.04
    """
    _check(nodes, fan_out, loss_ratio)
    if not 1 <= reached < nodes:
        raise ValueError(f"reached = {reached} is not within 1..{nodes} (the model never ends)")
    n = nodes - 1
    growth = fan_out * (1 - loss_ratio) * nodes / n
    return math.log(n * reached / (nodes - reached)) / growth


def _check(nodes: int, fan_out: float, loss_ratio: float) -> None:
    if nodes < 2:
        raise ValueError(f"nodes = {nodes} is not at least 2")
    if not fan_out > 0:
        raise ValueError(f"fan_out = {fan_out} is not above 0")
    if not 0 <= loss_ratio < 1:
        raise ValueError(f"loss_ratio = {loss_ratio} is not within 0..1 (1 excluded)")
