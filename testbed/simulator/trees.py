"""The way of a multicast through a simulated network: every link of the tree once.

As on emulated hosts, the own subnet gets it from its switch, without a router; everyone else by the
routers, each of which makes a copy for every output with members behind it. The core counts each
copy that it hands on, as the kernel's forward hook does: a packet with three outputs is counted
three times, once for each. What is lost on a link is lost for all behind it; what is lost on the
way into a host is its own loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.api import NodeId
from agents.groups import ALL
from testbed.medium import Medium
from testbed.simulator.hops import AT_ONCE, through
from topologies.graph import Graph

if TYPE_CHECKING:
    from testbed.simulator.paths import Crossing

Forwards = Callable[[str], bool]
"""Whether a router forwards a datagram; asked of a multicast for each copy that it makes."""

NO_LIMIT = 256
"""Over every TTL, and more routers than the deepest network has."""

Reached = list[tuple[NodeId, int]]
"""The nodes that a multicast gets to, and after how many nanoseconds."""

Late = Sequence[int]
"""When the copies of a multicast are at a place: most often one."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One output of a router: a subnet, or the link to another router."""

    router: str
    """Whose output it is."""
    port: Medium | None
    crossing: Crossing | None
    """Where it is counted; None but for the core."""
    nodes: range
    """Those of the subnet; none where it leads to a router."""
    branches: tuple[Branch, ...]
    """The outputs of that router."""


@dataclass(frozen=True, slots=True)
class Tree:
    """From the hosts of one subnet to a group."""

    nodes: range
    """Members in the own subnet, the sender among them."""
    branches: tuple[Branch, ...]
    """The outputs of the gateway."""
    sender: Callable[[NodeId], Medium | None]
    """What is met on the way out of a host."""
    receiver: Callable[[NodeId], Medium | None]
    """What is met on the way into a host."""

    def carry(
        self,
        sender: NodeId,
        kind: int,
        size: int,
        ttl: int | None,
        forwards: Forwards | None = None,
    ) -> Reached:
        """Whom a multicast gets to, never its sender; routers forward all unless asked."""
        walk = _Walk(self.receiver, kind, size, forwards)
        late, bad = walk.pass_on(self.sender(sender), AT_ONCE, [])
        walk.arrive(self.nodes, sender, late)
        walk.forward(self.branches, NO_LIMIT if ttl is None else ttl, late, bad)
        return walk.reached


class _Walk:
    """One multicast on its way. Corrupted copies go on, and nobody takes them."""

    def __init__(
        self,
        receiver: Callable[[NodeId], Medium | None],
        kind: int,
        size: int,
        forwards: Forwards | None,
    ) -> None:
        self.receiver = receiver
        self.what = kind, size
        self.forwards = forwards
        self.reached: Reached = []

    def pass_on(self, port: Medium | None, late: Late, bad: Late) -> tuple[Late, Late]:
        """The copies, good and bad, after one port more."""
        if port is None:
            return late, bad
        worse = list(bad)
        return through(port, late, self.what[1], worse), worse

    def forward(self, branches: tuple[Branch, ...], ttl: int, late: Late, bad: Late) -> None:
        copies = len(late) + len(bad)
        if ttl < 2 or not copies:
            return
        for branch in branches:
            if branch.crossing is not None:
                tally = branch.crossing.tally
                tally[self.what] = tally.get(self.what, 0) + copies
            good, worse = (self.forwarded(branch.router, each) for each in (late, bad))
            further, worse = self.pass_on(branch.port, good, worse)
            self.arrive(branch.nodes, -1, further)
            self.forward(branch.branches, ttl - 1, further, worse)

    def forwarded(self, router: str, copies: Late) -> Late:
        """Those of the copies for one output that the router lets pass."""
        if self.forwards is None:
            return copies
        return [late_ns for late_ns in copies if self.forwards(router)]

    def arrive(self, nodes: range, sender: NodeId, late: Late) -> None:
        for node in nodes:
            if node != sender:
                good, _ = self.pass_on(self.receiver(node), late, [])
                self.reached += [(node, late_ns) for late_ns in good]


def grow(
    graph: Graph,
    home: int,
    group: int,
    port: Callable[[str, str], Medium | None],
    crossing: Callable[[str, str], Crossing],
    sender: Callable[[NodeId], Medium | None],
    receiver: Callable[[NodeId], Medium | None],
) -> Tree:
    """The tree from subnet number `home` of the graph to a group of `agents.groups`.

    `port` is asked for the link from one router to the next, `crossing` for a way through the core.
    """
    spans = {subnet.name: graph.span(subnet.name) for subnet in graph.subnets}
    ordered = sorted(spans, key=lambda name: spans[name].start)
    members = set(ordered) if group == ALL else {ordered[group - 1]}
    here = graph.subnets[home].name
    gateway = graph.subnets[home].router

    def outputs(router: str, source: str, above: str | None) -> Iterator[Branch]:
        at_core = router == graph.core.name
        for subnet in graph.subnets_of(router):
            if subnet.name in members and subnet.name != here:
                way = crossing(source, subnet.name) if at_core else None
                yield Branch(router, None, way, spans[subnet.name], ())
        for following in graph.neighbours(router):
            if following == above:
                continue
            # Where a packet comes from, as the counters of the core name it.
            came = router if following == graph.core.name else ""
            further = tuple(outputs(following, came, router))
            if further:
                way = crossing(source, following) if at_core else None
                yield Branch(router, port(router, following), way, range(0), further)

    nodes = spans[here] if here in members else range(0)
    return Tree(nodes, tuple(outputs(gateway, here, None)), sender, receiver)
