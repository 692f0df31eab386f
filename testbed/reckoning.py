"""What a network lost that nobody asked it to lose, reckoned up at moments of quiet.

Losses are laid to the time between two moments: what was excused, and where, changes from one to
the next. See `testbed.conservation.unasked` for what counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from testbed import conservation
from testbed.accounts import Terms
from topologies.graph import Graph


class Reckoning:
    """The complaints about one network so far, and what excuses the losses from now on."""

    def __init__(self, graph: Graph) -> None:
        self.complaints: list[str] = []
        self.excused = 0
        """Datagrams that found a socket full while a fault had stopped its agent."""
        self.unplugged: set[str] = set()
        """Hosts and routers at a link that a fault took down: what they lost was asked for."""
        self._graph = graph
        self._stood: Terms | None = None

    def reckon(self, stood: Terms, kills: Mapping[int, int]) -> None:
        """Complains of what was lost since the last moment; `kills` of agents are by node."""
        added = stood if self._stood is None else stood.since(self._stood)
        self.complaints += conservation.unasked(self._graph, added, kills, self.unplugged)
        overflows = sum(host.overflows for host in added.hosts.values()) - self.excused
        if overflows:
            self.complaints.append(f"{overflows} datagrams found the socket of their agent full")
        self.forgive(stood)

    def forgive(self, stood: Terms) -> None:
        """Begins anew, whatever was lost since the last moment."""
        self._stood, self.excused = stood, 0
