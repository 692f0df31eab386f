"""Requests for one lost packet in an SRM star, drawn timer by timer.

Model: all receivers lost the packet, notice it together and are one delay d apart from each other;
each sets a timer uniform on a window of C2 d, doubled with each backoff, and a request that
arrives before the timer fires suppresses it [Floyd et al., IEEE/ACM ToN 5(6), 1997]. Times are in
d, from the window's start. Leaves out: repairs, loss of requests, different distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Requests:
    """One entry a run."""

    sent: NDArray[np.float64]
    """Requests that were sent."""
    peak: NDArray[np.float64]
    """The most of them in any stretch of one delay."""
    first: NDArray[np.float64]
    """When the first one was sent."""


def sample(
    runs: int,
    seed: int = 1,
    *,
    group: int,
    c2: float,
    backoff: int = 0,
    suppression: bool = True,
) -> Requests:
    """Draws independent losses in a group of one source and group - 1 receivers.

    Domain: group >= 2, c2 >= 0 (0: all ask at once), backoff >= 0. The same arguments give the
    same requests.
    """
    if group < 2 or c2 < 0 or backoff < 0:
        raise ValueError(f"group = {group}, c2 = {c2}, backoff = {backoff}: out of domain")
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, runs, _ROWS):
        rows = min(_ROWS, runs - start)
        timers = np.sort(rng.random((rows, group - 1)) * c2 * 2.0**backoff, axis=1)
        parts.append([_count(timer, suppression) for timer in timers])
    sent, peak, first = np.array([row for part in parts for row in part], dtype=float).T
    return Requests(sent, peak, first)


_ROWS = 256


def _count(timers: NDArray[np.float64], suppression: bool) -> tuple[float, float, float]:
    if suppression:
        timers = timers[: np.searchsorted(timers, timers[0] + 1.0, side="right")]
    until = np.searchsorted(timers, timers + 1.0, side="right")
    return len(timers), int((until - np.arange(len(timers))).max()), float(timers[0])
