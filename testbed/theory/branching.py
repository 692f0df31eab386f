"""How likely an epidemic dies out while it is small, and how far it reaches when it does not.

Model: a branching process: in a large group the first infections do not meet each other, so every
infected node has independent, identically distributed offspring. The extinction probability is
the smallest root of z = f(z), f the offspring's generating function [Harris, The Theory of
Branching Processes, 1963, I.6]. Leaves out: targets that are drawn twice, which matters once the
infected are a fair part of the group.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp

from testbed.theory.hits import check_ratio

# At a critical process the iteration closes in on 1 like 1/steps; this bounds its error to 1e-5.
_MAX_STEPS = 200_000


def infect_and_die_extinction(fan_out: int, loss_ratio: float = 0.0, sources: int = 1) -> float:
    """The probability that a rumour dies out early when each node gossips one round only.

    z = (1-q+qz)^b, to the power of the number of sources. Domain: fan_out >= 1.
    infect_and_die_extinction(4, loss_ratio=0.5) = 0.0874
    """
    _check(fan_out, loss_ratio, sources)
    kept = 1.0 - loss_ratio
    if fan_out * kept <= 1.0:
        return 1.0 if fan_out > 1 or kept < 1.0 else 0.0
    return _root(lambda z: (loss_ratio + kept * z) ** fan_out) ** sources


def crash_extinction(
    fan_out: int, crash_ratio: float, loss_ratio: float = 0.0, sources: int = 1
) -> float:
    """The probability of dying out early when infected nodes gossip on until they crash.

    An infected node crashes with `crash_ratio` at the start of every round, before it sends:
    z = f + (1-f) z (1-q+qz)^b. crash_extinction(2, crash_ratio=0.1) = 0.1009
    """
    _check(fan_out, loss_ratio, sources)
    check_ratio("crash_ratio", crash_ratio)
    if crash_ratio == 0.0:
        return 0.0
    kept, stays = 1.0 - loss_ratio, 1.0 - crash_ratio
    if stays * (1.0 + fan_out * kept) <= 1.0:
        return 1.0
    return _root(lambda z: crash_ratio + stays * z * (loss_ratio + kept * z) ** fan_out) ** sources


def reach(fan_out: float, loss_ratio: float = 0.0) -> float:
    """The fraction that infect-and-die reaches in a large group when it does not die out early.

    The largest root of r = 1 - exp(-b q r) [Kermack & McKendrick 1927; Eugster et al., IEEE
    Computer 37(5), 2004]. reach(2) = 0.7968; reach(4, loss_ratio=0.5) is the same
    """
    check_ratio("loss_ratio", loss_ratio)
    if fan_out < 0:
        raise ValueError(f"fan_out = {fan_out} is negative")
    mean = fan_out * (1.0 - loss_ratio)
    if mean <= 1.0:
        return 0.0
    return 1.0 - _root(lambda z: exp(-mean * (1.0 - z)))


def _root(offspring: Callable[[float], float]) -> float:
    """The smallest fixed point in 0..1 of a generating function, by iterating from 0."""
    chance = 0.0
    for _ in range(_MAX_STEPS):
        after = offspring(chance)
        if after - chance < 1e-15:
            return after
        chance = after
    return chance


def _check(fan_out: int, loss_ratio: float, sources: int) -> None:
    check_ratio("loss_ratio", loss_ratio)
    if fan_out < 1 or sources < 1:
        raise ValueError(f"fan_out = {fan_out} and sources = {sources} must be at least 1")
