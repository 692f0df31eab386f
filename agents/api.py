"""The contract between a protocol and whatever drives it.

A protocol is a state machine without I/O. It is handed messages, timers, rounds, the time and a
seeded random source, and returns the actions it wants done. The UDP runner and the simulator drive
the same object, so a protocol that reads a clock, a socket or a global cannot be judged.

The driver keeps these promises:

- The actions of one call are done in the order of the list, before any other call to the protocol.
- `SetTimer` with a name that is already set replaces it. A timer set in the past fires as soon as
  the actions of the current call are done, with the time at which it fires, never inside the call.
- A message to oneself arrives like any other, later and without loss or delay of a link, never
  inside the call that sent it.
- `now` is in seconds since the start of the run, and never decreases, unless a fault steps the
  node's clock back. Timers that are set by then and rounds keep their instants.
- What is sent to a group reaches each of its members once at most, and never its sender.

Groups, all by `Send(group, message)`: "all" are all nodes, "subnet:3" those of `View.subnets[3]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, NamedTuple, TypeAlias

NodeId: TypeAlias = int
"""0..N-1. The members of a subnet, and of every larger group, have consecutive numbers."""


MAX_HOP = 0xFFFF  # two bytes on the wire
CREATED = "created"
"""The key under which a node stores how many multicasts it has sent."""


class MessageId(NamedTuple):
    """Names one multicast: the node that sent it first, and that node's own sequence number."""

    origin: NodeId
    sequence: int


@dataclass(frozen=True, slots=True)
class Message:
    """The base of a protocol's messages; subclass it once for each kind and give it a TYPE.

    The envelope on the wire carries every field but the body by itself. TYPE is one byte, unique
    over all protocols, and the first byte of the datagram: routers count by it.
    """

    TYPE: ClassVar[int]
    DATA: ClassVar[bool] = True
    """Whether it is made to carry a payload; digests, requests, ACKs and the like set False."""

    origin: NodeId
    sequence: int
    hop: int = 0
    """Times the message was forwarded before this send; 0 when its origin sends it."""
    round: int = 0
    """The sender's own round number at the send."""
    body: bytes = b""

    @property
    def id(self) -> MessageId:
        return MessageId(self.origin, self.sequence)

    @property
    def next_hop(self) -> int:
        """The hop of the copies that whoever got this one sends, at most what the wire holds."""
        return min(self.hop + 1, MAX_HOP)


@dataclass(frozen=True, slots=True)
class View:
    """What a node knows of the others: everyone, and the nested groups that it belongs to.

    `groups[0]` is the node's own subnet, each further range contains the one before it, and the
    last one is everyone. Ranges have step 1, so a view of 2^32 nodes costs as much as one of 2.
    """

    me: NodeId
    groups: tuple[range, ...]
    subnets: tuple[range, ...] = ()
    """All subnets in the order of their nodes. A driver always gives them; the nodes share them."""

    @property
    def everyone(self) -> range:
        return self.groups[-1]

    @property
    def nodes(self) -> int:
        return len(self.groups[-1])


# Actions


@dataclass(frozen=True, slots=True)
class Send:
    """Sends a message to one node, or to a multicast group by its name ("all", "subnet:3")."""

    to: NodeId | str
    message: Message
    ttl: int | None = None
    """One more than the routers that a multicast may cross, 1..255: 1 stays in the sender's own
    subnet. None for no limit. A datagram to one node ignores it."""


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Sends a message to all link-layer neighbours at once: the others of the own subnet."""

    message: Message


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hands a multicast to the application. A protocol delivers each id at most once."""

    id: MessageId
    hop: int | None = None
    """The links that it took, where a message that carries several brought it; None where the
    message names it, so that the driver knows, and where none brought it."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Tells the application that a multicast will never be delivered here."""

    id: MessageId


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Asks for `on_timer(name, ...)` at a time in seconds since the start of the run."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forgets a timer; one that is not set is no error."""

    name: str


@dataclass(frozen=True, slots=True)
class Store:
    """Keeps a value that survives a restart of the node; `on_stored` hands it back."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Radio:
    """Switches the node's receiver on or off: while it is off, datagrams pass it by unheard."""

    on: bool


@dataclass(frozen=True, slots=True)
class Note:
    """Writes a number into the trace, for a metric of the protocol's own."""

    kind: str
    value: float


Action: TypeAlias = (
    Send | Broadcast | Deliver | Lost | SetTimer | CancelTimer | Store | Radio | Note
)
Actions: TypeAlias = Sequence[Action]


class Protocol:
    """The base of every protocol. A file in `agents/protocols/` defines exactly one subclass.

    `Options` is a frozen dataclass whose fields are made with `agents.options.option`; `MESSAGES`
    lists the message classes that the protocol sends. `FIFO` and `RELIABLE` are promises that
    `testbed check` and the property tests hold it to. A subclass overrides what it needs.
    """

    Options: ClassVar[type[Any]]
    MESSAGES: ClassVar[tuple[type[Message], ...]] = ()
    FIFO: ClassVar[bool] = False
    """Promises that the multicasts of one origin are delivered in the order of their sending."""
    RELIABLE: ClassVar[bool] = False
    """Promises that once losses end every node that stays up delivers each multicast of every
    origin that stays up."""
    GROUPS: ClassVar[bool] = False
    """Whether it sends to groups or broadcasts, which a driver has to set up; others may not."""

    def __init__(self, view: View, options: Any, rng: Random) -> None:
        self.view = view
        self.options = options
        self.rng = rng
        self.created = 0
        """Multicasts of this node so far, in all its lives."""

    def new_id(self) -> tuple[MessageId, Store]:
        """Names the next multicast of this node, and keeps the count: after a crash too, no two
        multicasts may have the same name."""
        self.created += 1
        return MessageId(self.view.me, self.created), Store(CREATED, b"%d" % self.created)

    @classmethod
    def promised(cls, options: Any) -> tuple[bool, bool]:
        """FIFO and RELIABLE with these options; a subclass says which ones give them up."""
        return cls.FIFO, cls.RELIABLE

    @classmethod
    def check(cls, options: Any, nodes: int) -> None:
        """Raises `OptionError` when the options do not fit a group of that many nodes."""

    @classmethod
    def warm_up_s(cls, options: Any, nodes: int) -> float:
        """Seconds that a group of that many nodes runs before the first multicast of a stream.

        For what a long-lived group would know already, such as distances between its members. What
        is sent meanwhile counts for no multicast.
        """
        return 0.0

    def on_start(self, now: float) -> Actions:
        """The node has started, or started again after a crash."""
        return ()

    def on_stored(self, key: str, value: bytes) -> None:
        """Before `on_start` of a restarted node: one value that it had stored.

        An override hands what it does not know to this method.
        """
        if key == CREATED:
            self.created = int(value)

    def multicast(self, payload: bytes, now: float) -> Actions:
        """The application of this node multicasts a payload.

        What it returns names the new multicast: by its `Deliver` here, or by what it sends first.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no multicast(payload, now); define it"
        )

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        """The node has a multicast from the start, as if it had just heard its first copy.

        So begins a run in which every node is infected (`sources = "all"`).
        """
        raise NotImplementedError(f"{type(self).__name__} has no hold(id, payload, now); define it")

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        """A message arrived from another node (or from this one)."""
        return ()

    def on_timer(self, name: str, now: float) -> Actions:
        """A timer set with `SetTimer` is due."""
        return ()

    def on_round(self, k: int, now: float) -> Actions:
        """The node's k-th gossip round begins (k counts from 1 at this node).

        The driver alone decides when that is: see `agents.timing`.
        """
        return ()
