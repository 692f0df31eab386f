"""The epidemic of synchronous rounds as a Markov chain on the number of infected nodes.

Model: rounds with a barrier, in which every node acts on the state at the round's start; uniform
targets among all the others; the infected stay infected. Then the number of infected nodes is all
that the future depends on [Kemeny & Snell, Finite Markov Chains, 1960], so every distribution is
exact: no sampling, no mean field. Nodes that crashed before the start never answer, but the others
still choose them.

Leaves out: timers that are not synchronous, nodes that stop gossiping, crashes on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A kernel takes 8 * nodes^2 bytes and time in proportion to nodes^3: 34 MB and half a minute here.
MAX_NODES = 2048


@dataclass(frozen=True, slots=True)
class Chain:
    """`kernel[i, j]` is the probability that i infected nodes become j in one round."""

    kernel: Floats

    @property
    def alive(self) -> int:
        """The nodes that can be infected: all but the crashed ones."""
        return len(self.kernel) - 1

    def infected(self, rounds: int, sources: int = 1) -> Floats:
        """The distribution of the number infected, one row for each of round 0..rounds."""
        rows = np.zeros((rounds + 1, self.alive + 1))
        rows[0, self._checked(sources)] = 1.0
        for number in range(rounds):
            rows[number + 1] = rows[number] @ self.kernel
        return rows

    def mean_infected(self, rounds: int, sources: int = 1) -> Floats:
        """The expected number infected after each of round 0..rounds."""
        curve: Floats = self.infected(rounds, sources) @ np.arange(self.alive + 1)
        return curve

    def mean_missing(self, rounds: int, sources: int = 1) -> Floats:
        """The expected number not infected; keeps its digits where it is far below 1."""
        curve: Floats = self.infected(rounds, sources) @ np.arange(self.alive, -1, -1)
        return curve

    def rounds_to(self, target: int, sources: int = 1, tail: float = 1e-12) -> Floats:
        """The probabilities that `target` nodes are first infected after round 0, 1, 2, ...

        Stops when less than `tail` is left, and scales that away: the entries add up to 1.
        ValueError when the target cannot be reached at all (all datagrams lost).
        """
        if not 0 < target <= self.alive:
            raise ValueError(f"target = {target} is not within 1..{self.alive}")
        state = np.zeros(self.alive + 1)
        state[self._checked(sources)] = 1.0
        reached = [float(state[target:].sum())]
        while reached[-1] < 1.0 - tail:
            state = state @ self.kernel
            reached.append(float(state[target:].sum()))
            if len(reached) > 20 and state[sources] > 1.0 - 1e-15:
                raise ValueError(f"target = {target} is never reached: nothing gets through")
        pmf = np.diff(np.asarray(reached), prepend=0.0)
        scaled: Floats = pmf / pmf.sum()
        return scaled

    def rounds_to_all(self, sources: int = 1) -> Floats:
        """The probabilities that the last node is infected in round 0, 1, 2, ..."""
        return self.rounds_to(self.alive, sources)

    def rounds_to_half(self, sources: int = 1) -> Floats:
        """The same for the first round after which at least half of the nodes are infected."""
        return self.rounds_to((self.alive + 1) // 2, sources)

    def _checked(self, sources: int) -> int:
        if not 0 < sources <= self.alive:
            raise ValueError(f"sources = {sources} is not within 1..{self.alive}")
        return sources


def mean(pmf: Floats) -> float:
    """The mean of a distribution over 0, 1, 2, ...: mean([0, 0.5, 0.5]) = 1.5"""
    return float(pmf @ np.arange(len(pmf)))


def sd(pmf: Floats) -> float:
    """The standard deviation of a distribution over 0, 1, 2, ...: sd([0, 0.5, 0.5]) = 0.5"""
    values = np.arange(len(pmf))
    return float(np.sqrt(pmf @ (values - mean(pmf)) ** 2))


def quantile(pmf: Floats, level: float) -> int:
    """The smallest value that is not exceeded with probability `level`, 0..1.

    quantile([0, 0.5, 0.5], 0.9) = 2
    """
    return int(np.searchsorted(np.cumsum(pmf), level - 1e-12))


def check_nodes(nodes: int, crashed: int) -> int:
    """The number alive; raises ValueError outside 2 <= nodes <= MAX_NODES, 0 <= crashed < nodes."""
    if not 2 <= nodes <= MAX_NODES:
        raise ValueError(
            f"nodes = {nodes} is not within 2..{MAX_NODES}; sample larger groups with "
            "testbed.simulator.counts"
        )
    if not 0 <= crashed < nodes:
        raise ValueError(f"crashed = {crashed} is not within 0..{nodes - 1}")
    return nodes - crashed
