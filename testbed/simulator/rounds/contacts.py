"""Who talks to whom in one cycle, when a node takes only so many incoming conversations.

Model: callers try in the order of chance. A node takes the first `limit` callers and rejects the
others, which look for another partner up to `hunts` times [Demers et al. 1987, 1.4]. All first
tries come before all second ones: a choice of ours, where the paper is silent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testbed.simulator.rounds.draws import others

Ints = NDArray[np.int64]


def connect(
    rng: np.random.Generator, callers: Ints, nodes: int, runs: int, limit: int | None, hunts: int
) -> tuple[Ints, Ints]:
    """Draws a partner for each caller: (callers that found one, their partners).

    `callers` number the nodes of all runs, run after run. With limit None everyone is taken.
    """
    base = callers // nodes * nodes
    partners = others(rng, callers - base, nodes, 1, replacement=True)[0] + base
    if limit is None:
        return callers, partners
    taken = np.zeros(runs * nodes, dtype=np.int64)
    waiting = np.arange(len(callers))
    found = np.zeros(len(callers), dtype=np.bool_)
    for attempt in range(hunts + 1):
        if attempt:
            mine, first = callers[waiting], base[waiting]
            partners[waiting] = others(rng, mine - first, nodes, 1, replacement=True)[0] + first
        order = rng.permutation(waiting)
        order = order[np.argsort(partners[order], kind="stable")]
        wanted = partners[order]
        # The place of each caller in the queue of its partner, which is a block of `wanted`.
        place = np.arange(len(order)) - np.searchsorted(wanted, wanted, side="left")
        accepted = taken[wanted] + place < limit
        found[order[accepted]] = True
        taken += np.bincount(wanted[accepted], minlength=len(taken))
        waiting = order[~accepted]
        if not len(waiting):
            break
    return callers[found], partners[found]
