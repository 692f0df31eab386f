"""What an epidemic of synchronous rounds with uniform targets is: the engines' common input.

Model: rounds with a barrier (SYNC); every node acts on the state at the round's start and draws
its targets among all the others, dead ones included. The per-node engine (`rounds.uniform`), the
counts engine (`counts`) and the exact chains (`testbed.theory`) all mean the same by these fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.errors import UsageError, near

PROTOCOLS = ("push", "pull", "push_pull")

# The per-node engine stores the round of each node's infection in 16 bits.
LAST_ROUND = 32_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """One multicast by uniform gossip. UsageError for a value outside its domain."""

    nodes: int
    protocol: str = "push"
    """push, pull or push_pull."""
    fan_out: int = 1
    """Targets that a node draws in a round."""
    replacement: bool = False
    """Whether a node may draw the same target twice in a round."""
    loss_ratio: float = 0.0
    """Chance that a datagram is lost, 0..1, each by itself."""
    legs: int = 2
    """Datagrams of a pull that can be lost: 2 (request and answer) or 1."""
    crashed: int = 0
    """Nodes dead from the start; the others do not know it. Never a source."""
    crash_ratio: float = 0.0
    """Chance that an infected node crashes at the start of a round, before it acts, 0..1."""
    own_rounds: int | None = None
    """Rounds that a node gossips after its infection; None for ever. Push only."""
    sources: int = 1
    """Nodes infected at the start."""
    max_rounds: int = LAST_ROUND
    """Rounds after which a run ends whatever its state."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"unknown protocol: {self.protocol}; {near(self.protocol, PROTOCOLS)}")
        self._between("nodes", 2, 2**40)
        self._between("fan_out", 1, 2**16 if self.replacement else self.nodes - 1)
        self._between("loss_ratio", 0.0, 1.0)
        self._between("legs", 1, 2)
        self._between("crashed", 0, self.nodes - 1)
        self._between("crash_ratio", 0.0, 1.0)
        self._between("sources", 1, self.alive)
        self._between("max_rounds", 1, LAST_ROUND)
        if self.own_rounds is not None:
            if self.protocol != "push":
                raise UsageError(f"own_rounds = {self.own_rounds}: only push falls silent; drop it")
            self._between("own_rounds", 1, LAST_ROUND)
        endless = self.own_rounds is None and not self.crash_ratio and self.alive > self.sources
        if self.loss_ratio == 1.0 and endless and self.max_rounds == LAST_ROUND:
            raise UsageError("loss_ratio = 1: nothing gets through, for ever; set max_rounds")

    @property
    def alive(self) -> int:
        """Nodes that can be infected."""
        return self.nodes - self.crashed

    @property
    def pushes(self) -> bool:
        return self.protocol != "pull"

    @property
    def pulls(self) -> bool:
        return self.protocol != "push"

    @property
    def pull_success(self) -> float:
        """The chance that a pull from a gossiping node is answered."""
        return (1.0 - self.loss_ratio) ** self.legs

    def _between(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:  # false for nan too
            raise UsageError(f"{name} = {value} is not within {low}..{high}")
