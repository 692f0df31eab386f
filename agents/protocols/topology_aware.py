"""Topology-aware gossip: push that mostly stays inside the node's own subnet.

Model: the lecture's rule. A node in a subnet of n_i members draws each target inside it with
probability 1 - 1/n_i, outside with 1/n_i; a subnet of one always sends outside. Deeper hierarchies
[generalized here]: with nested groups of sizes 1 = g_0 < g_1 < ... < g_L = N around the node, a
target lies inside group l but outside group l-1 with probability 1/g_{l-1} - 1/g_l, in the last
group's shell with 1/g_{L-1}; so every saturated group emits b messages a round, at every level.
Worked number: g = (1, 4, 16) gives 0.75 inside the subnet and 0.25 outside it.

The b draws are independent. Without replacement a target that was drawn already is drawn again.

Reference: lecture, "Topology-Aware Gossip".
Timers: none but the rounds.
Order: as it comes.
"""

from __future__ import annotations

from random import Random

from agents.api import Actions, Message, MessageId, NodeId, Protocol, View
from agents.parts import targets
from agents.parts.retention import RumourOptions
from agents.parts.rumours import Rumours


class LocalRumour(Message):
    """A copy of a rumour."""

    __slots__ = ()
    TYPE = 0x11


class TopologyAware(Protocol):
    """Pushes rumours to targets that lie outside a group of g members with probability 1/g."""

    Options = RumourOptions
    MESSAGES = (LocalRumour,)

    def __init__(self, view: View, options: RumourOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.shells = shells(view)
        self.rumours = Rumours(LocalRumour, options, view.nodes, rng, self.draw)

    @classmethod
    def check(cls, options: RumourOptions, nodes: int) -> None:
        options.check(nodes)

    def draw(self) -> list[NodeId]:
        """The b targets of one rumour in one round."""
        chosen: list[NodeId] = []
        while len(chosen) < self.options.fan_out:
            target = self.draw_one()
            if self.options.replacement or target not in chosen:
                chosen.append(target)
        return chosen

    def draw_one(self) -> NodeId:
        """One target: the level from one draw u (outside g when u < 1/g), then uniform in it."""
        u = self.rng.random()
        for group, inner in self.shells[:-1]:
            if u >= 1 / len(group):
                return targets.pick(self.rng, group, inner)
        return targets.pick(self.rng, *self.shells[-1])

    def multicast(self, payload: bytes, now: float) -> Actions:
        id, kept = self.new_id()
        return [*self.rumours.begin(id, payload), kept]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        return self.rumours.begin(id, payload)

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        return self.rumours.hear(message)

    def on_round(self, k: int, now: float) -> Actions:
        return self.rumours.begin_round(k)


def shells(view: View) -> list[tuple[range, range]]:
    """Each nested group with the group inside it, the node alone first; equal groups collapse."""
    nested: list[tuple[range, range]] = []
    inner = range(view.me, view.me + 1)
    for group in view.groups:
        if len(group) > len(inner):
            nested.append((group, inner))
            inner = group
    return nested
