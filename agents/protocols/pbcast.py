"""Bimodal Multicast (pbcast): an unreliable multicast, then gossip among all to fill the gaps.

Model: Birman, Hayden, Ozkasap, Xiao, Budiu & Minsky, ACM TOCS 17(2), 1999. Phase 1 is one IP
multicast, without acknowledgement. Phase 2: in each of its rounds a node sends a digest of what it
keeps to `fan_out` random members; who misses something asks the sender of the digest for it, and
gets it again. A node keeps a multicast for `buffer_rounds` rounds after it came, and nobody waits
for its stability. A gap that is known for as long is reported lost and delivery goes on, in order.
Either almost all get a multicast or almost none: see `testbed.theory.pbcast`.

The paper's optimisations are switches: `soft_failure_detection` answers only in the round of the
digest, so a round must be longer than a round trip; `retransmission_limit` bounds the bytes sent in
a round, and what is longer by itself is never sent again; `cyclic` spares a node what it was sent
in the round before; `most_recent_first` asks for the youngest first, of each origin in turn
[the turns are decided here: sequence numbers of two origins tell nothing of their age];
`independent_rounds` counts rounds of one's own, otherwise a multicast's age is counted from its
origin's round; `neighbours` gossips on a random graph; `multicast_after` makes a multicast of what
many ask for. Left out: the tree that may take the place of IP multicast. A node with nothing to
tell is silent.

Reference: Birman et al., ACM TOCS 17(2), 1999.
Timers: none but the rounds.
Order: FIFO by origin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from math import inf
from random import Random
from struct import Struct

from agents.api import (
    Action,
    Actions,
    Deliver,
    Message,
    MessageId,
    NodeId,
    Note,
    Protocol,
    Send,
    View,
)
from agents.options import OptionError, option
from agents.parts import digests, targets
from agents.parts.digests import Span
from agents.parts.ordering import Fifo
from agents.parts.stores import UNNAMED
from agents.wire import HEADER_BYTES, MAX_BODY

ALL = "all"
ROUND = Struct(">I")
MOST_ASKED = (MAX_BODY - ROUND.size) // digests.NAME.size


@dataclass(frozen=True)
class PbcastOptions:
    """The gossip, its buffers, and the paper's optimisations."""

    fan_out: int = option(1, unit="targets", low=1, help="members a digest is sent to in a round")
    buffer_rounds: int = option(
        10, unit="rounds", low=1, help="how long a multicast is kept, and a gap waited for (G)"
    )
    first_phase: str = option(
        "multicast", choices=("multicast", "none"), help="none: the digests alone spread it"
    )
    soft_failure_detection: bool = option(True, help="answer in the round of the digest only")
    retransmission_limit: int = option(
        10_000, unit="bytes", low=0, help="most that is sent again in a round; 0: no limit"
    )
    cyclic: bool = option(True, help="send nobody again what it was sent in the round before")
    most_recent_first: bool = option(True, help="ask for the youngest of each origin first")
    independent_rounds: bool = option(
        True, help="count age in a node's own rounds; false: in its origin's"
    )
    neighbours: int = option(
        0, unit="members", low=0, help="members that a node gossips with; 0: all"
    )
    multicast_after: int = option(
        0, unit="members", low=0, help="answer by multicast when so many ask in a round; 0: never"
    )


class PbcastData(Message):
    """The first copy, to all; `round` is its origin's. The body is the payload."""

    __slots__ = ()
    TYPE = 0x40


class PbcastDigest(Message):
    """What its sender keeps, see `agents.parts.digests`."""

    __slots__ = ()
    TYPE = 0x41
    DATA = False


class PbcastSolicit(Message):
    """Asks for multicasts; the body is the digest's round and their names."""

    __slots__ = ()
    TYPE = 0x42
    DATA = False


class PbcastRetransmit(Message):
    """A multicast again; `round` is its origin's at the first copy. The body is the payload."""

    __slots__ = ()
    TYPE = 0x43


class Kept:
    """A multicast in the buffer."""

    __slots__ = ("born", "hop", "payload", "since")

    def __init__(self, hop: int, payload: bytes, born: int, since: int) -> None:
        self.hop = hop
        self.payload = payload
        self.born = born
        """The round of its origin in which it was multicast."""
        self.since = since
        """The round of this node from which its age counts."""


