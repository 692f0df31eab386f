"""When a network has come to rest: no link holds a packet, and no count of datagrams moves.

A link with a rate works off what it holds by itself, however long that takes: the wait begins anew
whenever links hold fewer packets than ever before. It ends for what does not come to rest: agents
that send on, or a link that lets nothing go.
"""

from __future__ import annotations

from math import inf


class Rest:
    """One wait for it, told of one look at the network after the other. Times are in seconds."""

    def __init__(self, patience_s: float) -> None:
        """`patience_s` is how long it waits while links hold no fewer packets."""
        self.complaint = ""
        """Why it has waited in vain."""
        self._patience_s = patience_s
        self._until_s = self._fewest = inf
        self._datagrams: tuple[int, ...] | None = None

    def awaited(self, now_s: float, held: int, datagrams: tuple[int, ...]) -> bool:
        """Whether to go on waiting; `held` was seen before the counts `datagrams`."""
        moved, self._datagrams = datagrams != self._datagrams, datagrams
        if not (held or moved):
            return False
        if held < self._fewest:
            self._fewest, self._until_s = held, now_s + self._patience_s
        if now_s <= self._until_s:
            return True
        self.complaint = (
            f"links held {held} packets after the end of a run, and no fewer for "
            f"{self._patience_s:.0f} s: a rate is too low for what is sent, or agents sent on"
            if held
            else f"datagrams still moved {self._patience_s:.0f} s after the end of a run: the "
            "agents had no processor time to hear of it"
        )
        return False
