"""The exact chain of synchronous push gossip.

Model: in each round every infected node sends to `fan_out` others, and every datagram is lost
independently with `loss_ratio`. Given the susceptible nodes not yet hit in the round, the next
sender hits a hypergeometric number of them; sender after sender, that is the occupancy problem
[Feller 1968, II.5; for fan-out 1 Pittel, On spreading a rumor, SIAM J. Appl. Math. 47(1), 1987].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testbed.theory.chain import Chain, check_nodes
from testbed.theory.hits import check_ratio, distinct_hits

Floats = NDArray[np.float64]


def push_chain(
    nodes: int,
    fan_out: int = 1,
    *,
    replacement: bool = False,
    loss_ratio: float = 0.0,
    crashed: int = 0,
) -> Chain:
    """The chain for a group of `nodes`, of which `crashed` are dead from the start.

    Domain: 2 <= nodes <= 2048, 1 <= fan_out <= nodes-1 (any when targets may repeat).
    mean(push_chain(64).rounds_to_all()) = 11.16, mean(push_chain(64).rounds_to_half()) = 6.07
    """
    alive = check_nodes(nodes, crashed)
    table = np.zeros((alive + 1, alive + 1))
    for infected in range(alive + 1):
        table[infected, alive - infected] = 1.0
    spread(table, nodes, fan_out, replacement=replacement, loss_ratio=loss_ratio)
    return Chain(table[:, ::-1].copy())


def spread(
    table: Floats, nodes: int, fan_out: int, *, replacement: bool, loss_ratio: float
) -> None:
    """Lets each row's infected nodes push, in place.

    `table[i, u]` is the probability, with i nodes infected at the round's start, that u of the
    susceptible ones are not hit yet. Sender number t acts in all rows i >= t at once.
    """
    check_ratio("loss_ratio", loss_ratio)
    alive = len(table) - 1
    draws, sends = (1, fan_out) if replacement else (fan_out, 1)
    hit = distinct_hits(nodes - 1, np.arange(alive), draws, 1.0 - loss_ratio)
    for sender in range(1, alive + 1):
        # With `sender` or more infected at most alive - sender nodes are left to hit.
        size = alive - sender + 1
        rows = table[sender:, :size]
        for _ in range(sends):
            after = rows * hit[:size, 0]
            for hits in range(1, min(draws, size - 1) + 1):
                after[:, : size - hits] += rows[:, hits:] * hit[hits:size, hits]
            rows[:] = after
