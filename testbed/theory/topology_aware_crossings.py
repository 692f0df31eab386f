"""Datagrams that topology-aware target choice sends through the core router in a round.

Model: a node in a subnet of n_i members picks each target outside it with probability 1/n_i
[lecture, "Topology-Aware Gossip"]; a subnet of one member always picks outside. So a saturated
subnet sends `fan_out` datagrams through the core per round, however large it is.
"""

from __future__ import annotations

from collections.abc import Sequence


def topology_aware_crossings(
    subnet_sizes: Sequence[int], fan_out: int = 1, infected: Sequence[int] | None = None
) -> float:
    """Expected crossings per round, both directions together: b sum_i y_i / n_i.

    `infected` holds y_i, the infected members of each subnet; None means all of them, and the sum
    is then b times the number of subnets. Domain: 0 <= y_i <= n_i, fan_out >= 1.
    topology_aware_crossings((128, 128), fan_out=2) = 4.0
    topology_aware_crossings((128, 128), fan_out=2, infected=(128, 32)) = 2.5
    """
    spreading = subnet_sizes if infected is None else infected
    pairs = list(zip(spreading, subnet_sizes, strict=True))
    if any(not 0 <= y <= n for y, n in pairs):
        raise ValueError(f"infected = {tuple(spreading)} does not fit subnets {subnet_sizes}")
    return fan_out * sum(y / n for y, n in pairs if n)
