"""What every shaping backend offers: apply impairments to the ports of a router, read them back.

A port is one direction of one link: the device by which packets leave a router or, for what a host
sends, the one by which they come in. Loss towards a host sits on the port of its own access link
and nowhere else, so a packet meets it once, whether it comes from far away or, by hairpin through
the router, from the host's own subnet.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, Protocol

from testbed.errors import ShapingError
from topologies.elements import Impairment, link_device, router_port
from topologies.graph import Graph


@dataclass(frozen=True, slots=True)
class Port:
    """One direction of one link, named by a router and its device."""

    router: str
    device: str
    to: str
    """The host or router at the far end."""
    bridged: bool
    """Whether the device is a port of a subnet's bridge (towards a host) or a routed link."""
    impairment: Impairment
    inward: bool = False
    """Whether packets come in by the device, or leave by it."""
    far: str = ""
    """The device at the far end, for a backend that sends copies in from there."""
    later: tuple[Impairment, ...] = ()
    """What it may be changed to while traffic runs."""

    @property
    def way(self) -> str:
        """Device and direction in one word, unique in a router: `p3`, or `p3 in`."""
        return f"{self.device} in" if self.inward else self.device

    @property
    def words(self) -> str:
        return f"{self.router} {self.device} ({'from' if self.inward else 'towards'} {self.to})"


@dataclass(frozen=True, slots=True)
class Shaped:
    """What a backend did to the packets of one port since it was applied."""

    passed: int
    dropped: int
    dropped_udp: int | None
    """How many of `dropped` were UDP; None when the backend cannot tell."""
    full: int = 0
    """Dropped by a queue limit that was asked for, beside `dropped`."""
    full_udp: int = 0
    copies: int = 0
    """Of `passed`, those that shaping added."""
    copies_udp: int = 0
    held: int = 0
    stranded: int = 0
    """Dropped since their link went down while they waited, beside `dropped`."""
    stranded_udp: int = 0
    doubtful: int = 0
    """Packets that it may have copied or damaged without a count of its own."""
    emptied: int = 0
    """At most so many were lost, uncounted, with the queue of a link that went down."""

    @property
    def offered(self) -> int:
        ended = self.passed + self.dropped + self.full + self.stranded
        return ended + self.held - self.copies


class Backend(abc.ABC):
    """One way to impair packets with what the kernel has."""

    name: ClassVar[str]
    can: ClassVar[frozenset[str]]
    """The fields of Impairment that it can give."""
    resolution: ClassVar[float]
    """The largest difference between a ratio asked for and the one that the kernel holds."""
    changes: ClassVar[bool] = True
    """Whether it can impair a port in another way while traffic runs."""
    unlisted: ClassVar[frozenset[str]] = frozenset()
    """Fields that it gives and that cannot be read back."""

    @abc.abstractmethod
    def probe(self, netns: int) -> str | None:
        """Why this kernel cannot do it, with the remedy; None when it can.

        Tries it for real, in a namespace made for that.
        """

    @abc.abstractmethod
    def refusal(self, impairment: Impairment) -> str | None:
        """Why a value within `can` is out of reach, with the remedy; None when it is not."""

    def place(self, port: Port) -> Port:
        """Where this backend shapes a port: the port itself, or another that is met as well."""
        return port

    def fresh(self) -> Backend:
        """The backend for one network: itself, unless it has something to keep of each."""
        return self

    @abc.abstractmethod
    def apply(self, nodes: Nodes, node: str, ports: Sequence[Port], seed: int) -> None:
        """Replaces all that this backend shapes in a node's namespace. Raises ShapingError.

        `ports` are places of that node; `seed` is for a backend that draws by itself.
        """

    def apply_all(self, nodes: Nodes, ports: Mapping[str, Sequence[Port]], seed: int) -> None:
        """`apply` for every node, by its name."""
        for node, its_ports in ports.items():
            self.apply(nodes, node, its_ports, seed)

    @abc.abstractmethod
    def read_back(self, netns: int) -> dict[str, Impairment]:
        """What the kernel holds now, by `Port.way`; what is not shaped is not listed."""

    @abc.abstractmethod
    def counted(self, netns: int) -> dict[str, Shaped]:
        """Packets passed and dropped by `Port.way`; exact once traffic has stopped."""

    def change(self, netns: int, port: Port) -> None:
        """Impairs a port in another way; what is under way keeps its time. Raises ShapingError."""
        raise ShapingError(f"{port.words}: {self.name} cannot change while traffic runs")

    def going_down(self, netns: int, way: str) -> AbstractContextManager[None]:
        """A link goes down inside it: for a backend that loses what waits there, uncounted."""
        return nullcontext()

    def held(self, netns: int) -> int:
        """Packets that wait for their time in a node's namespace."""
        return sum(shaped.held for shaped in self.counted(netns).values())

    def dropped(self) -> dict[str, int]:
        """Packets, by node, that it had no time for."""
        return {}

    def late_ms(self) -> float:
        """By how much packets left after their time, at p99 of those since this was last asked.

        0 where none had to wait, and where the kernel lets them go and says nothing of it.
        """
        return 0.0

    def dead(self) -> str | None:
        """How the backend came to its end before the network's; None while it lives."""
        return None

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Lets go of what it keeps; the kernel's part goes with the namespaces."""


class Node(Protocol):
    """What shaping needs of a node: the descriptor of its network namespace."""

    @property
    def netns(self) -> int: ...


class Nodes(Protocol):
    """What shaping needs of a network: its nodes by name."""

    def get(self, name: str) -> Node: ...


def asked(impairment: Impairment) -> dict[str, float | str]:
    """The fields of an impairment that are not "none of it", by name."""
    return {
        field.name: getattr(impairment, field.name)
        for field in dataclasses.fields(impairment)
        if getattr(impairment, field.name) != field.default
    }


Later = Mapping[tuple[str, str], Sequence[Impairment]]
"""What ports may be changed to, by (router, `Port.way`)."""


def ports(graph: Graph, later: Later | None = None) -> Iterator[Port]:
    """Every port of the graph that asks for some impairment, now or later."""
    later = later or {}
    for port in _all_ports(graph):
        changes = tuple(later.get((port.router, port.way), ()))
        if asked(port.impairment) or changes:
            yield dataclasses.replace(port, later=changes)


def by_router(found: Sequence[Port]) -> Mapping[str, list[Port]]:
    grouped: dict[str, list[Port]] = {}
    for port in found:
        grouped.setdefault(port.router, []).append(port)
    return grouped


def _all_ports(graph: Graph) -> Iterator[Port]:
    router_of = {subnet.name: subnet.router for subnet in graph.subnets}
    for host in graph.hosts:
        router, device = router_of[host.subnet], router_port(host)
        yield Port(router, device, host.name, True, host.receive)
        yield Port(router, device, host.name, True, host.send, inward=True)
    for link in graph.links:
        yield Port(link.upper, link_device(link, "upper"), link.lower, False, link.down)
        yield Port(link.lower, link_device(link, "lower"), link.upper, False, link.up)
