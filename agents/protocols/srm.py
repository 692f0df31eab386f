"""SRM: receivers multicast requests for what they miss, and whoever has it multicasts the repair.

Model: Floyd, Jacobson, Liu, McCanne & Zhang, IEEE/ACM ToN 5(6), 1997, with the rules and constants
of ns-2.35. Requests and repairs wait for random times in proportion to the distance (see
`agents.parts.srm_timers`, also for where the adaptive ones depart from ns-2), so that one of them
mostly silences the others. A request sent or heard backs one's own timer off; further ones in the
first half of the new wait belong to the same round and do not. A repair heard or sent makes a
member deaf to requests for it, for `hold_down` distances. Departures: a request that shows a loss
is heeded, too (in ns-2 it only starts the timer), and every repair makes deaf (there the first).

Losses show as gaps, and as sequence numbers that a request, a repair or a session message names.
Session messages go out for ever, so the last multicast is not lost unnoticed; they carry the stamps
that distances are estimated from (see `agents.parts.distances`). A stream begins when all have had
the time for that; a distance not known is `first_distance_s`. What is not repaired after
`give_up_s` is reported lost. Delivery is in the order of arrival. Left out: pages, local recovery
by scope, forgetting what was multicast.

Worked number: in a chain with C1 = D1 = 1 and C2 = D2 = 0 a loss costs one request and one repair;
on the source's own link two requests, since the repair takes the member behind it 3 d (there, wait,
back) and its backoff is over after 2 d.

Reference: Floyd et al., IEEE/ACM ToN 5(6), 1997; ns-2.35.
Timers: session messages; one for each request and each repair that is planned.
Order: as it comes.
"""

from __future__ import annotations

from math import inf
from random import Random
from struct import Struct
from typing import NamedTuple

from agents.api import (
    Action,
    Actions,
    CancelTimer,
    Deliver,
    Lost,
    Message,
    MessageId,
    NodeId,
    Note,
    Protocol,
    Send,
    SetTimer,
    View,
)
from agents.parts import srm_sessions
from agents.parts.distances import Distances, as_stamp, stamp
from agents.parts.srm_sessions import Session, Turns
from agents.parts.srm_timers import SrmOptions
from agents.parts.stores import UNNAMED
from agents.wire import HEADER_BYTES, MAX_BODY

ALL = "all"
SESSION, REQUEST, REPAIR = "session", "request", "repair"
DISTANCE = Struct(">I")  # microseconds
REPAIR_HEAD = Struct(">II")  # whose request it answers, and how far that one is
MAX_PAYLOAD = MAX_BODY - REPAIR_HEAD.size
JITTER = 0.1  # of the period of session messages
MOST_AHEAD = 256
"""Multicasts of one origin that one message may show to be missing; the next one shows more."""


class SrmData(Message):
    """A multicast, from its origin to all; the body is the payload."""

    __slots__ = ()
    TYPE = 0x30


class SrmSession(Message):
    """What its sender knows of each origin, its stamp, and the stamps that it echoes."""

    __slots__ = ()
    TYPE = 0x31
    DATA = False


class SrmRequest(Message):
    """Asks all for a multicast; the body is the distance to its origin, `round` the backoff."""

    __slots__ = ()
    TYPE = 0x32
    DATA = False


class SrmRepair(Message):
    """A multicast again, from whoever has it; the body is head and payload."""

    __slots__ = ()
    TYPE = 0x33


