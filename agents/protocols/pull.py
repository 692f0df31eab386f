"""Pull gossip: in each of its rounds a node asks k random others for what it lacks.

Model: the lecture's pull; for k = 1 the anti-entropy "pull" of Demers et al. (PODC'87, 1.3), whose
recurrence is p_{i+1} = p_i^(k+1). Every node polls in every round for ever, since it cannot know
that something new exists: idle, a group of N sends N*k requests a round. An answer is one datagram
a multicast that the digest of the request lacks; nothing missing, no answer. A pull crosses the
network twice, so with a loss of eps each way it succeeds with probability (1-eps)^2.
Left out: forgetting; a node answers for all that it ever had.

Reference: lecture, "Push vs. Pull"; Demers et al., PODC 1987, 1.3.
Timers: none but the rounds.
Order: as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from agents.api import Actions, Deliver, Message, MessageId, NodeId, Note, Protocol, Send, View
from agents.options import option
from agents.parts import targets
from agents.parts.retention import check_fan_out
from agents.parts.stores import UNNAMED, Store
from agents.wire import MAX_BODY


@dataclass(frozen=True)
class PullOptions:
    """The options of pull."""

    fan_out: int = option(1, unit="targets", low=1, help="nodes asked in a round (k)")
    replacement: bool = option(False, help="whether one round may ask the same node twice")


class PullRequest(Message):
    """Asks for what is not in the digest, its body."""

    __slots__ = ()
    TYPE = 0x12
    DATA = False


class PullAnswer(Message):
    """A multicast that the request did not list; the body is the payload."""

    __slots__ = ()
    TYPE = 0x13


class Pull(Protocol):
    """Fetches multicasts from targets that are uniform over the other nodes."""

    Options = PullOptions
    MESSAGES = (PullRequest, PullAnswer)

    def __init__(self, view: View, options: PullOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.store = Store()
        self.round = 0

    @classmethod
    def check(cls, options: PullOptions, nodes: int) -> None:
        check_fan_out(options.fan_out, nodes, PullOptions.fan_out)

    def draw(self) -> list[NodeId]:
        """The nodes asked in one round."""
        options = self.options
        return targets.others(self.rng, self.view, options.fan_out, options.replacement)

    def multicast(self, payload: bytes, now: float) -> Actions:
        id, kept = self.new_id()
        return [*self.hold(id, payload, now), kept]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        if len(payload) > MAX_BODY:
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_BODY}")
        self.store.add(id, 0, payload)
        return [Deliver(id)]

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        if isinstance(message, PullRequest):
            return self._answer(message.body, sender, now)
        if self.store.add(message.id, message.next_hop, message.body, now):
            return [Deliver(message.id)]
        return ()

    def on_round(self, k: int, now: float) -> Actions:
        self.round = k
        digest = self.store.digest(self.rng, MAX_BODY)
        request = PullRequest(self.view.me, UNNAMED, 0, k, digest)
        return [Send(target, request) for target in self.draw()]

    def _answer(self, digest: bytes, sender: NodeId, now: float) -> Actions:
        try:
            missing = self.store.missing(digest, now)
        except ValueError:
            return [Note("bad_digest", len(digest))]
        return [Send(sender, self._copy(id)) for id in missing]

    def _copy(self, id: MessageId) -> PullAnswer:
        item = self.store.items[id]
        return PullAnswer(id.origin, id.sequence, item.hop, self.round, item.payload)
