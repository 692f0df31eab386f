"""Centralized multicast: the origin itself sends to every other node.

Model: the lecture's "Centralized", a loop over all receivers, N-1 sends a multicast; by `ack` with
an acknowledgement from each and retransmission: (N-1)/(1-eps) sends in expectation when only data
is lost, (N-1)/(1-eps)^2 when acknowledgements are as well. One copy follows the other at the rate
of the sender's link, so the last receiver waits in proportion to N, and all acknowledgements come
back within a round trip. A copy names the oldest multicast that its receiver may still get; what is
missing below was given up, after `max_tries` sends. So delivery is promised where losses end before
the last of these: by the defaults that is 37 s after the first where round trips take up to 50 ms,
55 s where none was measured yet. Left out: flow control; a receiver that was given up gets the next
multicast all the same, since it may be back.

Reference: lecture, "Centralized". The timeouts are decided here (`agents.parts.outstanding`).
Timers: one retransmission timer a receiver and multicast; one that paces the sends.
Order: FIFO by origin with mode=ack; with fire_and_forget as it comes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
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
from agents.parts.ordering import Fifo, Unordered
from agents.parts.outstanding import Outstanding, RetryOptions
from agents.wire import HEADER_BYTES, MAX_BODY

LOW = Struct(">I")  # the oldest multicast that the receiver may still get
MAX_PAYLOAD = MAX_BODY - LOW.size
IP_UDP_BYTES = 28
PACE = "pace"
CLOCK_S = 1e-9
"""Of the drivers: a timer may fire so much before the time that it was set to."""


@dataclass(frozen=True)
class CentralizedOptions(RetryOptions):
    """The options of centralized multicast."""

    mode: str = option(
        "ack", choices=("ack", "fire_and_forget"), help="whether receivers acknowledge"
    )
    order: str = option(
        "random", choices=("random", "list"), help="order in which the receivers are sent to"
    )
    rate_mbit: float = option(
        0.0, unit="Mbit/s", low=0, high=1e6, help="pace of the sends; 0 sends all at once"
    )


class CentralizedData(Message):
    """A copy from the origin; the body is the oldest number still to come, and the payload."""

    __slots__ = ()
    TYPE = 0x20


class CentralizedAck(Message):
    """Says that the copy of this multicast has arrived."""

    __slots__ = ()
    TYPE = 0x21
    DATA = False


class Centralized(Protocol):
    """Sends to each of the others, and again to those that do not acknowledge."""

    Options = CentralizedOptions
    MESSAGES = (CentralizedData, CentralizedAck)
    FIFO = True
    RELIABLE = True

    def __init__(self, view: View, options: CentralizedOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.reliable = options.mode == "ack"
        self.outstanding = Outstanding(options)
        self.payloads: dict[int, bytes] = {}
        self.missing: dict[int, int] = {}
        """Of each multicast that is not settled: how many acknowledgements."""
        self.queue: deque[tuple[NodeId, int]] = deque()
        self.free_at = 0.0
        """When the pace allows the next send."""
        self.fifo = Fifo() if self.reliable else Unordered()

    @classmethod
    def promised(cls, options: CentralizedOptions) -> tuple[bool, bool]:
        answered = options.mode == "ack"
        return answered, answered and options.max_tries >= CentralizedOptions.max_tries

    @classmethod
    def check(cls, options: CentralizedOptions, nodes: int) -> None:
        options.check()

    def multicast(self, payload: bytes, now: float) -> Actions:
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_PAYLOAD}")
        me = self.view.me
        id, kept = self.new_id()
        others = [node for node in self.view.everyone if node != me]
        if self.options.order == "random":
            self.rng.shuffle(others)
        if others:
            self.payloads[id.sequence] = payload
            self.missing[id.sequence] = len(others)
        for to in others:
            self.outstanding.expect(to, id)
            self._enqueue(to, id.sequence, now)
        return [Deliver(id), kept, *self._serve(now)]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        self.fifo.add(id)
        return [Deliver(id)]

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        if isinstance(message, CentralizedAck):
            return self._answered(message.id, sender, now)
        if len(message.body) < LOW.size:
            return [Note("short_body", len(message.body))]
        if sender != message.origin or sender == self.view.me:
            return [Note("not_from_origin", sender)]
        return self._hear(message)

    def on_timer(self, name: str, now: float) -> Actions:
        if name == PACE:
            return self._serve(now)
        due = self.outstanding.due(name)
        if due is None:
            return ()
        if due.over:
            self._settle(due.id.sequence)
            return [Note("gave_up", due.to)]
        self._enqueue(due.to, due.id.sequence, now)
        return self._serve(now)

    def _hear(self, message: Message) -> Actions:
        """Takes a copy and delivers what may be; it is acknowledged every time it comes."""
        id = message.id
        (low,) = LOW.unpack_from(message.body)
        done: list[Action] = [*self.fifo.give_up_below(id.origin, min(low, id.sequence))]
        if not self.fifo.reaches(id):
            return [*done, Note("too_far_ahead", id.sequence)]
        done += self.fifo.add(id)
        if self.reliable:
            done.append(Send(id.origin, CentralizedAck(*id, message.next_hop, message.round)))
        return done

    def _answered(self, id: MessageId, sender: NodeId, now: float) -> Actions:
        cancelled = self.outstanding.answered(sender, id, now)
        if cancelled is None:
            return ()
        self._settle(id.sequence)
        return [cancelled]

    def _settle(self, sequence: int) -> None:
        """One receiver less to hear from; the payload is kept until the last."""
        self.missing[sequence] -= 1
        if not self.missing[sequence]:
            del self.missing[sequence], self.payloads[sequence]

    def _enqueue(self, to: NodeId, sequence: int, now: float) -> None:
        """A pause is not made up for; a timer that fires late, while there is a queue, is."""
        if not self.queue:
            self.free_at = max(self.free_at, now)
        self.queue.append((to, sequence))

    def _serve(self, now: float) -> list[Action]:
        """Sends what the pace allows; what was acknowledged meanwhile needs no send."""
        done: list[Action] = []
        while self.queue and self.free_at <= now + CLOCK_S:
            to, sequence = self.queue.popleft()
            id = MessageId(self.view.me, sequence)
            if not self.outstanding.expects(to, id):
                continue
            payload = self.payloads[sequence]
            low = self.outstanding.of(to)[0].sequence if self.reliable else sequence
            copy = CentralizedData(*id, 0, 0, LOW.pack(low) + payload)
            done.append(Send(to, copy))
            if self.reliable:
                done.append(self.outstanding.sent(to, id, now))
            else:
                self._answered(id, to, now)
            if self.options.rate_mbit:
                bits = 8 * (IP_UDP_BYTES + HEADER_BYTES + len(copy.body))
                self.free_at += bits / (self.options.rate_mbit * 1e6)
        if self.queue:
            done.append(SetTimer(PACE, self.free_at))
        return done
