"""Requests for one lost packet in SRM, when every receiver of a star lost it.

Model: all receivers are equally far from the source and from each other, a one-way delay d apart.
They notice the loss together and set request timers uniform on [C1 d, (C1 + C2) d]; a timer is
suppressed by the first request of another that arrives before it fires [Floyd, Jacobson, Liu,
McCanne & Zhang, IEEE/ACM ToN 5(6), 1997, star topology]. Leaves out: backoff, repairs, loss of
requests.
"""

from __future__ import annotations

from testbed.theory.hits import check_ratio


def requests(group: int, c2: float) -> float:
    """The expected number of requests, exact: 1 + n w - w^n, n = group - 1 receivers, w = 1/C2.

    A timer at T fires unless another was below T - d, so E = n P(T < M + w), M the least of n-1
    uniforms. Domain: group >= 2, c2 > 0; up to c2 = 1 nothing is suppressed. The paper's
    1 + (group-2)/c2 is smaller by 1/c2 in a large group.
    requests(64, c2=2) = 32.5, where the paper's approximation gives 32
    """
    receivers = _receivers(group, c2)
    if c2 <= 1.0:
        return float(receivers)
    window = 1.0 / c2
    return float(1.0 + receivers * window - window**receivers)


def published_requests(group: int, c2: float) -> float:
    """The paper's approximation of it, 1 + (group-2)/C2: published_requests(64, c2=2) = 32"""
    _receivers(group, c2)
    return 1.0 + (group - 2) / c2


def request_delay(group: int, c1: float, c2: float) -> float:
    """The expected time to the first request, in one-way delays d: C1 + C2/group.

    request_delay(64, c1=2, c2=2) = 2.031
    """
    receivers = _receivers(group, c2)
    return c1 + c2 / (receivers + 1)


def provoked(group: int, loss_ratio: float) -> float:
    """The probability that a packet is lost by some receiver, each with `loss_ratio`.

    1 - (1-p)^(group-1): provoked(1000, loss_ratio=0.01) = 0.99996, so nearly every packet costs
    the group at least one request and one repair, heard by all.
    """
    check_ratio("loss_ratio", loss_ratio)
    if group < 2:
        raise ValueError(f"group = {group} has no receiver")
    return float(1.0 - (1.0 - loss_ratio) ** (group - 1))


def _receivers(group: int, c2: float) -> int:
    if group < 2:
        raise ValueError(f"group = {group} has no receiver")
    if not c2 > 0:
        raise ValueError(f"c2 = {c2} is not above 0")
    return group - 1