class Pbcast(Protocol):
    """Multicasts to all, and gossips about what has come."""

    Options = PbcastOptions
    MESSAGES = (PbcastData, PbcastDigest, PbcastSolicit, PbcastRetransmit)
    FIFO = True
    GROUPS = True

    def __init__(self, view: View, options: PbcastOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.fifo = Fifo()
        self.kept: dict[MessageId, Kept] = {}
        self.known: dict[NodeId, deque[tuple[int, int]]] = {}
        """The round in which a higher number of an origin was first heard of, and the number."""
        self.round = 0
        self.left: float = options.retransmission_limit or inf
        self.sent: set[tuple[NodeId, MessageId]] = set()
        """What was sent again to whom in this round."""
        self.sent_before: set[tuple[NodeId, MessageId]] = set()
        self.asked: dict[MessageId, set[NodeId]] = {}
        """Who has asked for what in this round."""
        self.graph: list[NodeId] = []
        if options.neighbours:
            self.graph = self._others(options.neighbours)

    @classmethod
    def check(cls, options: PbcastOptions, nodes: int) -> None:
        others = max(nodes - 1, 0)
        if options.neighbours > others:
            raise OptionError(
                f"neighbours={options.neighbours}: {nodes} nodes have {others} other(s) each; "
                f"choose 0..{others} (default 0, all)"
            )
        if options.fan_out > (options.neighbours or others):
            raise OptionError(
                f"fan_out={options.fan_out}: a node gossips with "
                f"{options.neighbours or others} other(s); choose fewer, or more nodes "
                "(default 1)"
            )
        if 0 < options.retransmission_limit < HEADER_BYTES:
            raise OptionError(
                f"retransmission_limit={options.retransmission_limit}: a datagram without payload "
                f"takes more; choose {HEADER_BYTES} and more, or 0 for any "
                f"(default {PbcastOptions.retransmission_limit})"
            )

    def multicast(self, payload: bytes, now: float) -> Actions:
        id, kept = self.new_id()
        self.fifo.resume(id)
        done = [*self.hold(id, payload, now), kept]
        if self.options.first_phase == "none":
            return done
        return [*done, Send(ALL, PbcastData(*id, 0, self.round, payload))]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        if len(payload) > MAX_BODY:
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_BODY}")
        self.kept[id] = Kept(0, payload, self.round, self.round)
        return [Deliver(id)] if id.sequence == 0 else self._deliver(id)

    def on_round(self, k: int, now: float) -> Actions:
        self.round = k
        self.left = self.options.retransmission_limit or inf
        self.sent_before, self.sent = self.sent, set()
        self.asked = {}
        oldest = k - self.options.buffer_rounds
        self.kept = {id: kept for id, kept in self.kept.items() if kept.since >= oldest}
        done = self._give_up(oldest)
        told = digests.spans(self.kept)
        if told:
            for target in self._targets():
                body = digests.pack(told, self.rng, MAX_BODY)
                done.append(Send(target, PbcastDigest(self.view.me, UNNAMED, 0, k, body)))
        return done

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        if message.origin not in self.view.everyone:
            return [Note("unknown_origin", message.origin)]
        if isinstance(message, PbcastDigest):
            return self._ask(message, sender)
        if isinstance(message, PbcastSolicit):
            return self._answer(message.body, sender)
        return self._take(message)

    def _take(self, message: Message) -> list[Action]:
        """A copy of a multicast arrived."""
        id = message.id
        if id.origin == self.view.me:  # it knows best itself
            return []
        self._learn(id)
        if self.fifo.has(id):
            return []
        if not self.fifo.reaches(id):
            return [Note("too_far", id.sequence)]
        since = self.round
        if not self.options.independent_rounds:
            since = min(since, message.round)
        self.kept[id] = Kept(message.next_hop, message.body, message.round, since)
        return self._deliver(id)

    def _deliver(self, id: MessageId) -> list[Action]:
        return [*self.fifo.add(id)]

    # Gossip

    def _targets(self) -> list[NodeId]:
        """The members whom this round's digest goes to."""
        options = self.options
        if self.graph:
            return self.rng.sample(self.graph, options.fan_out)
        return self._others(options.fan_out)

    def _others(self, number: int) -> list[NodeId]:
        return targets.others(self.rng, self.view, number, replacement=False)

    def _ask(self, digest: Message, sender: NodeId) -> Actions:
        """Asks the sender of a digest for what is missing here."""
        try:
            told = digests.unpack(digest.body)
        except ValueError:
            return [Note("bad_body", len(digest.body))]
        wanted: dict[NodeId, list[MessageId]] = {}
        for origin, first, last in reversed(told) if self.options.most_recent_first else told:
            if origin in self.view.everyone and first <= last:
                self._learn(MessageId(origin, last))
                mine = wanted.setdefault(origin, [])
                mine += self._missing(Span(origin, first, last), MOST_ASKED - len(mine))
        missing = self._in_turn([*wanted.values()])
        if not missing:
            return ()
        body = ROUND.pack(digest.round) + digests.pack_names(missing)
        return [Send(sender, PbcastSolicit(self.view.me, UNNAMED, 0, self.round, body))]

    def _in_turn(self, lists: list[list[MessageId]]) -> list[MessageId]:
        """One of each origin after the other, as many as may be asked for; who begins is drawn.

        An answer ends at its limit: were one origin's asked for before another's, the other's would
        be what is left out, round after round.
        """
        self.rng.shuffle(lists)
        turns = zip_longest(*lists)
        return [id for turn in turns for id in turn if id is not None][:MOST_ASKED]

    def _missing(self, span: Span, most: int) -> list[MessageId]:
        """What of a range is not here, at most so many."""
        numbers = range(max(span.first, self.fifo.next(span.origin)), span.last + 1)
        order = reversed(numbers) if self.options.most_recent_first else numbers
        found: list[MessageId] = []
        for number in order:
            if len(found) >= most:
                break
            id = MessageId(span.origin, number)
            if not self.fifo.has(id):
                found.append(id)
        return found

    def _answer(self, body: bytes, sender: NodeId) -> Actions:
        """Sends again what is asked for, within this round's limits."""
        if len(body) < ROUND.size:
            return [Note("bad_body", len(body))]
        (round_,) = ROUND.unpack_from(body)
        try:
            names = digests.unpack_names(body[ROUND.size :])
        except ValueError:
            return [Note("bad_body", len(body))]
        if self.options.soft_failure_detection and round_ != self.round:
            return [Note("late_solicitation", self.round - round_)]
        return [*self._copies(names, sender)]

    def _copies(self, names: list[MessageId], sender: NodeId) -> Iterator[Action]:
        for id in dict.fromkeys(names):
            kept = self.kept.get(id)
            if kept is None or (self.options.cyclic and (sender, id) in self.sent_before):
                continue
            size = HEADER_BYTES + len(kept.payload)
            if size > self.left:
                yield Note("over_limit", size)
                return
            to = self._whereto(id, sender)
            if to is not None:
                self.left -= size
                self.sent.add((sender, id))
                copy = PbcastRetransmit(*id, kept.hop, kept.born, kept.payload)
                yield Send(to, copy)

    def _whereto(self, id: MessageId, sender: NodeId) -> NodeId | str | None:
        """The one who asks, or all when it is one of many; None when all were sent it."""
        asked = self.asked.setdefault(id, set())
        asked.add(sender)
        after = self.options.multicast_after
        if not after or len(asked) < after:
            return sender
        return ALL if len(asked) == after else None

    # Gaps

    def _learn(self, id: MessageId) -> None:
        """A multicast exists, and so do those of its origin before it."""
        heard = self.known.setdefault(id.origin, deque())
        highest = heard[-1][1] if heard else self.fifo.next(id.origin) - 1
        if id.sequence > highest:
            heard.append((self.round, id.sequence))

    def _give_up(self, oldest: int) -> list[Action]:
        """Gaps that were known before that round are lost."""
        done: list[Action] = []
        for origin, heard in self.known.items():
            while heard and heard[0][0] < oldest:
                done += self.fifo.give_up_below(origin, heard.popleft()[1] + 1)
        return done
