"""Rumor mongering: a node spreads a rumor while it is hot, and loses interest by what it meets.

Model: Demers et al., Epidemic algorithms for replicated database maintenance (PODC 1987 and Xerox
CSL-89-1, section 1.4), its cycle being the node's own round. One partner a round: by push a node
with hot rumors calls, by pull and push-pull every node does. A hot rumor goes to the other party
needed or not; blind, every round in which it was sent is a test of interest; with feedback every
round in which nobody it was sent to needed it. A test lost raises the counter, removed at k, and a
useful round sets it back to 0; or it tosses a coin, removed with probability 1/k. What comes twice
at one instant is needed both times, so that `sync` is the published model (see
`testbed.simulator.rounds.rumor`, which also draws the losers of a connection limit by chance).

A limit on connections makes every contact a conversation: the first ones to come in a node's round
are welcome, a rejected caller hunts for another. Left out: the backup by anti-entropy.

Reference: Demers et al., PODC 1987 and Xerox CSL-89-1, 1.4.
Timers: none but the rounds.
Order: as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from random import Random
from struct import Struct

from agents.api import Actions, Deliver, Message, MessageId, NodeId, Note, Protocol, Send, View
from agents.options import OptionError, option
from agents.parts import targets
from agents.parts.stores import UNNAMED
from agents.wire import MAX_BODY

ANSWER = Struct(">BH")  # was it needed, and the answerer's own counter
COLD = 0xFFFF
"""The counter of a node that does not spread the rumor."""
BUSY, WELCOME = b"\0", b"\1"


@dataclass(frozen=True)
class RumorOptions:
    """The family of rumor mongering."""

    direction: str = option(
        "push_pull", choices=("push", "pull", "push_pull"), help="who tells whom in a contact"
    )
    feedback: bool = option(
        True, help="test interest after unnecessary contacts only; false (blind): after every one"
    )
    interest: str = option(
        "counter",
        choices=("counter", "coin"),
        help="end of interest: after k_counter lost tests, or with probability 1/k_counter at each",
    )
    k_counter: int = option(
        3, low=1, high=1000, help="lost tests until interest ends, with coin on average (k)"
    )
    connection_limit: int = option(
        0, unit="calls", low=0, help="most calls accepted in a round; 0: no limit"
    )
    hunt_limit: int = option(
        0, unit="partners", low=0, help="other partners to try when one is busy"
    )
    minimization: bool = option(False, help="of two hot parties only the smaller counter rises")


class RumorCall(Message):
    """Opens a conversation: asks for hot rumors, or whether one may push."""

    __slots__ = ()
    TYPE = 0x16
    DATA = False


class RumorUpdate(Message):
    """A hot rumor; the body is the payload."""

    __slots__ = ()
    TYPE = 0x17


class RumorFeedback(Message):
    """Says of an update whether it was needed, and how hot the rumor was here."""

    __slots__ = ()
    TYPE = 0x18
    DATA = False


class RumorReply(Message):
    """Busy or welcome: answers a call where connections are limited."""

    __slots__ = ()
    TYPE = 0x19
    DATA = False


class Hot:
    """A rumor that is spread here, and what came of that in this round."""

    __slots__ = ("counter", "hop", "payload", "sent", "unneeded", "useful")

    def __init__(self, hop: int, payload: bytes) -> None:
        self.hop = hop
        self.payload = payload
        self.counter = 0
        self.sent = self.useful = self.unneeded = False


class Rumor(Protocol):
    """Spreads rumors to one partner a round, uniform over the other nodes."""

    Options = RumorOptions
    MESSAGES = (RumorCall, RumorUpdate, RumorFeedback, RumorReply)

    def __init__(self, view: View, options: RumorOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.pushes = options.direction != "pull"
        self.pulls = options.direction != "push"
        self.known: dict[MessageId, float] = {}
        """When each rumor was learnt."""
        self.hot: dict[MessageId, Hot] = {}
        self.round = 0
        self.taken = 0
        self.hunts = 0

    @classmethod
    def check(cls, options: RumorOptions, nodes: int) -> None:
        if options.minimization and not (
            options.direction == "push_pull" and options.feedback and options.interest == "counter"
        ):
            raise OptionError(
                "minimization=True: it compares counters; choose direction=push_pull, "
                "feedback=true and interest=counter (default false)"
            )
        if options.hunt_limit and not options.connection_limit:
            raise OptionError(
                f"hunt_limit={options.hunt_limit}: nobody is rejected; choose a connection_limit "
                "(default 0)"
            )

    def multicast(self, payload: bytes, now: float) -> Actions:
        id, kept = self.new_id()
        return [*self.hold(id, payload, now), kept]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        if len(payload) > MAX_BODY:
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_BODY}")
        self.known[id] = -inf
        self.hot[id] = Hot(0, payload)
        return [Deliver(id)]

    def on_round(self, k: int, now: float) -> Actions:
        self.round = k
        self._test_interest()
        self.taken = 0
        self.hunts = self.options.hunt_limit
        return self._contact() if self.pulls or self.hot else ()

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        if isinstance(message, RumorUpdate):
            return self._hear(message, sender, now)
        if isinstance(message, RumorFeedback):
            return self._heed(message)
        if isinstance(message, RumorReply):
            if message.body == WELCOME:
                return self._updates(sender, now) if self.pushes else ()
            self.hunts -= 1
            return self._contact() if self.hunts >= 0 else ()
        return self._welcome(sender, now)

    def _contact(self) -> Actions:
        """Opens the conversation of this round, or of another hunt, with a new partner."""
        view = self.view
        partner = targets.pick(self.rng, view.everyone, range(view.me, view.me + 1))
        limited = self.options.connection_limit > 0
        sends: list[Send] = []
        if self.pulls or limited:
            sends.append(Send(partner, RumorCall(view.me, UNNAMED, 0, self.round)))
        if self.pushes and not limited:
            sends += self._updates(partner, inf)
        return sends

    def _welcome(self, caller: NodeId, now: float) -> Actions:
        """Answers a call."""
        limit = self.options.connection_limit
        updates = self._updates(caller, now) if self.pulls and self.taken < (limit or inf) else []
        if not limit:
            return updates
        self.taken += 1
        body = WELCOME if self.taken <= limit else BUSY
        return [Send(caller, RumorReply(self.view.me, UNNAMED, 0, self.round, body)), *updates]

    def _updates(self, partner: NodeId, now: float) -> list[Send]:
        """The rumors that were hot here before `now`."""
        sends = []
        for id, hot in self.hot.items():
            if self.known[id] < now:
                hot.sent = True
                copy = RumorUpdate(id.origin, id.sequence, hot.hop, self.round, hot.payload)
                sends.append(Send(partner, copy))
        return sends

    def _hear(self, message: Message, sender: NodeId, now: float) -> Actions:
        id = message.id
        done: list[Deliver | Send] = []
        if id not in self.known:
            self.known[id] = now
            self.hot[id] = Hot(message.next_hop, message.body)
            done.append(Deliver(id))
        if self.options.feedback:
            needed = self.known[id] >= now
            hot = self.hot.get(id)
            body = ANSWER.pack(needed, hot.counter if hot else COLD)
            done.append(Send(sender, RumorFeedback(*id, message.hop, self.round, body)))
        return done

    def _heed(self, message: Message) -> Actions:
        """Takes feedback on an update of one's own."""
        if len(message.body) != ANSWER.size:
            return [Note("short_body", len(message.body))]
        needed, counter = ANSWER.unpack(message.body)
        hot = self.hot.get(message.id)
        if hot is not None:
            if needed:
                hot.useful = True
            elif not (self.options.minimization and counter < hot.counter):
                hot.unneeded = True
        return ()

    def _test_interest(self) -> None:
        """Ends the round that was: each hot rumor meets its test, if it had one."""
        options = self.options
        for id, hot in list(self.hot.items()):
            if options.feedback and hot.useful:
                hot.counter = 0
            elif hot.unneeded if options.feedback else hot.sent:
                hot.counter += 1
                if options.interest == "coin":
                    cold = self.rng.random() < 1 / options.k_counter
                else:
                    cold = hot.counter >= options.k_counter
                if cold:
                    del self.hot[id]
            hot.sent = hot.useful = hot.unneeded = False
