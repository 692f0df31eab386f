"""What the kernel and the agents count: the terms of packet conservation, and their differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Loss:
    """What shaping did to the packets of one port, those that it merely delayed left out."""

    udp: int | None = 0
    """Of `packets`, those that were UDP; None where the backend cannot tell."""
    packets: int = 0
    """Lost."""
    full: int = 0
    """Datagrams that found the queue full, which was given a limit."""
    copies: int = 0
    """Datagrams that it made of others."""
    stranded: int = 0
    """Datagrams that waited for their time when their link went down."""
    doubtful: int = 0
    """Packets that it may have copied or damaged, which it does not count."""
    emptied: int = 0
    """At most so many packets waited for a link that went down, and are not counted."""

    def split(self, others: int) -> tuple[int, int]:
        """Datagrams surely lost, and those that may have been, given what else crossed the port."""
        if self.udp is not None:
            return self.udp, self.doubtful
        surely = max(0, self.packets - others)
        return surely, self.packets - surely + self.doubtful


@dataclass(frozen=True, slots=True)
class HostTerms:
    """What the kernel says of one host and of its access link. Counts of datagrams are of UDP."""

    sent: int = 0
    looped: int = 0
    """Of `sent`, those to the host itself."""
    read: int = 0
    no_port: int = 0
    errors: int = 0
    """Refused by the socket: its buffer was full, or the checksum was wrong."""
    overflows: int = 0
    """Of `errors`, those for a full buffer."""
    offered: int = 0
    """What the router had for this host, before loss."""
    offered_other: int = 0
    """Packets of all other kinds that the router had for it."""
    lost: Loss = Loss()
    """By shaping, on the way to the host."""
    lost_up: Loss = Loss()
    """By shaping, on the way from the host to its router."""
    cut: int = 0
    """Dropped on the way to it by the rules of a fault: a partition, a fault's loss."""
    dropped_up: int = 0
    """Packets dropped by devices and by the host's own IP layer on the way to the router."""
    dropped_down: int = 0


@dataclass(frozen=True, slots=True)
class PortTerms:
    """What became of packets on a link between routers, in the direction away from one of them."""

    lost: Loss = Loss()
    dropped: int = 0
    """Packets dropped by the devices at both ends."""


@dataclass(frozen=True, slots=True)
class Fanned:
    """Multicasts at one router, so far."""

    arrived: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """By side and group, those that may go on."""
    ended: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """By side and group, those whose TTL ends here."""
    forwarded: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Copies by (input, output)."""
    withheld: Mapping[str, int] = field(default_factory=dict)
    """By side, copies at most that were not made since a fault had taken a link down there."""


@dataclass(frozen=True, slots=True)
class RouterTerms:
    """What the kernel says of one router."""

    forwarded: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Datagrams of the testbed by (input, output), as `testbed.counters` names them."""
    cut: Mapping[str, int] = field(default_factory=dict)
    """Datagrams of `forwarded` that the rules of a fault dropped then, by output."""
    refused: int = 0
    """Packets that its IP layer did not forward: no route, TTL at its end, bad header."""
    others: int = 0
    """Packets forwarded that were no datagrams of the testbed."""
    ports: Mapping[str, PortTerms] = field(default_factory=dict)
    """Its links, by device."""
    fanned: Fanned = Fanned()
    """Its multicasts, which are among those `forwarded`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """All that the kernel counted, cumulative; `since` gives what a stretch of time added."""

    hosts: Mapping[str, HostTerms]
    routers: Mapping[str, RouterTerms]
    room: int = 0
    """Datagrams at most that the socket of an agent holds, and that are lost when it is killed."""

    def since(self, earlier: Terms) -> Terms:
        return Terms(
            {name: _host_since(terms, earlier.hosts[name]) for name, terms in self.hosts.items()},
            {
                name: _router_since(terms, earlier.routers[name])
                for name, terms in self.routers.items()
            },
            self.room,
        )


@dataclass(frozen=True, slots=True)
class AgentTerms:
    """What an agent's own trace says."""

    sent: int
    """Sends that the kernel took."""
    received: int
    """Datagrams read from the socket, those that were then refused included."""
    kills: int = 0
    """Times that it was killed: each may leave datagrams unread and one event unrecorded."""


def _host_since(later: HostTerms, earlier: HostTerms) -> HostTerms:
    numbers = {
        each.name: getattr(later, each.name) - getattr(earlier, each.name)
        for each in fields(HostTerms)
        if each.name not in ("lost", "lost_up")
    }
    return HostTerms(
        **numbers,
        lost=_loss_since(later.lost, earlier.lost),
        lost_up=_loss_since(later.lost_up, earlier.lost_up),
    )


def _router_since(later: RouterTerms, earlier: RouterTerms) -> RouterTerms:
    return RouterTerms(
        _since(later.forwarded, earlier.forwarded),
        _since(later.cut, earlier.cut),
        later.refused - earlier.refused,
        later.others - earlier.others,
        {
            device: PortTerms(
                _loss_since(port.lost, earlier.ports[device].lost),
                port.dropped - earlier.ports[device].dropped,
            )
            for device, port in later.ports.items()
        },
        Fanned(
            _since(later.fanned.arrived, earlier.fanned.arrived),
            _since(later.fanned.ended, earlier.fanned.ended),
            _since(later.fanned.forwarded, earlier.fanned.forwarded),
            _since(later.fanned.withheld, earlier.fanned.withheld),
        ),
    )


def _since(later: Mapping[Key, int], earlier: Mapping[Key, int]) -> dict[Key, int]:
    return {key: packets - earlier.get(key, 0) for key, packets in later.items()}


def _loss_since(later: Loss, earlier: Loss) -> Loss:
    udp = None if later.udp is None or earlier.udp is None else later.udp - earlier.udp
    return Loss(
        udp,
        later.packets - earlier.packets,
        later.full - earlier.full,
        later.copies - earlier.copies,
        later.stranded - earlier.stranded,
        later.doubtful - earlier.doubtful,
        later.emptied - earlier.emptied,
    )
