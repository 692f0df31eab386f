"""The loop of a batch of emulated multicasts: each is started, has its faults, and ends.

A run is over when all its correct nodes have the multicast, nothing is to come that brings nodes
back, and it has lingered; or at the horizon.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from testbed.experiment import Cell
from testbed.faults.batches import Batch
from testbed.faults.hosts import Player
from testbed.replicates import Replicate, concurrency
from testbed.session import Session

PATIENCE_S = 0.02
"""The longest wait for a word of the agents, so that a death is heard of."""


class Dissemination:
    """One batch on a session that is up."""

    def __init__(self, session: Session, batch: Batch, cell: Cell, round_s: float) -> None:
        self.player = Player(session, cell.faults, batch.timeline, round_s)
        self._session = session
        self._batch = batch
        self._nodes = cell.nodes
        self._horizon_ns = int(cell.run.horizon_rounds * round_s * 1e9)
        self._linger_ns = int(cell.run.linger_rounds * round_s * 1e9)
        self._at_once = min(concurrency(cell, round_s), len(batch.replicates))
        self._pause_s = round_s / self._at_once
        self._waiting = deque(batch.replicates)
        self._active: dict[int, Replicate] = {}
        self._has: dict[int, set[int]] = {}
        self._complete_ns: dict[int, int] = {}

    def play(self, start: Callable[[list[Replicate]], None], over: Callable[[int], None]) -> None:
        """Runs the batch to its end.

        `start` orders runs and notes their start, `over` is told how many have ended.
        """
        self.player.begin()
        if self._batch.timeline.settled:
            # One new multicast at a time, at most a round's worth in a round, keeps the load even.
            next_start = time.monotonic()
            while self._waiting or self._active:
                if len(self._active) < self._at_once and time.monotonic() >= next_start:
                    self._begin(start, 1)
                    next_start = time.monotonic() + self._pause_s
                self._listen(self._pause_s)
                over(self._stop())
        else:
            self._begin(start, len(self._waiting))
            while self._active:
                self._listen(self.player.next_s - self.player.seconds())
                self.player.advance()
                over(self._stop())
        self.player.end()

    def _begin(self, start: Callable[[list[Replicate]], None], count: int) -> None:
        started = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        if started:
            start(started)
            self.player.start_ns = self._batch.replicates[0].start_ns
        for replicate in started:
            self._active[replicate.order.run] = replicate
            self._has[replicate.order.run] = set()

    def _listen(self, patience_s: float) -> None:
        for run, node in self._session.infections(max(0.0, min(patience_s, PATIENCE_S))):
            if run in self._active:
                self._has[run].add(node)
                fraction = len(self._has[run]) / self._nodes
                self.player.playback.reached(fraction, self.player.seconds())
        for death in self._session.deaths():
            for replicate in self._active.values():
                replicate.reasons.append(death)

    def _stop(self) -> int:
        """Ends the runs that are over; returns their number."""
        now_ns = time.monotonic_ns()
        ended = []
        for run, replicate in self._active.items():
            mine = self.player.state.correct(self._batch.source(replicate))
            whole = not self.player.playback.returning and mine <= self._has[run]
            if whole:
                self._complete_ns.setdefault(run, now_ns)
            else:
                self._complete_ns.pop(run, None)
            enough = now_ns >= self._complete_ns.get(run, now_ns + 1) + self._linger_ns
            late = now_ns > replicate.start_ns + self._horizon_ns
            if enough or late or replicate.reasons:
                replicate.faulty = frozenset(range(self._nodes)) - mine
                replicate.stop_ns = now_ns
                ended.append(run)
        if ended:
            self._session.stop(ended)
            for run in ended:
                del self._active[run], self._has[run]
                self._complete_ns.pop(run, None)
        return len(ended)
