"""The state of every node in a block of runs that advance together.

Many runs of a small group are one flat array, run after run, so that a group of 64 costs NumPy no
more per node than one of 10^6. Node `n` of run `r` is number `r * nodes + n`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testbed.simulator.outcome import Outcome

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SUSCEPTIBLE = -1
DEAD = -2

# Senders handled at once: their targets and random numbers then stay in the processor's caches.
CHUNK = 1 << 16


class Population:
    """Who is infected since when, who gossips, and the curves so far."""

    def __init__(
        self, runs: int, nodes: int, dead: Bools, sources: Ints, *, run_on: bool = False
    ) -> None:
        """`dead` [runs * nodes] can never be infected; `sources` are infected at the start.

        With `run_on` a run goes on when everyone is infected.
        """
        self.runs, self.nodes, self.run_on = runs, nodes, run_on
        self.round = 0
        self.state = np.full(runs * nodes, SUSCEPTIBLE, dtype=np.int16)
        self.state[dead] = DEAD
        self.state[sources] = 0
        self.active = np.sort(sources)
        """Infected nodes that gossip, of the runs that go on."""
        self.alive = nodes - int(dead.sum()) // runs
        self.done = np.zeros(runs, dtype=np.bool_)
        reached = self.per_run(sources)
        self._infected, self._sends = [reached], [np.zeros(runs, dtype=np.int64)]
        self._close(reached)

    @property
    def silent(self) -> Ints:
        """Infected nodes of each run that gossip no more."""
        return self._infected[-1] - self.per_run(self.active)

    def per_run(self, ids: Ints) -> Ints:
        """How many of the nodes belong to each run."""
        if self.runs == 1:
            return np.array([len(ids)])
        return np.bincount(ids // self.nodes, minlength=self.runs)

    def base(self, ids: Ints) -> Ints | int:
        """The number of the first node of each one's run."""
        return 0 if self.runs == 1 else ids // self.nodes * self.nodes

    def drop(self, gone: Bools) -> None:
        """Silences those active nodes for good."""
        if gone.any():
            self.active = self.active[~gone]

    def infect(self, targets: Ints) -> Ints:
        """Infects the susceptible ones among the targets, who act from the next round on.

        Returns the newly infected, each once.
        """
        fresh: Ints = targets[self.state[targets] == SUSCEPTIBLE]
        # By hand: np.unique hashes integers since NumPy 2.3, which takes eight times as long.
        fresh.sort()
        fresh = fresh[np.append(fresh[1:] != fresh[:-1], True)[: len(fresh)]]
        self.state[fresh] = self.round + 1
        return fresh

    def end_round(self, new: Ints, sends: Ints) -> None:
        """Counts the newly infected and each run's sends, and stops the runs that are over."""
        self.round += 1
        reached = self._infected[-1] + self.per_run(new)
        self._infected.append(reached)
        self._sends.append(self._sends[-1] + sends)
        self.active = np.concatenate([self.active, new])
        self._close(reached)

    def _close(self, reached: Ints) -> None:
        over = self.per_run(self.active) == 0
        if not self.run_on:
            over |= reached == self.alive
        if (over & ~self.done).any():
            self.done |= over
            self.drop(self.done[self.active // self.nodes])

    def outcome(self, *, keep_nodes: bool) -> Outcome:
        """The curves so far, and with `keep_nodes` each node's round of infection."""
        return Outcome(
            self.alive,
            np.stack(self._infected, axis=1),
            np.stack(self._sends, axis=1),
            self.state.reshape(self.runs, self.nodes) if keep_nodes else None,
        )
