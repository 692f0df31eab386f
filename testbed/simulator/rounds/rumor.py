"""The rumor-mongering family of Demers et al.: a node stops gossiping when it loses interest.

Source: Epidemic algorithms for replicated database maintenance, PODC 1987, and its corrected form
Xerox CSL-89-1, section 1.4. Cycles have a barrier; a contact is useful if its receiver was
susceptible at the cycle's start, so two that reach the same node in a cycle are both useful; a
node that learns the rumour acts from the next cycle on. An update travels from every hot
(infective) party of a conversation to the other, needed or not; the traffic counts these updates.

Choices that the paper leaves open, and which reproduce its tables 1 to 3 (docs/demers.md):
- The counter counts unnecessary contacts in a row: a useful one sets it back to 0.
- A node tests its interest once a cycle, however many came to it: if some contact was useful the
  counter goes to 0, else, if there was one, it goes up by 1 (or the coin is tossed). Blind, the
  test is made in every cycle in which the node sent an update.
- Pushing, hot nodes call; pulling and push-pull, everybody calls.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from testbed.errors import UsageError, near
from testbed.simulator.memory import check_memory
from testbed.simulator.mixing import PROTOCOLS
from testbed.simulator.rounds.contacts import connect
from testbed.simulator.rounds.uniform import blocks

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

_SUSCEPTIBLE, _HOT, _REMOVED, _DEAD = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rumor:
    """One update and how its spreaders lose interest. UsageError outside a field's domain."""

    nodes: int
    protocol: str = "push"
    """push, pull or push_pull."""
    k: int = 1
    """Interest tests lost until removal (counter), or its mean number (coin)."""
    feedback: bool = True
    """Test only after unnecessary contacts; False is blind, a test after every one."""
    coin: bool = False
    """Removed with chance 1/k at each test, instead of at the k-th test in a row."""
    limit: int | None = None
    """Incoming conversations that a node takes in a cycle; None for any number."""
    hunts: int = 0
    """Further partners that a rejected caller tries in the same cycle."""
    minimization: bool = False
    """If both parties are hot only the smaller counter rises (both if equal). Push-pull only."""
    loss_ratio: float = 0.0
    """Chance that an update is lost on its way, 0..1; its sender then learns nothing of it."""
    crashed: int = 0
    """Nodes dead from the start, which take no call; the others do not know it."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"unknown protocol: {self.protocol}; {near(self.protocol, PROTOCOLS)}")
        for name, low, high in (
            ("nodes", 2, 2**31),
            ("k", 1, 2**15 - 1),
            ("limit", 1, 2**31),
            ("hunts", 0, 10**6),
            ("loss_ratio", 0.0, 1.0),
            ("crashed", 0, self.nodes - 1),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} = {value} is not within {low}..{high}")
        if self.minimization and (self.protocol != "push_pull" or self.coin or not self.feedback):
            raise UsageError(
                "minimization compares counters: it needs push_pull, feedback, counter"
            )
        if self.feedback and self.loss_ratio == 1.0:
            raise UsageError("loss_ratio = 1: with feedback nobody would ever lose interest")
        if self.hunts and self.limit is None:
            raise UsageError(f"hunts = {self.hunts}: without a limit nobody is rejected; set limit")


@dataclass(frozen=True, slots=True)
class RumorOutcome:
    """Runs of one setting up to the end of the rumour, one entry a run."""

    residue: Floats
    """Fraction of the nodes (without the crashed ones) that never learn the update."""
    traffic: Floats
    """Updates sent per node (without the crashed ones)."""
    t_ave: Floats
    """Mean cycles until a node learns it, over those that do, without the source; nan if none."""
    t_ave_published: Floats
    """The same, but a node that several reach in the cycle it learns in counts once for each: the
    sum of the useful updates' cycles over the nodes that know. Tables 1 and 2 of the paper agree
    with this, not with `t_ave`; without push the two are the same but for the source."""
    t_last: Floats
    """Cycles until the last one learns it; 0 if none does."""
    cycles: Floats
    """Cycles until nobody is hot."""


def spread(rumor: Rumor, runs: int = 1, seed: int = 0) -> RumorOutcome:
    """Simulates independent runs; the same (rumor, runs, seed) gives the same outcome."""
    # State, counter, round 4; calls, partners and flows of a cycle some ten numbers of 8 bytes.
    check_memory(rumor.nodes, 90)
    parts = [_Block(rumor, size, rng).outcome() for size, rng in blocks(runs, rumor.nodes, seed)]
    return RumorOutcome(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(RumorOutcome)
        )
    )


class _Block:
    """Runs that advance together; node `n` of run `r` is number `r * nodes + n`."""

    def __init__(self, rumor: Rumor, runs: int, rng: np.random.Generator) -> None:
        self.rumor, self.runs, self.rng = rumor, runs, rng
        state = np.full((runs, rumor.nodes), _SUSCEPTIBLE, dtype=np.int8)
        state[:, rumor.nodes - rumor.crashed :] = _DEAD
        state[:, 0] = _HOT
        self.state = state.ravel()
        self.counter = np.zeros(len(self.state), dtype=np.int16)
        self.learned = np.zeros(len(self.state), dtype=np.int32)
        self.updates = np.zeros(runs, dtype=np.int64)
        self.cycles = np.zeros(runs, dtype=np.int64)
        self.useful_cycles = np.zeros(runs, dtype=np.int64)

    def outcome(self) -> RumorOutcome:
        cycle = 0
        hot = np.flatnonzero(self.state == _HOT)
        while len(hot):
            cycle += 1
            self._cycle(cycle, hot)
            hot = np.flatnonzero(self.state == _HOT)
            self.cycles[np.unique(hot // self.rumor.nodes)] = cycle
        alive = self.rumor.nodes - self.rumor.crashed
        learned = self.learned.reshape(self.runs, -1)
        reached = np.count_nonzero(learned, axis=1)
        total = learned.sum(axis=1)
        mean: Floats = np.divide(total, reached, out=np.full(self.runs, np.nan), where=reached > 0)
        return RumorOutcome(
            1.0 - (reached + 1) / alive,
            self.updates / alive,
            mean,
            self.useful_cycles / (reached + 1),
            learned.max(axis=1).astype(np.float64),
            (self.cycles + 1).astype(np.float64),
        )

    def _cycle(self, cycle: int, hot: Ints) -> None:
        rumor = self.rumor
        sender, receiver = self._flows(hot)
        self.updates += np.bincount(sender // rumor.nodes, minlength=self.runs)
        arrived = self.state[receiver] != _DEAD
        if rumor.loss_ratio:
            arrived &= self.rng.random(len(sender)) >= rumor.loss_ratio
        useful = arrived & (self.state[receiver] == _SUSCEPTIBLE)
        tested = arrived & ~useful if rumor.feedback else np.ones(len(sender), dtype=np.bool_)
        if rumor.minimization:
            both = self.state[receiver] == _HOT
            tested &= ~(both & (self.counter[receiver] < self.counter[sender]))
        self._lose_interest(sender[useful], sender[tested])
        new = receiver[useful]
        self.useful_cycles += cycle * np.bincount(new // rumor.nodes, minlength=self.runs)
        self.state[new] = _HOT
        self.learned[new] = cycle

    def _flows(self, hot: Ints) -> tuple[Ints, Ints]:
        """The updates of the cycle: (sender, receiver) of each."""
        rumor = self.rumor
        callers = hot
        if rumor.protocol != "push":
            going = np.unique(hot // rumor.nodes)
            callers = (going[:, None] * rumor.nodes + np.arange(rumor.nodes)).ravel()
            callers = callers[self.state[callers] != _DEAD]
        callers, partners = connect(
            self.rng, callers, rumor.nodes, self.runs, rumor.limit, rumor.hunts
        )
        if rumor.protocol == "push":
            return callers, partners
        answers = self.state[partners] == _HOT
        sender, receiver = partners[answers], callers[answers]
        if rumor.protocol == "push_pull":
            calls = self.state[callers] == _HOT
            sender = np.concatenate([sender, callers[calls]])
            receiver = np.concatenate([receiver, partners[calls]])
        return sender, receiver

    def _lose_interest(self, useful: Ints, tested: Ints) -> None:
        """Updates the interest of the senders, given for each contact; a node may come often."""
        rumor = self.rumor
        losing = np.zeros(len(self.state), dtype=np.bool_)
        losing[tested] = True
        if rumor.feedback:
            losing[useful] = False
            self.counter[useful] = 0
        losers = np.flatnonzero(losing)
        if rumor.coin:
            gone = losers[self.rng.random(len(losers)) * rumor.k < 1.0]
        else:
            self.counter[losers] += 1
            gone = losers[self.counter[losers] >= rumor.k]
        self.state[gone] = _REMOVED
