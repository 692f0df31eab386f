"""What the engines of synchronous rounds return: curves, one row a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Runs of one setting. A run ends when everyone is infected or nobody gossips any more."""

    alive: int
    """Nodes that can be infected."""
    infected: Ints
    """[run, round]: nodes infected by the end of the round; round 0 is the start. Nodes that
    crash later stay counted. Constant after the run's end."""
    sends: Ints
    """[run, round]: datagrams sent up to the end of the round to contact another node: pushes,
    pull requests or calls. Answers are not counted."""
    infected_round: NDArray[np.int16] | None = None
    """[run, node]: the round of a node's infection, -1 never, -2 dead from the start."""

    @property
    def runs(self) -> int:
        return len(self.infected)

    def rounds_to(self, target: int) -> Floats:
        """The first round after which `target` nodes are infected, a run each; inf if never."""
        reached = self.infected >= target
        first: Floats = reached.argmax(axis=1).astype(np.float64)
        first[~reached.any(axis=1)] = np.inf
        return first

    @property
    def rounds_to_all(self) -> Floats:
        """Rounds until all are infected, inf if some never are."""
        return self.rounds_to(self.alive)

    @property
    def rounds_to_half(self) -> Floats:
        """Rounds until at least half of them are infected, inf if never."""
        return self.rounds_to((self.alive + 1) // 2)

    @property
    def residue(self) -> Floats:
        """The fraction never infected, 0..1."""
        return 1.0 - self.infected[:, -1] / self.alive

    @property
    def total_sends(self) -> Ints:
        """Datagrams up to the end of the round in which the run ended."""
        return self.sends[:, -1]


def join(alive: int, parts: list[Outcome]) -> Outcome:
    """Puts blocks of runs under each other; a shorter block's last values are repeated."""
    length = max(part.infected.shape[1] for part in parts)

    def stretch(curve: Ints) -> Ints:
        return np.pad(curve, ((0, 0), (0, length - curve.shape[1])), mode="edge")

    rounds = [part.infected_round for part in parts if part.infected_round is not None]
    return Outcome(
        alive,
        np.concatenate([stretch(part.infected) for part in parts]),
        np.concatenate([stretch(part.sends) for part in parts]),
        np.concatenate(rounds) if rounds else None,
    )
