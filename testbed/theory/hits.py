"""How many useful hits one node's targets make in one round.

A node draws `fan_out` distinct targets among the `others` (everyone but itself), `marked` of which
matter: the susceptible ones for a push, the infected ones for a pull. Each target is reached with
probability `success_ratio`, independently. The number of marked targets that are reached is
hypergeometric, thinned by a binomial [Feller, An Introduction to Probability Theory, 1968, II.6].
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def distinct_hits(
    others: int, marked: ArrayLike, fan_out: int, success_ratio: float = 1.0
) -> Floats:
    """The probabilities of 0..fan_out hits, one row for each number in `marked`.

    Domain: 1 <= fan_out <= others, 0 <= marked <= others, 0 <= success_ratio <= 1. The products
    are exact to rounding at any size, where log-gamma loses digits (1e-5 at 2^32 others).
    distinct_hits(3, 2, fan_out=2) = [0, 2/3, 1/3]: of 3 others, 2 are marked
    """
    check_fan_out(others, fan_out)
    check_ratio("success_ratio", success_ratio)
    ups = np.atleast_1d(np.asarray(marked, dtype=np.float64))
    if ups.size and (ups.min() < 0 or ups.max() > others):
        raise ValueError(f"marked = {ups.min():g}..{ups.max():g} is not within 0..{others}")
    drawn = np.empty((ups.size, fan_out + 1))
    for hits in range(fan_out + 1):
        chance = np.full(ups.size, float(comb(fan_out, hits)))
        for position in range(fan_out):
            left = ups - position if position < hits else others - ups - (position - hits)
            chance *= np.maximum(left, 0.0) / (others - position)
        drawn[:, hits] = chance
    return drawn @ _thinning(fan_out, success_ratio)


def missed(
    others: int,
    marked: ArrayLike,
    fan_out: int,
    success_ratio: float = 1.0,
    *,
    replacement: bool = False,
) -> Floats:
    """The probability that none of a node's targets is a marked one that is reached.

    With `replacement` the targets may repeat. Domain: as `distinct_hits`, and fan_out may exceed
    the others when targets repeat.
    missed(63, 31, fan_out=1, success_ratio=0.5) = 0.7540: a pull from 31 infected of 63 others
    """
    if not replacement:
        return distinct_hits(others, marked, fan_out, success_ratio)[:, 0]
    check_ratio("success_ratio", success_ratio)
    ups = np.atleast_1d(np.asarray(marked, dtype=np.float64))
    miss: Floats = ((others - success_ratio * ups) / others) ** fan_out
    return miss


def check_fan_out(others: int, fan_out: int) -> None:
    """Raises ValueError when so many distinct targets cannot be drawn."""
    if not 1 <= fan_out <= others:
        raise ValueError(f"fan_out = {fan_out} is not within 1..{others}, the number of others")


def check_ratio(name: str, ratio: float) -> None:
    """Raises ValueError for a ratio outside 0..1, and for nan."""
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"{name} = {ratio} is not within 0..1")


def _thinning(fan_out: int, success_ratio: float) -> Floats:
    """Row h: the probabilities of 0..fan_out successes out of h trials."""
    table = np.zeros((fan_out + 1, fan_out + 1))
    for tried in range(fan_out + 1):
        for kept in range(tried + 1):
            table[tried, kept] = (
                comb(tried, kept) * success_ratio**kept * (1.0 - success_ratio) ** (tried - kept)
            )
    return table
