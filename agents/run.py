"""One run at one node: a protocol object, its rounds, its timers and what it did.

This is the half of the UDP driver that keeps the promises of `agents.api`; the other half
(`agents.runner`) owns the sockets and the clock, and is handed in as an `Outlet`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from math import inf
from typing import Any, NamedTuple, Protocol

from agents import blame, groups, streams
from agents.api import (
    Action,
    Actions,
    Broadcast,
    CancelTimer,
    Deliver,
    Lost,
    MessageId,
    Note,
    Radio,
    Send,
    SetTimer,
    Store,
    View,
)
from agents.options import OptionError, make
from agents.registry import Plugin
from agents.seeds import derive
from agents.timing import Timing
from agents.trace import Event, Trace
from agents.wire import Dialect, Packet, Reason, encode

# Looking a member up in its enumeration is slow in Python 3.11, and these are looked up often.
TICK, SEND, RECEIVE = Event.tick, Event.send, Event.receive
DUPLICATE, DELIVER, DROP = Event.duplicate, Event.deliver, Event.drop

# Wake-ups by number are the driver's own; the protocol's timers have names.
ROUND, OPENING, MULTICAST = 0, 1, 2

EVERYBODYS = MessageId(0, 0)
"""The multicast that all nodes hold at the start of a run with sources "all"."""

_serials = count()


class ProtocolError(Exception):
    """A protocol asked for something that cannot be done."""


class Outlet(Protocol):
    """What a run needs from its surroundings."""

    trace: Trace

    def send(self, node: int, datagram: bytes) -> int:
        """Sends a datagram; returns 0 or the errno."""

    def cast(self, group: int, datagram: bytes, ttl: int | None) -> int:
        """Sends a datagram to a group of `agents.groups`; returns 0 or the errno."""

    def store(self, run: int, key: str, value: bytes) -> None:
        """Keeps a value beyond the node's death."""

    def stored(self, run: int) -> Mapping[str, bytes]:
        """The values that an earlier life of the node kept."""

    def settled(self, run: int) -> set[MessageId]:
        """What an earlier life of the node delivered or declared lost."""

    def wake(self, due_ns: int, serial: int, run: Run, name: str | int) -> None:
        """Asks for `run.fire(serial, name, ...)` at a time."""

    def report(self, message: dict[str, Any]) -> None:
        """Tells the harness."""


class RunSpec(NamedTuple):
    """What the harness says of a run; `at_ns` is monotonic.

    Each of `sources` sends `messages` multicasts, the first `warm_up_s` after the start and
    `interval_s` between two; with "all" every node holds one multicast. `settle` asks for a report
    once nothing is left to come. `again` counts the lives that the node had in this run before.
    """

    run: int
    seed: int
    protocol: str
    at_ns: int
    options: Mapping[str, Any]
    timing: str = "free"
    round_s: float = 0.2
    sources: list[int] | str = "all"
    payload_bytes: int = 64
    messages: int = 1
    interval_s: float = 0.0
    warm_up_s: float = 0.0
    settle: bool = False
    again: int = 0

    @classmethod
    def of(cls, command: Mapping[str, Any]) -> RunSpec:
        """Picks the fields out of a command. Raises `OptionError` when one is missing."""
        try:
            return cls(**{name: command[name] for name in cls._fields if name in command})
        except TypeError as error:
            raise OptionError(f"start: {error}; give {', '.join(cls._fields)}") from None


