"""What the agents of a session are told of a run, and what is known of the session at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents.streams import due_ns


@dataclass(frozen=True, slots=True)
class Order:
    """What every agent is told of a run. `sources` are node numbers, or "all"."""

    run: int
    seed: int
    protocol: str
    options: dict[str, Any]
    timing: str
    round_s: float
    sources: list[int] | str
    payload_bytes: int
    messages: int = 1
    interval_s: float = 0.0
    warm_up_s: float = 0.0
    settle: bool = False
    """Whether agents report when they have all of a stream; see `Session.settlements`."""

    @property
    def first_ns(self) -> int:
        """When the first multicast of a source is due, since the start of the run."""
        return due_ns(0, self.interval_s, self.warm_up_s)


@dataclass(frozen=True, slots=True)
class SessionReport:
    """What is known once the agents are gone: why the session may not be trusted, and facts."""

    complaints: list[str]
    facts: dict[str, Any]