class Missing:
    """A multicast that is missing here."""

    __slots__ = ("asked", "heard", "ignore_until", "round", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.round = 0
        """Requests sent, or heard and heeded."""
        self.asked = False
        """Whether this node has sent one."""
        self.heard = False
        """Whether anybody has, as far as this node knows."""
        self.ignore_until = -inf


class Planned(NamedTuple):
    """A repair that waits for its time."""

    requestor: NodeId
    since: float


class Srm(Protocol):
    """Multicasts to all, and repairs what was lost among all."""

    Options = SrmOptions
    MESSAGES = (SrmData, SrmSession, SrmRequest, SrmRepair)
    RELIABLE = True
    GROUPS = True

    def __init__(self, view: View, options: SrmOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.requests, self.repairs = options.windows(view.nodes)
        self.distances = Distances(options.first_distance_s)
        self.held: dict[MessageId, tuple[int, bytes]] = {}
        """Hop of the copies to send, and payload."""
        self.highest: dict[NodeId, int] = {}
        self.missing: dict[MessageId, Missing] = {}
        self.lost: set[MessageId] = set()
        self.planned: dict[MessageId, Planned] = {}
        self.repaired: dict[MessageId, bool] = {}
        """Repairs seen since this node planned its own; whether it sent that."""
        self.deaf_until: dict[MessageId, float] = {}
        self.turns = Turns()

    @classmethod
    def check(cls, options: SrmOptions, nodes: int) -> None:
        options.check(nodes)

    @classmethod
    def warm_up_s(cls, options: SrmOptions, nodes: int) -> float:
        """Until every member has had its stamp echoed by every other twice, as one may be lost."""
        messages, size = srm_sessions.to_echo(nodes - 1)
        period_s = options.period_s(nodes, HEADER_BYTES + size)
        return options.session_s + 2 * messages * period_s * (1 + JITTER)

    def on_start(self, now: float) -> Actions:
        return [SetTimer(SESSION, now + self.options.session_s * self.rng.random())]

    def multicast(self, payload: bytes, now: float) -> Actions:
        id, kept = self.new_id()
        return [*self.hold(id, payload, now), kept, Send(ALL, SrmData(*id, 0, 0, payload))]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_PAYLOAD}")
        self.held[id] = 0, payload
        self.highest[id.origin] = max(self.highest.get(id.origin, 0), id.sequence)
        return [Deliver(id)]

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        body = message.body
        if isinstance(message, SrmSession):
            return self._hear_session(body, sender, now)
        if message.origin not in self.view.everyone:
            return [Note("unknown_origin", message.origin)]
        if isinstance(message, SrmData):
            return self._take(message, body, now)
        if isinstance(message, SrmRequest):
            if len(body) != DISTANCE.size:
                return [Note("bad_body", len(body))]
            return self._heed(message, sender, DISTANCE.unpack(body)[0] / 1e6, now)
        if len(body) < REPAIR_HEAD.size:
            return [Note("bad_body", len(body))]
        requestor, distance = REPAIR_HEAD.unpack_from(body)
        return self._hear_repair(message, body, requestor, distance / 1e6, now)

    def on_timer(self, name: str, now: float) -> Actions:
        if name == SESSION:
            return self._tell(now)
        kind, origin, sequence = name.split(":")
        id = MessageId(int(origin), int(sequence))
        return self._ask(id, now) if kind == REQUEST else self._repair(id, now)

    # What is missing

    def _take(self, message: Message, payload: bytes, now: float) -> list[Action]:
        """A copy of a multicast arrived; all of its origin before it must exist, too."""
        id = message.id
        done: list[Action] = []
        if len(payload) > MAX_PAYLOAD:  # no repair could carry it
            return [Note("long_body", len(payload))]
        if id not in self.held and id not in self.lost:
            self.held[id] = message.next_hop, payload
            done.append(Deliver(id))
            missing = self.missing.pop(id, None)
            if missing is not None:
                done.append(CancelTimer(_name(REQUEST, id)))
                done.append(Note("recovery_s", now - missing.since))
        return done + self._reveal(id.origin, id.sequence, now)

    def _reveal(self, origin: NodeId, sequence: int, now: float) -> list[Action]:
        """A multicast of that origin exists: it and those before it are here or missing."""
        known = self.highest.get(origin, 0)
        if origin == self.view.me or sequence <= known:
            return []
        self.highest[origin] = upto = min(sequence, known + MOST_AHEAD)
        done: list[Action] = []
        for number in range(known + 1, upto + 1):
            id = MessageId(origin, number)
            if id not in self.held:
                self.missing[id] = Missing(now)
                self.requests.begin()
                done.append(self._wait(id, now)[1])
        return done

    def _wait(self, id: MessageId, now: float) -> tuple[float, SetTimer]:
        """Draws the time until this node's next request, at most until it gives up."""
        options, missing = self.options, self.missing[id]
        backoffs = missing.round if options.backoff else 0
        distance = self.distances.to(id.origin)
        delay = self.requests.draw(self.rng, distance, backoffs, options.randomness)
        end = missing.since + options.give_up_s if options.give_up_s else inf
        return delay, SetTimer(_name(REQUEST, id), min(now + delay, end))

    def _back_off(self, id: MessageId, now: float) -> SetTimer:
        missing = self.missing[id]
        missing.round += 1
        delay, timer = self._wait(id, now)
        missing.ignore_until = now + delay / 2
        return timer

    def _ask(self, id: MessageId, now: float) -> Actions:
        missing = self.missing.get(id)
        if missing is None:
            return ()
        # Timers are in whole nanoseconds, so the last one may be early by half of one.
        if self.options.give_up_s and now >= missing.since + self.options.give_up_s - 1e-6:
            del self.missing[id]
            self.lost.add(id)
            return [Lost(id)]
        distance = self.distances.to(id.origin)
        body = DISTANCE.pack(as_stamp(distance))
        done: list[Action] = [Send(ALL, SrmRequest(*id, 0, missing.round, body))]
        if missing.round == 0:
            self.requests.sent()
        missing.asked = True
        return [*done, *self._hear_of(id, now), self._back_off(id, now)]

    def _hear_of(self, id: MessageId, now: float) -> list[Action]:
        """A request was sent or heard here; the first one took so long, in distances."""
        missing = self.missing[id]
        if missing.heard:
            return []
        missing.heard = True
        delay = (now - missing.since) / self.distances.to(id.origin)
        self.requests.waited(delay)
        return [Note("request_delay", delay)]

    def _heed(self, message: Message, sender: NodeId, distance: float, now: float) -> Actions:
        """A request was heard: one's own backs off, or a repair is planned."""
        id = message.id
        done = self._reveal(id.origin, id.sequence, now)
        missing = self.missing.get(id)
        if missing is None:
            return [*done, *self._plan(id, sender, now)]
        done += self._hear_of(id, now)
        # Requests of later rounds ask again, since no repair has come: they duplicate nothing.
        if message.round == 0 and missing.round == 1 and now <= missing.ignore_until:
            self.requests.duplicate(missing.asked, self.distances.to(id.origin), distance)
        if self.options.suppression and now >= missing.ignore_until:
            done.append(self._back_off(id, now))
        return done

    # Repairs

    def _plan(self, id: MessageId, requestor: NodeId, now: float) -> list[Action]:
        """Sets the timer of a repair, where the multicast is here and nothing speaks against it."""
        if id not in self.held or id in self.planned or now < self.deaf_until.get(id, -inf):
            return []
        self.repairs.begin()
        self.repaired.pop(id, None)
        self.planned[id] = Planned(requestor, now)
        distance = self.distances.to(requestor)
        delay = self.repairs.draw(self.rng, distance, 0, self.options.randomness)
        return [SetTimer(_name(REPAIR, id), now + delay)]

    def _repair(self, id: MessageId, now: float) -> Actions:
        planned = self.planned.pop(id, None)
        if planned is None:
            return ()
        distance = self.distances.to(planned.requestor)
        if id not in self.repaired:
            self.repairs.sent()
            self.repairs.waited((now - planned.since) / distance)
        self.repaired[id] = True
        self._turn_deaf(id, distance, now)
        hop, payload = self.held[id]
        head = REPAIR_HEAD.pack(planned.requestor, as_stamp(distance))
        return [Send(ALL, SrmRepair(*id, hop, 0, head + payload))]

    def _hear_repair(
        self, message: Message, body: bytes, requestor: NodeId, theirs: float, now: float
    ) -> Actions:
        id = message.id
        if id not in self.held:
            self._turn_deaf(id, self.distances.to(id.origin), now)
            return self._take(message, body[REPAIR_HEAD.size :], now)
        mine = self.distances.to(requestor)
        self._turn_deaf(id, mine, now)
        planned = self.planned.get(id)
        if id in self.repaired:
            self.repairs.duplicate(self.repaired[id], mine, theirs)
        elif planned is not None:
            self.repairs.waited((now - planned.since) / self.distances.to(planned.requestor))
            self.repaired[id] = False
        if planned is None or not self.options.suppression:
            return ()
        del self.planned[id]
        return [CancelTimer(_name(REPAIR, id))]

    def _turn_deaf(self, id: MessageId, distance: float, now: float) -> None:
        self.deaf_until[id] = now + self.options.hold_down * distance

    # Session messages

    def _tell(self, now: float) -> Actions:
        """Sends a session message and sets the time of the next."""
        options = self.options
        echoes = self.distances.echoes(now, srm_sessions.ECHOES_TOLD)
        session = Session(stamp(now), self.turns.take(self.highest), tuple(echoes))
        body = srm_sessions.pack(session)
        period = options.period_s(self.view.nodes, HEADER_BYTES + len(body))
        again = SetTimer(SESSION, now + period * self.rng.uniform(1 - JITTER, 1 + JITTER))
        return [Send(ALL, SrmSession(self.view.me, UNNAMED, 0, 0, body)), again]

    def _hear_session(self, body: bytes, sender: NodeId, now: float) -> Actions:
        try:
            session = srm_sessions.unpack(body)
        except ValueError:
            return [Note("bad_body", len(body))]
        self.distances.heard(sender, session.stamp, now)
        for echo in session.echoes:
            if echo.peer == self.view.me:
                self.distances.echoed(sender, echo.stamp, echo.held, now)
        done: list[Action] = []
        for origin, highest in session.highest:
            if origin in self.view.everyone:
                done += self._reveal(origin, highest, now)
        return done


def _name(kind: str, id: MessageId) -> str:
    """The name of a multicast's timer."""
    return f"{kind}:{id.origin}:{id.sequence}"
