"""Mean fields of rumor mongering: how many nodes it never reaches, and at what traffic.

Model: fractions s susceptible, i infective (gossiping), the rest removed, with one uniform partner
a cycle [Demers et al., Epidemic algorithms for replicated database maintenance, PODC 1987 and
Xerox CSL-89-1, section 1.4]. The differential equations leave out cycles and fluctuations; the
recurrence of `push_counter_residue` keeps the cycles.
"""

from __future__ import annotations

from math import exp, expm1, log

import numpy as np


def feedback_coin_residue(k: float) -> float:
    """The fraction never reached when an unnecessary contact ends the gossip with chance 1/k.

    ds/dt = -si, di/dt = si - (1-s)i/k give s = e^(-(k+1)(1-s)). Domain: k > 0.
    feedback_coin_residue(1) = 0.2032, feedback_coin_residue(2) = 0.0595
    """
    _check(k)
    return _final_size(k + 1.0)


def blind_coin_residue(k: float) -> float:
    """The same when every contact, needed or not, ends the gossip with chance 1/k.

    ds/dt = -si, di/dt = si - i/k give s = e^(-k(1-s)), 1 up to k = 1: then it never takes off.
    blind_coin_residue(1) = 1, blind_coin_residue(2) = 0.2032
    """
    _check(k)
    return _final_size(k)


def infective(susceptible: float, k: float) -> float:
    """The infective fraction when `susceptible` are left, for feedback and coin.

    i(s) = (k+1)/k (1-s) + (1/k) ln s. infective(0.5, 1) = 0.3069, which is its maximum for k=1
    """
    _check(k)
    if not 0.0 < susceptible <= 1.0:
        raise ValueError(f"susceptible = {susceptible} is not within 0 (excluded)..1")
    return (k + 1.0) / k * (1.0 - susceptible) + log(susceptible) / k


def residue_of_traffic(traffic: float) -> float:
    """The residue of any push without connection limit that sent `traffic` updates a node: e^-m.

    residue_of_traffic(3.3) = 0.0369
    """
    if traffic < 0:
        raise ValueError(f"traffic = {traffic} is negative")
    return exp(-traffic)


def residue_of_limited_traffic(traffic: float) -> float:
    """The least residue of push with a connection limit of 1 and no hunting: e^(-m/(1-1/e)).

    A node that several call takes one call, and the rejected send nothing: a cycle with a
    fraction i active leaves e^(-i) of the susceptible at a traffic of 1 - e^(-i). If all were
    active in every cycle this would be the residue; it lies between this and e^(-m).
    residue_of_limited_traffic(3.3) = 0.0054
    """
    if traffic < 0:
        raise ValueError(f"traffic = {traffic} is negative")
    return exp(traffic / expm1(-1.0))


def push_counter_residue(k: int, nodes: int) -> float:
    """The residue of push with feedback and counter, by cycles: the recurrence of the means.

    A contact is useful if its partner was susceptible at the cycle's start and then resets the
    counter; the k-th unnecessary one in a row ends the gossip.
    push_counter_residue(1, 1000) = 0.1745, push_counter_residue(2, 1000) = 0.0368
    """
    _check(k)
    if nodes < 2:
        raise ValueError(f"nodes = {nodes} is less than 2")
    susceptible = 1.0 - 1.0 / nodes
    stages = np.zeros(k)
    stages[0] = 1.0 / nodes
    while (active := float(stages.sum())) > 1e-12:
        after = np.zeros(k)
        after[1:] = stages[:-1] * (1.0 - susceptible)
        after[0] += active * susceptible - susceptible * expm1(-active)
        susceptible *= exp(-active)
        stages = after
    return susceptible


def _final_size(strength: float) -> float:
    """The smallest root of s = exp(-strength (1-s)); 1 up to strength 1."""
    if strength <= 1.0:
        return 1.0
    susceptible = 0.0
    while (after := exp(-strength * (1.0 - susceptible))) - susceptible > 1e-15:
        susceptible = after
    return susceptible


def _check(k: float) -> None:
    if not k > 0:
        raise ValueError(f"k = {k} is not above 0")
