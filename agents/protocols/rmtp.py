"""RMTP: receivers report what they miss to designated receivers, who repair it locally.

Model: Lin & Paul, INFOCOM 1996; Paul, Sabnani, Lin & Bhattacharyya, IEEE JSAC 15(3), 1997. The
source multicasts to all. Every T_ack a node sends its status to the nearest designated receiver
(DR, see `agents.parts.rmtp_tree`), who waits T_retx for more and then repairs what it has: by
unicast, or for more than `multicast_threshold` of its nodes by multicast to their subnets. DRs
report upwards themselves, and fetch what they miss; so the source hears from its own subnet and the
top DRs only.
Who finds itself late asks at once (ACK_TXNOW). DRs advertise (SND_ACK_TOME): a node whose DR falls
silent for three periods reports to the next one up, and when it is back tells the source, whose
window its last word would hold [decided here]. Delivery is in order.

T_ack is twice the round trip to the DR, and `t_ack_s` at least. A node that has all that it knows
of stops to report `t_dally_s` after the last news. Left out: end of file and reset, since the group
never closes; a DR therefore keeps everything. Choosing a DR by the time to live that is left of its
SND_ACK_TOME: nested subnets name the nearest one beforehand. The source's advertisements go on for
ever: they tell who has missed the end.

Reference: Paul et al., IEEE JSAC 15(3), 1997; Lin & Paul, INFOCOM 1996.
Timers: transmission (T_send), status (T_ack), repair (T_retx), advertisements. That a DR is silent
is seen when a status is due.
Order: FIFO by origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    SetTimer,
    View,
)
from agents.options import option
from agents.parts import rmtp_status, rmtp_tree
from agents.parts.distances import SECOND, WRAP, stamp
from agents.parts.rmtp_sender import Sender
from agents.parts.rmtp_session import Session
from agents.parts.stores import UNNAMED
from agents.wire import MAX_BODY

ALL = "all"
SEND, ADVERTISE, REPORT, RESEND = "send", "advertise", "report", "resend"
STAMP = Struct(">I")
SOURCE = Struct(">II")  # and the highest number known of it
SOURCES_TOLD = MAX_BODY // SOURCE.size
SILENT_PERIODS = 3
LEAVES = 3  # words of leaving, since each may be lost
MEASURE_S = 5.0  # a round trip is measured again after this


@dataclass(frozen=True)
class RmtpOptions:
    """Windows, periods and thresholds."""

    window: int = option(
        64, unit="multicasts", low=1, high=rmtp_status.WIDEST, help="most that is under way (W)"
    )
    t_send_s: float = option(
        0.05, unit="s", low=0.001, high=60, help="time between two bursts of new multicasts"
    )
    t_ack_s: float = option(
        0.2, unit="s", low=0.001, high=60, help="shortest time between two status messages"
    )
    t_retx_s: float = option(
        0.2, unit="s", low=0.001, high=60, help="wait of a DR for more requests, or for a repair"
    )
    multicast_threshold: int = option(
        2, unit="nodes", low=0, help="repair by multicast when more than so many ask for one number"
    )
    congestion_ratio: float = option(
        0.25, low=0, high=1e6, help="share of the window; more requests set the bursts back to 1"
    )
    advertise_s: float = option(
        1.0, unit="s", low=0.01, high=3600, help="time between two SND_ACK_TOME"
    )
    t_dally_s: float = option(
        5.0, unit="s", low=0.01, high=3600, help="how long a node reports after the last news"
    )


class RmtpData(Message):
    """A multicast, from its source to all; the body is the payload."""

    __slots__ = ()
    TYPE = 0x36


class RmtpRepair(Message):
    """A multicast again, from a DR; the body is the payload."""

    __slots__ = ()
    TYPE = 0x37


class RmtpStatus(Message):
    """What the sender has of a source; see `agents.parts.rmtp_status`."""

    __slots__ = ()
    TYPE = 0x38
    DATA = False


class RmtpAckTxNow(Message):
    """The status of a late joiner, who asks for all that it misses at once."""

    __slots__ = ()
    TYPE = 0x39
    DATA = False


class RmtpSndAckToMe(Message):
    """A DR says that it is there, and the highest number that it knows of each source."""

    __slots__ = ()
    TYPE = 0x3A
    DATA = False


class RmtpRttMeasure(Message):
    """Measures the round trip to a DR; the body is a stamp."""

    __slots__ = ()
    TYPE = 0x3B
    DATA = False


class RmtpRttAck(Message):
    """The stamp comes back."""

    __slots__ = ()
    TYPE = 0x3C
    DATA = False


class RmtpLeave(Message):
    """Tells the source that the sender reports to a DR nearer to it again."""

    __slots__ = ()
    TYPE = 0x3D
    DATA = False


class Rmtp(Protocol):
    """Multicasts to all; what was lost is repaired by the nearest who has it."""

    Options = RmtpOptions
    MESSAGES = (
        *(RmtpData, RmtpRepair, RmtpStatus, RmtpAckTxNow),
        *(RmtpSndAckToMe, RmtpRttMeasure, RmtpRttAck, RmtpLeave),
    )
    FIFO = True
    RELIABLE = True
    GROUPS = True

    def __init__(self, view: View, options: RmtpOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.sessions: dict[NodeId, Session] = {}
        self.sender = Sender(options.window, int(options.congestion_ratio * options.window))
        self.alive: dict[NodeId, float] = {}
        """When each DR was last heard."""
        self.round_trips: dict[NodeId, float] = {}
        self.measured: dict[NodeId, float] = {}

    def on_start(self, now: float) -> Actions:
        return [SetTimer(ADVERTISE, now + self.options.advertise_s * self.rng.random())]

    def multicast(self, payload: bytes, now: float) -> Actions:
        _check_size(payload)
        id, kept = self.new_id()
        self.sender.create(id.sequence)
        session = self._session(id.origin)
        session.fifo.resume(id)
        done: list[Action] = [*session.add(id.sequence, 0, payload, now), kept]
        session.came[id.sequence] = inf  # nobody misses it before it is sent
        return done if self.sender.running else [*done, *self._transmit(now)]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        _check_size(payload)
        session = self._session(id.origin)
        session.cache[id.sequence] = 0, payload
        session.came[id.sequence] = now
        return [Deliver(id)]

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        if message.origin not in self.view.everyone:
            return [Note("unknown_origin", message.origin)]
        self.alive[sender] = now
        if isinstance(message, RmtpData | RmtpRepair):
            return self._take(message, now)
        if isinstance(message, RmtpStatus | RmtpAckTxNow):
            return self._heed(message, sender, now)
        if isinstance(message, RmtpSndAckToMe):
            return self._hear_of(message.body, now)
        if isinstance(message, RmtpLeave):
            self._session(message.origin).children.pop(sender, None)
            return ()
        if len(message.body) != STAMP.size:
            return [Note("bad_body", len(message.body))]
        if isinstance(message, RmtpRttMeasure):
            return [Send(sender, RmtpRttAck(self.view.me, UNNAMED, 0, 0, message.body))]
        (sent,) = STAMP.unpack(message.body)
        self.round_trips[sender] = (stamp(now) - sent) % WRAP / SECOND
        return ()

    def on_timer(self, name: str, now: float) -> Actions:
        kind, _, source = name.partition(":")
        if kind == SEND:
            self.sender.adapt()
            return self._transmit(now)
        if kind == ADVERTISE:
            return self._advertise(now)
        session = self._session(int(source))
        return self._report(session, now) if kind == REPORT else self._resend(session, now)

    # The source

    def _transmit(self, now: float) -> list[Action]:
        """Sends what the windows allow, and comes back as long as there is something to send."""
        sender, session = self.sender, self._session(self.view.me)
        sender.running = sender.waiting > 0
        if not sender.running:
            return []
        lowest = session.acknowledged(now - self.options.t_dally_s)
        if lowest is None:  # nobody reports: there is nobody to wait for
            lowest = sender.sent + 1 if session.children else 1
        numbers = sender.next(min(lowest, sender.sent + 1))
        done: list[Action] = [] if numbers else [Note("window_stall", sender.waiting)]
        for number in numbers:
            payload = session.cache[number][1]
            done.append(Send(ALL, RmtpData(self.view.me, number, 0, 0, payload)))
            session.came[number] = now
        return [*done, SetTimer(SEND, now + self.options.t_send_s)]

    # Receivers

    def _session(self, source: NodeId) -> Session:
        if source not in self.sessions:
            self.sessions[source] = Session(self.view, source)
        return self.sessions[source]

    def _take(self, message: Message, now: float) -> list[Action]:
        """A copy of a multicast arrived; what it sent itself a node knows best."""
        if message.origin == self.view.me:
            return []
        session = self._session(message.origin)
        if message.sequence >= session.low + self.options.window:
            done: list[Action] = [Note("beyond_window", message.sequence - session.low)]
            session.exists(session.low + self.options.window - 1, now)
            return [*done, *self._open(session, now)]
        done = [*session.add(message.sequence, message.next_hop, message.body, now)]
        return [*done, *self._open(session, now)]

    def _open(self, session: Session, now: float) -> list[Action]:
        """Begins to report; where much was sent already, at once."""
        if session.reporting or session.source == self.view.me:
            return []
        session.reporting = True
        delay = self.rng.random() * self._period(session, now)
        timer = SetTimer(f"{REPORT}:{session.source}", now + delay)
        if session.whole:
            return [timer]
        return [*self._send_status(session, RmtpAckTxNow, now), timer]

    def _report(self, session: Session, now: float) -> list[Action]:
        if session.whole and now - session.news > self.options.t_dally_s:
            session.reporting = False
            return []
        again = SetTimer(f"{REPORT}:{session.source}", now + self._period(session, now))
        return [*self._send_status(session, RmtpStatus, now), again]

    def _send_status(self, session: Session, kind: type[Message], now: float) -> list[Action]:
        to = self._above(session, now)
        done: list[Action] = []
        if to == session.source:
            session.leaves = LEAVES
        elif session.leaves:
            session.leaves -= 1
            done.append(Send(session.source, RmtpLeave(session.source, UNNAMED)))
        if now - self.measured.get(to, -inf) >= MEASURE_S:
            self.measured[to] = now
            body = STAMP.pack(stamp(now))
            done.append(Send(to, RmtpRttMeasure(self.view.me, UNNAMED, 0, 0, body)))
        body = rmtp_status.pack(session.status())
        return [*done, Send(to, kind(session.source, UNNAMED, 0, 0, body))]

    def _above(self, session: Session, now: float) -> NodeId:
        """The nearest DR that is not known to be silent, at last the source."""
        silent = SILENT_PERIODS * self.options.advertise_s
        near = session.way_up[:-1]
        return next(
            (dr for dr in near if now - self.alive.setdefault(dr, now) <= silent),
            session.way_up[-1],
        )

    def _period(self, session: Session, now: float) -> float:
        """T_ack."""
        least: float = self.options.t_ack_s
        return max(least, 2 * self.round_trips.get(self._above(session, now), 0.0))

    def _hear_of(self, body: bytes, now: float) -> Actions:
        """A DR has told how far each source is."""
        if len(body) % SOURCE.size:
            return [Note("bad_body", len(body))]
        done: list[Action] = []
        for source, highest in SOURCE.iter_unpack(body):
            if source in self.view.everyone and source != self.view.me:
                session = self._session(source)
                session.exists(highest, now)
                if not session.whole:
                    done += self._open(session, now)
        return done

    # Designated receivers

    def _heed(self, message: Message, child: NodeId, now: float) -> Actions:
        """A status: what it lacks is sent, at once or with what others lack."""
        try:
            status = rmtp_status.unpack(message.body)
        except ValueError:
            return [Note("bad_body", len(message.body))]
        options, session = self.options, self._session(message.origin)
        session.report(child, status.low, now)
        numbers = session.lacks(status, options.window, now - options.t_ack_s)
        if message.origin == self.view.me:
            self.sender.requests += len(numbers)
        if isinstance(message, RmtpAckTxNow):
            return [Send(child, self._copy(session, number, now)) for number in numbers]
        waits = bool(session.asked)
        session.ask(child, numbers, now - options.t_retx_s)
        if waits or not session.asked:
            return ()
        return [SetTimer(f"{RESEND}:{session.source}", now + options.t_retx_s)]

    def _resend(self, session: Session, now: float) -> Actions:
        """T_retx is over."""
        asked, session.asked = session.asked, {}
        return [
            Send(to, self._copy(session, number, now))
            for number, children in sorted(asked.items())
            for to in self._whereto(session, children)
        ]

    def _whereto(self, session: Session, children: Iterable[NodeId]) -> tuple[NodeId | str, ...]:
        nodes = tuple(children)
        if len(nodes) > self.options.multicast_threshold:
            group = rmtp_tree.smallest(session.served, nodes)
            if group is not None:
                return rmtp_tree.addresses(self.view, group) or nodes
        return nodes

    def _copy(self, session: Session, number: int, now: float) -> RmtpRepair:
        session.resent[number] = now
        hop, payload = session.cache[number]
        return RmtpRepair(session.source, number, hop, 0, payload)

    def _advertise(self, now: float) -> Actions:
        """Tells all who may report here how far each source is."""
        told: dict[str, list[bytes]] = {}
        for session in self.sessions.values():
            mine = session.source == self.view.me
            highest = self.sender.sent if mine else session.highest
            if session.served and highest:
                for to in rmtp_tree.addresses(self.view, session.served[-1]):
                    told.setdefault(to, []).append(SOURCE.pack(session.source, highest))
        done: list[Action] = []
        for to, entries in told.items():
            chosen = entries[:SOURCES_TOLD]
            if len(entries) > SOURCES_TOLD:
                chosen = self.rng.sample(entries, SOURCES_TOLD)
            advert = RmtpSndAckToMe(self.view.me, UNNAMED, 0, 0, b"".join(chosen))
            done.append(Send(to, advert))
        return [*done, SetTimer(ADVERTISE, now + self.options.advertise_s)]


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_BODY:
        raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_BODY}")
