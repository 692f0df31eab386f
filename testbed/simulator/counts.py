"""Uniform gossip at any size: samples the exact chain on the numbers of nodes, not the nodes.

Model: see `testbed.simulator.mixing`. With uniform targets the nodes of a kind are exchangeable,
so a round is drawn from the numbers of gossiping and susceptible nodes alone: binomial and
occupancy draws, some 20 of them a round whatever the size. 2^32 nodes, every IPv4 address, take
a fraction of a second a run; nothing is approximated but by double precision.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from testbed.simulator.mixing import Mixing
from testbed.simulator.occupancy import distinct
from testbed.simulator.outcome import Outcome, join
from testbed.theory.hits import distinct_hits, missed


def spread(mixing: Mixing, runs: int = 1, seed: int = 0) -> Outcome:
    """Simulates independent runs; run r of a seed is the same however many runs are asked for."""
    seeds = np.random.SeedSequence(seed).spawn(runs)
    return join(mixing.alive, [_run(mixing, np.random.default_rng(one)) for one in seeds])


def _run(mixing: Mixing, rng: np.random.Generator) -> Outcome:
    susceptible = mixing.alive - mixing.sources
    cohorts = [mixing.sources]  # gossiping nodes by the round of their infection, oldest first
    gossiping = mixing.sources
    infected, sends = [mixing.sources], [0]
    while susceptible and gossiping and len(infected) <= mixing.max_rounds:
        if mixing.crash_ratio:
            cohorts = [int(rng.binomial(size, 1.0 - mixing.crash_ratio)) for size in cohorts]
        kept = mixing.own_rounds
        cohorts = [sum(cohorts)] if kept is None else cohorts[-kept:]
        gossiping = sum(cohorts)
        silent = infected[-1] - gossiping
        left = susceptible
        if mixing.pulls:
            left -= _pulled(mixing, rng, gossiping, susceptible)
        if mixing.pushes:
            left -= _pushed(mixing, rng, gossiping, susceptible, left)
        callers = mixing.alive - silent if mixing.pulls else gossiping
        cohorts.append(susceptible - left)
        gossiping += susceptible - left
        susceptible = left
        infected.append(mixing.alive - susceptible)
        sends.append(sends[-1] + callers * mixing.fan_out)
    return Outcome(mixing.alive, np.array([infected]), np.array([sends]))


def _pulled(mixing: Mixing, rng: np.random.Generator, gossiping: int, susceptible: int) -> int:
    """Susceptible nodes that learn the rumour by asking."""
    miss = _miss(
        mixing.nodes - 1, gossiping, mixing.fan_out, mixing.pull_success, mixing.replacement
    )
    return susceptible - int(rng.binomial(susceptible, miss))


def _pushed(
    mixing: Mixing, rng: np.random.Generator, gossiping: int, susceptible: int, left: int
) -> int:
    """Nodes among the `left` that pushes reach, sent to all the `susceptible` of the round."""
    others, kept = mixing.nodes - 1, 1.0 - mixing.loss_ratio
    if mixing.replacement or mixing.fan_out == 1:
        reached = rng.binomial(gossiping * mixing.fan_out, kept * left / others)
        return distinct(rng, int(reached), left)
    # Of a node's datagrams, so many reach susceptible nodes; those are distinct nodes.
    by_hits = rng.multinomial(gossiping, _hits(others, susceptible, mixing.fan_out, kept))
    new = 0
    for place in range(1, mixing.fan_out + 1):
        # The place-th of them is uniform over the susceptible without the node's earlier ones,
        # which are hit already.
        senders = int(by_hits[place:].sum())
        free = left - new
        if not senders or not free:
            break
        new += distinct(rng, int(rng.binomial(senders, free / (susceptible - place + 1))), free)
    return new


# In many runs of a small group the same numbers come again: 0.1 ms each without the cache.
@lru_cache(maxsize=8192)
def _miss(others: int, marked: int, fan_out: int, success: float, replacement: bool) -> float:
    return float(missed(others, marked, fan_out, success, replacement=replacement)[0])


@lru_cache(maxsize=8192)
def _hits(others: int, marked: int, fan_out: int, success: float) -> NDArray[np.float64]:
    chances = distinct_hits(others, marked, fan_out, success)[0]
    scaled: NDArray[np.float64] = chances / chances.sum()
    return scaled
