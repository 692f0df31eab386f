"""Targets for many nodes at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def others(
    rng: np.random.Generator, me: Ints, nodes: int, fan_out: int, *, replacement: bool
) -> Ints:
    """Draws `fan_out` targets for each node in `me` among the others: [fan_out, len(me)].

    Nodes are numbered 0..nodes-1. Without replacement the targets of a node are distinct, by
    Floyd's algorithm [Bentley & Floyd, Comm. ACM 30(9), 1987], which needs no table.
    """
    picked = np.empty((fan_out, len(me)), dtype=np.int64)
    for draw in range(fan_out):
        top = nodes - 1 if replacement else nodes - fan_out + draw
        # Half the random bits are enough for most sizes, at four times the speed.
        kind = np.int32 if top < 2**31 else np.int64
        picked[draw] = rng.integers(0, top, size=len(me), dtype=kind)
        if draw and not replacement:
            # A repeated target becomes the newest number, which no earlier draw could be.
            repeated = (picked[:draw] == picked[draw]).any(axis=0)
            picked[draw, repeated] = top - 1
    picked += picked >= me  # skips the node itself
    return picked
