"""Looking at the data before all of it is there, without erring more often.

A validation that stops as soon as its claims are decided needs fewer runs, and tests more than
once: at 5% each time, three looks err in 11% of the cases. So each look has a share of the error
rate to spend, fixed beforehand [Lan & DeMets 1983], here with the power family alpha t^3 [Jennison
& Turnbull 2000, 7.2]: little early, most at the end. What a look may spend is the increase since
the one before it, and its tests are held to that alone: the sum is alpha by Bonferroni, whatever
the tests and however the looks depend on each other, and so Holm's procedure may be used at each.
Sharper bounds, which use that dependence, would bring the last look from 0.035 to 0.042 and would
hold for normal increments and a single test only.
"""

from __future__ import annotations

from collections.abc import Sequence

POWER = 3.0
"""Of the share of the runs: at half of them, an eighth of the error rate may be spent."""


def spending(looks: Sequence[float], alpha: float) -> list[float]:
    """The level of each look; `looks` are shares of the runs, rising, the last one being 1.

    spending([1/3, 2/3, 1], 0.05) = [0.0019, 0.0130, 0.0352]
    """
    before = (0.0, *looks[:-1])
    if not looks or looks[-1] != 1 or any(b >= a for b, a in zip(before, looks, strict=True)):
        raise ValueError(f"looks {tuple(looks)}: give rising shares of the runs that end with 1")
    return [alpha * (a**POWER - b**POWER) for b, a in zip(before, looks, strict=True)]


def portion(total: int, looks: Sequence[float], place: int) -> int:
    """How many of the runs are new at a look, at least one.

    portion(100, [0.25, 0.5, 1.0], 2) = 50
    """
    before = looks[place - 1] if place else 0.0
    return max(1, round(total * looks[place]) - round(total * before))
