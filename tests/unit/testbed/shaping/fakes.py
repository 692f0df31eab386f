"""A backend without a kernel, and a graph of two hosts, for tests of shaping."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from testbed.shaping.interface import Backend, Nodes, Port, Shaped
from topologies.elements import PERFECT, Impairment, Router
from topologies.graph import Graph
from topologies.layout import lay_out


class Fake(Backend):
    """Holds what it is told; `distortion` is added to each ratio that it holds."""

    resolution = 1e-6

    def __init__(
        self,
        name: str,
        can: Iterable[str] = ("loss_ratio",),
        problem: str | None = None,
        refuses: str | None = None,
        distortion: float = 0.0,
    ) -> None:
        # A class of its own for each, since the interface has these as facts of a class.
        self.__class__ = type("Named", (Fake,), {"name": name, "can": frozenset(can)})
        self._problem, self._refuses, self._distortion = problem, refuses, distortion
        self.holds: dict[int, dict[str, Impairment]] = {}
        self.shaped: dict[int, dict[str, Shaped]] = {}
        self.overflows: dict[str, int] = {}

    def probe(self, netns: int) -> str | None:
        return self._problem

    def refusal(self, impairment: Impairment) -> str | None:
        return self._refuses

    def apply(self, nodes: Nodes, node: str, ports: Sequence[Port], seed: int) -> None:
        self.holds[nodes.get(node).netns] = {
            port.device: Impairment(loss_ratio=port.impairment.loss_ratio + self._distortion)
            for port in ports
        }

    def change(self, netns: int, port: Port) -> None:
        pass

    def dropped(self) -> dict[str, int]:
        return dict(self.overflows)

    def read_back(self, netns: int) -> dict[str, Impairment]:
        return self.holds[netns]

    def counted(self, netns: int) -> dict[str, Shaped]:
        return self.shaped[netns]


class FakeNode:
    def __init__(self, netns: int) -> None:
        self.netns = netns


class FakeNet:
    """Gives the n-th router of a graph the descriptor n."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = {router.name: FakeNode(n) for n, router in enumerate(graph.routers)}

    def get(self, name: str) -> FakeNode:
        return self._nodes[name]


def graph_of(receive: Impairment, across: Impairment = PERFECT) -> Graph:
    """h1 below r1 receives as said, h2 below r2 perfectly; both links lose as said."""
    routers = [Router("r0", 0, None), Router("r1", 1, "r0"), Router("r2", 1, "r0")]
    parts = lay_out(routers, [("r1", 1), ("r2", 1)], PERFECT, across)
    first, *others = parts.hosts
    hosts = (dataclasses.replace(first, receive=receive), *others)
    return Graph("small", parts.routers, parts.subnets, hosts, parts.links)
