"""Finds the shortest round that agents keep up with: `round_s = "auto"`.

Every node spreads as many multicasts at once as the runs will have, for a few rounds; a round
passes when lateness stays under half of what would void a run. What was drawn here is never judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pandas as pd

from testbed import collector, health
from testbed.orders import Order
from testbed.session import Session, SessionError

SHORTEST_S, LONGEST_S = 0.05, 10.0
STEP = 1.5
ROUNDS = 6
"""Enough ticks for a p99: at the smallest size of 8 nodes, 48 of them a multicast."""

PASS_SHARE = health.MAX_LATE_SHARE / 2


def shortest_round_s(
    session: Session, order: Order, numbers: count[int], at_once: Callable[[float], int]
) -> float:
    """The first round of 0.05, 0.075, ... s at which a trial passes.

    `order` is the run to try with, `at_once` how many of them the round is to bear. Raises
    `SessionError` when 10 s are not enough.
    """
    round_s = SHORTEST_S
    while round_s <= LONGEST_S:
        if late_share(session, order, numbers, round_s, at_once(round_s)) < PASS_SHARE:
            return round_s
        round_s *= STEP
    raise SessionError(
        f'round_s = "auto": {session.graph.nodes} agents are late even in rounds of '
        f"{LONGEST_S:.0f} s; the remedy is {health.REMEDY}"
    )


def late_share(
    session: Session, order: Order, numbers: count[int], round_s: float, at_once: int
) -> float:
    """The worst p99 of a trial's rounds, receipts, starts and packets, as a share of the round."""
    trial = [
        replace(order, run=next(numbers), round_s=round_s, sources="all") for _ in range(at_once)
    ]
    with session.trial():
        start_ns = session.start(trial)
        session.wait_until(start_ns / 1e9 + ROUNDS * round_s)
        session.stop([each.run for each in trial])
        session.deaths()
    runs = pd.DataFrame(
        {"run": [each.run for each in trial], "start_ns": start_ns, "round_s": round_s}
    )
    events, _ = collector.read_events(session.trace, runs)
    judged = health.void_runs(runs.assign(reasons=""), events)
    agents_s = float(judged[list(health.GATES)].to_numpy(float).max())
    return max(agents_s, session.shaping.late_ms() / 1e3) / round_s
