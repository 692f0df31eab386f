"""Whether the loss that was achieved is the one that was asked for, or more off than chance allows.

An exact binomial test for each ratio, over all packets that met it while a network was up: pooled,
since a test of each run would throw away honest runs and bias the rest. That a run ends when its
multicast is everywhere, or sends again what was lost, makes the number of packets itself depend on
the losses; the losses in excess of the ratio are a martingale all the same, far off as seldom.
"""

from __future__ import annotations

from collections.abc import Mapping

from scipy import special

FALSE_ALARM = 1e-6
"""Over the ratios of one network that is up: a full validation brings up some 100 networks."""


def complaints(by_ratio: Mapping[float, tuple[int, int]]) -> list[str]:
    """What is wrong with packets (dropped, offered) by the loss ratio asked for."""
    return [
        f"loss {ratio:g} asked, {dropped / offered:.4g} achieved, n = {offered:,}: "
        f"further off than chance allows but in {FALSE_ALARM:g} of networks; does another program "
        "shape packets here? benchmarks/impairments.py measures the backends of this kernel"
        for ratio, (dropped, offered) in sorted(by_ratio.items())
        if offered and p_value(dropped, offered, ratio) < FALSE_ALARM / len(by_ratio)
    ]


def p_value(dropped: int, offered: int, ratio: float) -> float:
    """Two-sided, exact: twice the smaller tail. p_value(8, 10, 0.5) = 0.109"""
    fewer = special.bdtr(dropped, offered, ratio)
    more = special.bdtrc(dropped - 1, offered, ratio) if dropped else 1.0
    return min(1.0, 2 * float(min(fewer, more)))
