"""Shaping as it stands on a live network: applied, read back from the kernel, counted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from testbed.errors import ShapingError
from testbed.shaping.interface import Backend, Port, Shaped, asked, by_router, ports
from testbed.shaping.pick import choose
from topologies.elements import Impairment
from topologies.graph import Graph


class Node(Protocol):
    """What shaping needs of a node: the descriptor of its network namespace."""

    @property
    def netns(self) -> int: ...


class Nodes(Protocol):
    """What shaping needs of a network: its nodes by name."""

    def get(self, name: str) -> Node: ...


class Shaping:
    """The impairments of one network. `backend` is "none" where the graph asks for nothing."""

    def __init__(self, net: Nodes, backend: Backend | None, wanted: Sequence[Port]) -> None:
        self.backend = "none" if backend is None else backend.name
        self._backend = backend
        self._wanted = tuple(wanted)
        placed = [port if backend is None else backend.place(port) for port in wanted]
        self._places = dict(zip(wanted, placed, strict=True))
        self._ports = by_router(placed)
        self._netns = {node: net.get(node).netns for node in self._ports}

    def apply(self) -> None:
        """Puts every impairment in place and checks it. Raises ShapingError naming the device."""
        if self._backend is not None:
            for router, its_ports in self._ports.items():
                self._backend.apply(self._netns[router], its_ports)
        self.check()

    def check(self) -> None:
        """Compares what the kernel holds with what was asked for. Raises ShapingError."""
        if self._backend is not None:
            for router, its_ports in self._ports.items():
                held = self._backend.read_back(self._netns[router])
                compare(self._backend, its_ports, held)

    def counted(self) -> dict[tuple[str, str], Shaped]:
        """Packets passed and dropped by (router, `Port.way`); exact once traffic has stopped."""
        if self._backend is None:
            return {}
        counted = {node: self._backend.counted(netns) for node, netns in self._netns.items()}
        return {
            (port.router, port.way): counted[placed.router][placed.way]
            for port, placed in self._places.items()
        }

    def dropped(self) -> dict[tuple[str, str], int]:
        return {port: shaped.dropped for port, shaped in self.counted().items()}

    def passed(self) -> dict[tuple[str, str], int]:
        return {port: shaped.passed for port, shaped in self.counted().items()}

    def by_ratio(self) -> dict[float, tuple[int, int]]:
        """Packets (dropped, offered) of all ports that share a loss ratio: the achieved loss."""
        ratios = {(port.router, port.way): port.impairment.loss_ratio for port in self._wanted}
        sums: dict[float, tuple[int, int]] = {}
        for port, shaped in self.counted().items():
            dropped, offered = sums.get(ratios[port], (0, 0))
            sums[ratios[port]] = (dropped + shaped.dropped, offered + shaped.offered)
        return sums


def apply(net: Nodes, graph: Graph, only: str | None = None) -> Shaping:
    """Shapes a network that is up as its graph says, and reads it back from the kernel.

    `only` names a backend; by default the kernel is probed. Raises ShapingError.
    """
    shaping = Shaping(net, choose(graph, only), list(ports(graph)))
    shaping.apply()
    return shaping


def compare(backend: Backend, wanted: Sequence[Port], held: Mapping[str, Impairment]) -> None:
    """Raises ShapingError at the first device where the kernel holds something else."""
    for port in wanted:
        got = held.get(port.way, Impairment())
        for field in dataclasses.fields(Impairment):
            want, have = (getattr(each, field.name) for each in (port.impairment, got))
            if not _same(want, have, backend.resolution):
                raise ShapingError(
                    f"{port.words}: wanted {field.name} = {want}, the kernel says {have}; does "
                    f"something else change {backend.name} there?"
                )
    for way in sorted(set(held) - {port.way for port in wanted}):
        raise ShapingError(
            f"{wanted[0].router} {way}: nothing was asked for, the kernel has "
            f"{asked(held[way])}; remove it, or make the network anew"
        )


def _same(want: float | str | None, have: float | str | None, resolution: float) -> bool:
    if not isinstance(want, int | float) or not isinstance(have, int | float):
        return want == have
    # 0 and 1 are promises, not measurements: they hold exactly.
    if want in (0, 1) or have in (0, 1):
        return want == have
    return math.isclose(want, have, rel_tol=0, abs_tol=resolution * 1.001)
