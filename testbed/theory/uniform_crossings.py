"""Datagrams that uniform target choice sends through the core router in a saturated round.

Model: every node spreads the multicast and sends to `fan_out` others per round, each drawn
uniformly from all N-1 [lecture, "Topology-Aware Gossip": core routers face O(N) load]. A datagram
crosses the core once, when its target lies in another subnet. Loss on the way into a host comes
after the core and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def uniform_crossings(subnet_sizes: Sequence[float], fan_out: int = 1) -> float:
    """Expected crossings per round, both directions together: b sum_i n_i (N-n_i)/(N-1).

    For two equal subnets b N^2 / (2 (N-1)), a little over b N/2. Domain: N >= 2, fan_out >= 1.
    uniform_crossings((128, 128)) = 128.5, uniform_crossings((8, 8), fan_out=2) = 17.07
    """
    nodes = sum(subnet_sizes)
    if nodes < 2:
        raise ValueError(f"subnet_sizes = {tuple(subnet_sizes)} hold fewer than 2 nodes")
    return fan_out * sum(n * (nodes - n) for n in subnet_sizes) / (nodes - 1)


def uniform_exponent(sizes: Sequence[int]) -> float:
    """The log-log slope of the crossings of two equal subnets over `sizes`: just below 1.

    Finite groups keep it there, since a node cannot pick itself. Domain: two different sizes or
    more. uniform_exponent([16, 32, 64, 128, 256]) = 0.979
    """
    if len(set(sizes)) < 2:
        raise ValueError(f"sizes = {list(sizes)}: a slope needs two different ones")
    load = [uniform_crossings((n - n // 2, n // 2)) for n in sizes]
    return float(np.polyfit([math.log(n) for n in sizes], np.log(load), 1)[0])
