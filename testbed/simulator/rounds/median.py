"""Push-pull with the median-counter rule in synchronous rounds, many nodes at once.

The rule is that of `agents.parts.median_counter`: the same states, and what was heard in a round
takes effect when the next begins. Every node calls one other in each round; a transmission is a
copy of the rumor, by a caller or in answer to a call. Left out: loss, several rumors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.parts.median_counter import limit, patience

UNHEARD, SILENT, COOLING = 0, -1, 1 << 20


@dataclass(frozen=True)
class Told:
    """Of each run: copies of the rumor sent, nodes never reached, and rounds until silence."""

    transmissions: NDArray[np.float64]
    missed: NDArray[np.int64]
    rounds: NDArray[np.int64]


def spread(nodes: int, runs: int, seed: int, *, most: int = 0) -> Told:
    """Draws runs of one rumor from one node; `most` is the limit, 0 for that of the protocol."""
    rng = np.random.default_rng(seed)
    found = [_run(nodes, rng, most or limit(nodes)) for _ in range(runs)]
    sent, missed, rounds = (np.array(column) for column in zip(*found, strict=True))
    return Told(sent.astype(np.float64), missed, rounds)


def _run(nodes: int, rng: np.random.Generator, most: int) -> tuple[int, int, int]:
    state = np.zeros(nodes, dtype=np.int64)  # a counter in state B
    cooled = np.zeros(nodes, dtype=np.int64)
    state[0] = 1
    me = np.arange(nodes)
    spread_for = np.zeros(nodes, dtype=np.int64)
    sent = rounds = 0
    while (state > 0).any():
        rounds += 1
        called = rng.integers(0, nodes - 1, nodes)
        called += called >= me
        theirs = state[called]
        active, answers = state > 0, theirs > 0
        sent += int(active.sum()) + int(answers.sum())
        partners = 1 + np.bincount(called, minlength=nodes)
        higher = np.bincount(called[active & (state >= theirs)], minlength=nodes)
        higher += answers & (theirs >= state)
        cooling = theirs == COOLING
        cooling[called[state == COOLING]] = True
        heard = answers
        heard[called[active]] = True
        new = (state == UNHEARD) & heard
        cold = state == COOLING
        warm = (state > 0) & ~cold
        rises = warm & (2 * higher > partners)
        state[rises] += 1
        state[warm & (cooling | (state > most))] = COOLING
        cooled[cold] += 1
        spread_for[active] += 1
        state[cold & (cooled >= most)] = SILENT
        state[active & (spread_for >= patience(nodes))] = SILENT
        state[new] = np.where(cooling[new], COOLING, 1)
    return sent, int((state == UNHEARD).sum()), rounds
