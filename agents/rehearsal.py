"""Runs every protocol once before it counts, so that a run finds everything warm.

Python writes to what it uses for the first time: it specialises bytecode, fills caches, interns
strings. Rehearsed in the zygote, those pages stay shared with the agents. An agent rehearses once
more: so it takes its own copies of the pages that it writes to (reference counts) before a run, and
not at the start of one, when a thousand do so at once and delay each other's rounds.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Sequence
from time import monotonic_ns, time_ns
from typing import Any, cast

from agents import registry
from agents.hosts import Hosts
from agents.runner import SO_TIMESTAMPNS, STAMP, Runner
from agents.trace import Trace

NODES = 8
ROUNDS = 40  # Python 3.11 specialises a function after 8 calls or loops, and again when it misses

ROUND_NS = 1_000_000_000
START = {
    "do": "start",
    "seed": 1,
    "options": {},
    "timing": "free",
    "round_s": 1.0,
    "sources": [0],
}


class Loop:
    """Stands for a UDP socket: what is sent to anybody comes back."""

    def __init__(self) -> None:
        self.queue: deque[bytes] = deque()

    def fileno(self) -> int:
        return -1

    def setsockopt(self, level: int, option: int, value: int) -> None:
        pass

    def sendto(self, datagram: bytes, address: tuple[str, int]) -> None:
        self.queue.append(datagram)

    def recvmsg(self, size: int, space: int) -> tuple[bytes, list[Any], int, tuple[str, int]]:
        if not self.queue:
            raise BlockingIOError
        stamp = STAMP.pack(*divmod(time_ns(), 1_000_000_000))
        ancillary = [(socket.SOL_SOCKET, SO_TIMESTAMPNS, stamp)]
        return self.queue.popleft(), ancillary, 0, ("127.0.0.1", 9000)


class Stage:
    """What a rehearsal needs; made once, before the fork, so that agents need not."""

    def __init__(self, protocols: Sequence[str]) -> None:
        self.protocols = protocols
        hosts = Hosts.make([f"127.0.0.{node + 1}" for node in range(NODES)])
        self.network = Loop()
        self.runner = Runner(0, hosts, cast(socket.socket, self.network))
        self.runner.trace = Trace("/dev/null")
        self.casts = any(registry.load(name).protocol.GROUPS for name in protocols)
        """Whether any of the protocols sends to groups."""

    def play(self, rounds: int = ROUNDS) -> None:
        """Plays one node's part in a run of each protocol, with nobody and for no one."""
        runner = self.runner
        for number, name in enumerate(self.protocols):
            at_ns = monotonic_ns() - rounds * ROUND_NS
            start = {**START, "run": number, "protocol": name, "at_ns": at_ns}
            runner.command(json.loads(json.dumps(start)))
            for _ in range(rounds):
                runner.fire(monotonic_ns())
                runner.receive()
            runner.command({"do": "stop", "run": number})
        self.network.queue.clear()
        runner.outbox.clear()
        runner.wakes.clear()
