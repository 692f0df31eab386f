"""Push gossip: in each of its rounds a node sends every rumour it still holds to b random others.

Model: the lecture's protocol; its mathematics is the simple epidemic of Bailey (The Mathematical
Theory of Infectious Diseases, 2nd ed. 1975), where a given node is chosen with probability b/n in a
round. Full membership; targets are uniform over the other nodes, with replacement by default.
Left out: buffers that carry a selection of several rumours in one datagram.

Reference: lecture, "Epidemic Multicast"; Bailey 1975.
Timers: none but the rounds.
Order: as it comes.
"""

from __future__ import annotations

from random import Random

from agents.api import Actions, Message, MessageId, NodeId, Protocol, View
from agents.parts import targets
from agents.parts.retention import RumourOptions
from agents.parts.rumours import Rumours


class PushRumour(Message):
    """A copy of a rumour."""

    __slots__ = ()
    TYPE = 0x10


class Push(Protocol):
    """Pushes rumours to targets that are uniform over the other nodes."""

    Options = RumourOptions
    MESSAGES = (PushRumour,)

    def __init__(self, view: View, options: RumourOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.rumours = Rumours(PushRumour, options, view.nodes, rng, self.draw)

    @classmethod
    def check(cls, options: RumourOptions, nodes: int) -> None:
        options.check(nodes)

    def draw(self) -> list[NodeId]:
        """The b targets of one rumour in one round."""
        options = self.options
        return targets.others(self.rng, self.view, options.fan_out, options.replacement)

    def multicast(self, payload: bytes, now: float) -> Actions:
        id, kept = self.new_id()
        return [*self.rumours.begin(id, payload), kept]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        return self.rumours.begin(id, payload)

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        return self.rumours.hear(message)

    def on_round(self, k: int, now: float) -> Actions:
        return self.rumours.begin_round(k)
