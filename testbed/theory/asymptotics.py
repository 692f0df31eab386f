"""Leading terms, for large groups, of how long synchronous gossip takes and what it leaves out.

Growth: early on every round multiplies the infected by 1 + (expected new infections a node causes).
End phase: late on every round multiplies the susceptible by a constant. The time is one logarithm
over each [Frieze & Grimmett, Discrete Appl. Math. 10, 1985; Pittel 1987; Fountoulakis, Huber &
Panagiotou, INFOCOM 2010; Doerr & Kostrygin, ICALP 2017]. All logarithms are natural.

Leaves out: the O(1) term, which at N = 64 is about one round, and every timer but SYNC/RESTART.
"""

from __future__ import annotations

from math import ceil, exp, floor, inf, log, log1p, log2

from testbed.theory.hits import check_ratio
from testbed.theory.pull_chain import answered


def push_slope(fan_out: int = 1, loss_ratio: float = 0.0) -> float:
    """Rounds to infect everyone by push, per ln N: 1/ln(1+bq) + 1/(bq).

    inf when everything is lost. push_slope() = 2.443, push_slope(1, loss_ratio=0.5) = 4.466
    """
    rate = fan_out * _kept(loss_ratio)
    return 1.0 / log1p(rate) + 1.0 / rate if rate > 0.0 else inf


def pull_slope(fan_out: int = 1, loss_ratio: float = 0.0, legs: int = 2) -> float:
    """The same for pull: 1/ln(1+kr) - 1/(k ln(1-r)), r = (1-loss_ratio)^legs.

    Without loss the second half takes O(ln ln N), which adds nothing to the slope.
    pull_slope() = 1.443, pull_slope(1, 0.5, legs=1) = 3.909
    """
    success = answered(loss_ratio, legs)
    if success == 0.0:
        return inf
    tail = 0.0 if success == 1.0 else -1.0 / (fan_out * log1p(-success))
    return 1.0 / log1p(fan_out * success) + tail


def push_pull_slope(loss_ratio: float = 0.0, legs: int = 2) -> float:
    """The same for push-pull with fan-out 1: 1/ln(1+q+r) + 1/(q - ln(1-r)).

    push_pull_slope() = 0.910 = 1/ln 3 [Karp et al. 2000], push_pull_slope(0.5, legs=1) = 2.281
    """
    kept, success = _kept(loss_ratio), answered(loss_ratio, legs)
    if kept == 0.0:
        return inf
    tail = 0.0 if success == 1.0 else 1.0 / (kept - log1p(-success))
    return 1.0 / log1p(kept + success) + tail


def topology_aware_slope(fan_out: int = 1) -> float:
    """The same for topology-aware push over two equal subnets: 2/ln(1+b) + 1/b.

    The rumour grows in the first subnet until about one node a round sends outside, then grows
    and finishes in the second one. topology_aware_slope() = 3.885, which is 1.59 push_slope()
    """
    return 2.0 / log1p(fan_out) + 1.0 / fan_out


def push_residue(nodes: int, rounds: float, fan_out: int = 1, loss_ratio: float = 0.0) -> float:
    """Nodes that push leaves uninfected after so many rounds, for a large number of rounds.

    N^(1 + bq/ln(1+bq)) e^(-bq t), against the lecture's N^2 e^(-bt) from the continuous model.
    For N = 64..512 and targets that may repeat the exact mean is 0.9 to 1.1 times this for b = 1,
    1.1 to 1.35 times for b = 2, and up to 2.3 times for b = 4.
    push_residue(256, 11, fan_out=2) = 0.00173; the exact mean is 0.00217
    """
    rate = fan_out * _kept(loss_ratio)
    if rate == 0.0:
        return float(nodes - 1)
    return float(exp((1.0 + rate / log1p(rate)) * log(nodes) - rate * rounds))


def push_rounds_bounds(nodes: int) -> tuple[float, float]:
    """Bounds on the mean rounds of push with fan-out 1, but for a vanishing term.

    floor(log2 N) + ln N - 1.116 and ceil(log2 N) + ln N + 2.765 [Doerr & Kuennemann, ANALCO
    2014]. push_rounds_bounds(64) = (9.04, 12.92); the exact mean is 11.16
    """
    return (
        floor(log2(nodes)) + log(nodes) - 1.116,
        ceil(log2(nodes)) + log(nodes) + 2.765,
    )


def _kept(loss_ratio: float) -> float:
    check_ratio("loss_ratio", loss_ratio)
    return 1.0 - loss_ratio