class Run:
    """Drives one protocol object. Times are monotonic nanoseconds."""

    def __init__(self, spec: RunSpec, plugin: Plugin, view: View, outlet: Outlet) -> None:
        options = make(plugin.protocol.Options, spec.options)
        plugin.protocol.check(options, view.nodes)
        me = view.me
        # Draws of an earlier life are not repeated.
        life = f" {int(spec.again)}" if spec.again else ""
        self.spec = spec
        self.id = spec.run
        self.me = me
        self.nodes = view.nodes
        self.dialect = Dialect(plugin.number, plugin.messages)
        self.protocol = plugin.protocol(view, options, derive(spec.seed, me, "targets" + life))
        self.timing = Timing(spec.timing, spec.round_s, derive(spec.seed, me, "phase" + life))
        self.outlet = outlet
        self.trace = outlet.trace
        self.opening: Actions = ()
        """What the protocol wants done at the start, where that includes a send."""
        self.listening = True
        self.over = False
        self.infected = False
        self.begun = 0
        """Multicasts of this node so far, those included that an earlier life did not live for."""
        self.mine = 0 if spec.sources == "all" or me not in spec.sources else spec.messages
        self.expected = spec.messages * len(spec.sources) if spec.settle else -1
        self.settled: set[MessageId] = set()
        """What was delivered or declared lost."""
        self.delivered: set[MessageId] = set()
        self.zero_ns = spec.at_ns
        """When the protocol's clock was at 0."""
        self.waiting: dict[str | int, int] = {}
        """The serial of the latest wake-up asked for, by name or number."""

    def open(self, now_ns: int) -> None:
        """Makes the calls that belong to the start of the run, before it or, at worst, late.

        They get the time of the start. What they want done is done at once unless it includes a
        send: a thousand nodes that all wake at the start would delay each other's first rounds.
        """
        spec = self.spec
        at_ns = max(now_ns, spec.at_ns)
        late_ns = 0 if spec.again else at_ns - spec.at_ns
        self.trace.write(Event.start, self.id, at_ns, value=late_ns, round=spec.again)
        if spec.again:
            self.timing.resume(self._elapsed(at_ns))
            self.settled |= self.outlet.settled(self.id) if spec.settle else set()
            elapsed_ns = at_ns - spec.at_ns
            self.begun = streams.due_by(elapsed_ns, spec.interval_s, self.mine, spec.warm_up_s)
        self._schedule_tick()
        self._call(at_ns, None, self._open, at_ns)
        if self.opening:
            self._wake(OPENING, spec.at_ns)
        else:
            self._schedule_multicast()

    def fire(self, serial: int, name: str | int, due_ns: int, now_ns: int) -> None:
        """A wake-up is due; one that was replaced or cancelled is passed over."""
        if self.waiting.get(name) != serial:
            return
        del self.waiting[name]
        if isinstance(name, str):
            self._call(now_ns, None, self.protocol.on_timer, name, self._seconds(now_ns))
        elif name == ROUND:
            self._tick(due_ns, now_ns)
        elif name == MULTICAST:
            self._call(now_ns, None, self._multicast, now_ns)
            self._schedule_multicast()
        else:
            self._call(now_ns, None, lambda: self.opening)
            self._schedule_multicast()

    def take(self, packet: Packet, size: int, lag_ns: int, now_ns: int) -> None:
        """A message of this run arrived."""
        message = packet.message
        if not self.listening:
            self.trace.write(
                DROP,
                self.id,
                now_ns,
                peer=packet.sender,
                bytes=size,
                type=message.TYPE,
                reason=Reason.radio_off,
            )
            return
        again = message.id in self.delivered
        self.trace.write(
            DUPLICATE if again else RECEIVE,
            self.id,
            now_ns,
            value=lag_ns,
            sequence=message.sequence,
            peer=packet.sender,
            origin=message.origin,
            round=message.round,
            hop=message.hop,
            bytes=size,
            type=message.TYPE,
        )
        now = self._seconds(now_ns)
        self._call(now_ns, packet, self.protocol.on_message, message, packet.sender, now)

    def stop(self, now_ns: int) -> None:
        """Ends the run at this node."""
        self.over = True
        self.waiting.clear()
        self.trace.write(Event.stop, self.id, now_ns, round=self.timing.k)

    def set_clock(self, ahead_s: float) -> None:
        """Has the protocol's clock be so much ahead; rounds and timers that are set stay."""
        self.zero_ns = self.spec.at_ns - round(ahead_s * 1e9)

    def _open(self, at_ns: int) -> Actions:
        now = self._seconds(at_ns)
        if self.spec.again:
            for key, value in self.outlet.stored(self.id).items():
                self.protocol.on_stored(key, value)
            return self.protocol.on_start(now)
        actions = [*self.protocol.on_start(now)]
        if self.spec.sources == "all":
            actions += self.protocol.hold(EVERYBODYS, bytes(self.spec.payload_bytes), now)
        elif self.mine and not self.spec.warm_up_s:
            actions += self._multicast(at_ns)
        if any(isinstance(action, Send | Broadcast) for action in actions):
            self.opening = actions
            return ()
        return actions

    def _multicast(self, now_ns: int) -> Actions:
        self.begun += 1
        payload = bytes(self.spec.payload_bytes)
        actions = self.protocol.multicast(payload, self._seconds(now_ns))
        origin, sequence = streams.named(self.me, actions)
        k = self.timing.k
        write = self.trace.write
        write(Event.multicast, self.id, now_ns, origin=origin, sequence=sequence, round=k)
        return actions

    def _schedule_multicast(self) -> None:
        if self.begun < self.mine and not self.over:
            due_ns = streams.due_ns(self.begun, self.spec.interval_s, self.spec.warm_up_s)
            self._wake(MULTICAST, self.spec.at_ns + due_ns)

    def _tick(self, due_ns: int, now_ns: int) -> None:
        k = self.timing.begin()
        self.trace.write(TICK, self.id, now_ns, value=now_ns - due_ns, round=k)
        self._schedule_tick()
        now = self._seconds(now_ns)
        self._call(now_ns, None, self.protocol.on_round, k, now)

    def _call(
        self, now_ns: int, cause: Packet | None, method: Callable[..., Actions], *args: Any
    ) -> None:
        """Calls the protocol and does what it asks; an exception ends the run at this node only."""
        try:
            for action in method(*args):
                self._do(action, now_ns, cause)
        except Exception as error:
            reason = blame.worded(error, self.protocol)
            self.trace.write(Event.error, self.id, now_ns, round=self.timing.k)
            self.outlet.report({"is": "error", "node": self.me, "run": self.id, "text": reason})
            self.stop(now_ns)

    def _do(self, action: Action, now_ns: int, cause: Packet | None) -> None:
        if isinstance(action, Send):
            self._send(action, now_ns)
        elif isinstance(action, Deliver):
            self._deliver(action, now_ns, cause)
        elif isinstance(action, SetTimer):
            self._wake(action.name, self.zero_ns + round(action.at * 1e9))
        elif isinstance(action, CancelTimer):
            self.waiting.pop(action.name, None)
        elif isinstance(action, Note):
            self.trace.note(self.id, now_ns, action.kind, action.value)
        elif isinstance(action, Lost):
            origin, sequence = action.id
            k = self.timing.k
            self.trace.write(Event.lost, self.id, now_ns, origin=origin, sequence=sequence, round=k)
            self._settle(action.id)
        elif isinstance(action, Radio):
            self.listening = action.on
        elif isinstance(action, Broadcast):
            self._send(action, now_ns)
        elif isinstance(action, Store):
            self.outlet.store(self.id, action.key, action.value)
        else:
            raise ProtocolError(f"{type(action).__name__} is no action")

    def _send(self, action: Send | Broadcast, now_ns: int) -> None:
        message = action.message
        if self.dialect.messages.get(message.TYPE) is not type(message):
            raise ProtocolError(f"{type(message).__name__} is not listed in MESSAGES")
        datagram = encode(
            message,
            run=self.id,
            protocol=self.dialect.protocol,
            sender=self.me,
            sent_ns=now_ns,
        )
        peer, errno = self._hand_over(action, datagram)
        self.trace.write(
            DROP if errno else SEND,
            self.id,
            now_ns,
            value=errno,
            sequence=message.sequence,
            peer=peer,
            origin=message.origin,
            round=message.round,
            hop=message.hop,
            bytes=len(datagram),
            type=message.TYPE,
            reason=Reason.send_error if errno else 0,
        )

    def _hand_over(self, action: Send | Broadcast, datagram: bytes) -> tuple[int, int]:
        """Sends a datagram where it belongs; the receiver as records have it, and the errno."""
        to = action.to if isinstance(action, Send) else None
        if isinstance(to, int):
            if not 0 <= to < self.nodes:
                raise ProtocolError(f"Send to {to!r}; there are 0..{self.nodes - 1}")
            return to, self.outlet.send(to, datagram)
        group, ttl = groups.aim(action, self.protocol)
        errno = self.outlet.cast(group, datagram, ttl)
        return (groups.NEIGHBOURS if to is None else groups.peer(group)), errno

    def _deliver(self, action: Deliver, now_ns: int, cause: Packet | None) -> None:
        id, hop = action.id, action.hop
        if id in self.delivered:
            raise ProtocolError(f"{id} is delivered twice")
        self.delivered.add(id)
        if hop is None and cause is not None and cause.message.id == id:
            hop = cause.message.hop + 1
        self.trace.write(
            DELIVER,
            self.id,
            now_ns,
            sequence=id.sequence,
            origin=id.origin,
            parent=cause.sender if cause is not None and hop is not None else -1,
            round=self.timing.k,
            hop=hop or 0,
        )
        if not self.infected:
            self.infected = True
            if self.timing.infect(self._elapsed(now_ns)):
                self._schedule_tick()
            self.outlet.report({"is": "infected", "node": self.me, "run": self.id, "at_ns": now_ns})
        if self.expected > 0:
            self._settle(id)

    def _settle(self, id: MessageId) -> None:
        self.settled.add(id)
        if len(self.settled) == self.expected:
            self.expected = -1
            self.outlet.report({"is": "settled", "node": self.me, "run": self.id})

    def _schedule_tick(self) -> None:
        if self.timing.due < inf:
            self._wake(ROUND, self.spec.at_ns + round(self.timing.due * 1e9))

    def _wake(self, name: str | int, due_ns: int) -> None:
        serial = next(_serials)
        self.waiting[name] = serial
        self.outlet.wake(due_ns, serial, self, name)

    def _seconds(self, now_ns: int) -> float:
        """The time as the protocol sees it."""
        return (now_ns - self.zero_ns) / 1e9

    def _elapsed(self, now_ns: int) -> float:
        """Seconds since the start of the run."""
        return (now_ns - self.spec.at_ns) / 1e9
