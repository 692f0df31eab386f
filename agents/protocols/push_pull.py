"""Push-pull gossip: in each of its rounds a node calls a random other, and both tell the other.

Model: Karp, Schindelhauer, Shenker and Voecking, Randomized rumor spreading (FOCS 2000): log_3 n +
O(ln ln n) rounds. With exchange=two_way the call carries a digest and a fresh multicast, more of
them follow as datagrams of their own; the partner answers with what the digest lacks. A call with
nothing fresh is a poll, a digest alone, and everybody calls in every round for ever: idle, a group
of N sends N polls a round. A push needs one datagram to arrive, a pull two. A multicast is pushed
while it is fresh, by the same rules as for push, and fetched ever after. With exchange=three_way
every call is a poll; the partner sends what the digest lacks and, if it lacks something itself, its
own digest; the caller sends that.

With termination=median_counter (`agents.parts.median_counter`) there are no digests: both parties
send what they still spread, needed or not, until the counters tell them to be silent, after
O(n ln ln n) transmissions; retention is not looked at, and calls without a multicast go on.

Reference: lecture, "Push vs. Pull"; Karp et al. 2000.
Timers: none but the rounds.
Order: as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

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
from agents.parts import push_pull_bodies, targets
from agents.parts.median_counter import Medians, limit, patience
from agents.parts.push_pull_bodies import DIGEST_BYTES, MAX_PAYLOAD, Brought
from agents.parts.retention import KINDS, MAX_AGE, WHEN, Hold, Retention, RumourOptions
from agents.parts.stores import UNNAMED, Store
from agents.wire import MAX_BODY


@dataclass(frozen=True)
class PushPullOptions(RumourOptions):
    """The options of push, with one partner a round."""

    fan_out: int = option(1, unit="targets", low=1, help="partners called in a round")
    replacement: bool = option(False, help="whether one round may call the same partner twice")
    retention: str = option(
        "forever", choices=KINDS, help=f"when a node stops pushing a multicast. {WHEN}"
    )
    exchange: str = option("two_way", choices=("two_way", "three_way"), help="form of a call")
    termination: str = option(
        "none", choices=("none", "median_counter"), help="what ends the pushes and answers"
    )
    counter_limit: int = option(
        0, low=0, high=1000, help="limit of the median counter; 0: 1 + ceil(log2 ln N)"
    )


class PushPullCall(Message):
    """A call that brings a multicast; the body is head, digest, payload."""

    __slots__ = ()
    TYPE = 0x14


class PushPullItem(Message):
    """A multicast, pushed beside a call or fetched by one; the body is head and payload."""

    __slots__ = ()
    TYPE = 0x15


class PushPullPoll(Message):
    """A call that brings no multicast; the body is a digest, or nothing."""

    __slots__ = ()
    TYPE = 0x1B
    DATA = False


class PushPullReply(Message):
    """Asks the caller for what is not in the digest, its body."""

    __slots__ = ()
    TYPE = 0x1A
    DATA = False


class PushPull(Protocol):
    """Exchanges multicasts with partners that are uniform over the other nodes."""

    Options = PushPullOptions
    MESSAGES = (PushPullCall, PushPullItem, PushPullPoll, PushPullReply)

    def __init__(self, view: View, options: PushPullOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.retention = Retention.of(options, view.nodes)
        self.store = Store()
        self.fresh: dict[MessageId, Hold] = {}
        self.medians: Medians | None = None
        if options.termination == "median_counter":
            self.medians = Medians(options.counter_limit or limit(view.nodes), patience(view.nodes))
        self.round = 0

    @classmethod
    def check(cls, options: PushPullOptions, nodes: int) -> None:
        options.check(nodes)
        two_way, retention = PushPullOptions.exchange, PushPullOptions.retention
        counted = options.termination != "none"
        if options.retention != retention and (counted or options.exchange != two_way):
            raise OptionError(
                f"retention={options.retention}: only a two-way exchange without termination "
                f"pushes by it; choose exchange=two_way and termination=none, or "
                f"retention={retention} (defaults {two_way}, none, {retention})"
            )
        if options.counter_limit and not counted:
            raise OptionError(
                f"counter_limit={options.counter_limit}: nothing is counted; choose "
                "termination=median_counter (defaults 0, none)"
            )
        if options.termination != "none" and options.exchange != "two_way":
            raise OptionError(
                "termination=median_counter: it has no digests; choose exchange=two_way "
                "(default two_way, none)"
            )

    def draw(self) -> list[NodeId]:
        """The partners of one round."""
        options = self.options
        return targets.others(self.rng, self.view, options.fan_out, options.replacement)

    def multicast(self, payload: bytes, now: float) -> Actions:
        id, kept = self.new_id()
        return [*self.hold(id, payload, now), kept]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_PAYLOAD}")
        self.store.add(id, 0, payload)
        if self.medians:
            self.medians.start(id)
        else:
            self.fresh[id] = self.retention.hold()
        return [Deliver(id)]

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        if isinstance(message, PushPullPoll | PushPullReply):
            return self._polled(message, sender, now)
        size = len(message.body)
        try:
            age, digest, payload = push_pull_bodies.unpack(message.body)
        except ValueError:
            return [Note("short_body", size)]
        if len(payload) > MAX_PAYLOAD:
            return [Note("long_body", size)]
        done: list[Action] = []
        if self.medians:
            if isinstance(message, PushPullCall):
                done += self._spread(self.medians, sender, now)
        elif isinstance(message, PushPullCall):
            try:
                missing = self.store.missing(digest, now)
            except ValueError:
                return [Note("bad_digest", len(digest))]
            done += [Send(sender, self._item(id)) for id in missing]
        return [*done, *self._hear(message, age, payload, now)]

    def on_round(self, k: int, now: float) -> Actions:
        self.round = k
        if self.medians:
            self.medians.begin_round()
            return self._spread_round(self.medians)
        if self.options.exchange == "three_way":
            digest = self.store.digest(self.rng, MAX_BODY)
            poll = PushPullPoll(self.view.me, UNNAMED, 0, k, digest)
            return [Send(target, poll) for target in self.draw()]
        for hold in self.fresh.values():
            hold.begin_round()
        fresh = list(self.fresh)
        digest = self.store.digest(self.rng, DIGEST_BYTES if fresh else MAX_BODY)
        sends: list[Send] = []
        for target in self.draw():
            sends.append(Send(target, self._call(fresh, digest)))
            sends += [Send(target, self._item(id)) for id in fresh[1:]]
            fresh = [id for id in fresh if self.fresh[id].sent(self.rng)]
        self.fresh = {id: hold for id, hold in self.fresh.items() if hold.active}
        return sends

    def _hear(self, message: Message, age: int, payload: bytes, now: float) -> list[Deliver]:
        """Takes a multicast: a new one is delivered and kept, another copy can only age it."""
        id = message.id
        new = self.store.add(id, message.next_hop, payload, now)
        if self.medians:
            if new:
                self.medians.start(id, age)
            else:
                self.medians.heard(id, age)
            return [Deliver(id)] if new else []
        if new:
            self._keep_fresh(id, self.retention.hold(age))
            return [Deliver(id)]
        hold = self.fresh.get(id)
        if hold is not None:
            hold.heard(age)
            self._keep_fresh(id, hold)
        return []

    def _polled(self, message: Message, sender: NodeId, now: float) -> Actions:
        """A digest came, or a call of a node that spreads nothing."""
        if self.medians:
            return self._spread(self.medians, sender, now)
        replies = self.options.exchange == "three_way" and isinstance(message, PushPullPoll)
        try:
            done = [Send(sender, self._item(id)) for id in self.store.missing(message.body, now)]
            replies = replies and self.store.lacks(message.body)
        except ValueError:
            return [Note("bad_digest", len(message.body))]
        if replies:
            digest = self.store.digest(self.rng, MAX_BODY)
            done.append(Send(sender, PushPullReply(self.view.me, UNNAMED, 0, self.round, digest)))
        return done

    def _spread_round(self, medians: Medians) -> list[Action]:
        """Calls the partners of a round with all that is spread."""
        done: list[Action] = []
        for target in self.draw():
            medians.met()
            first = True
            for id, heat in medians.hot.items():
                kind = PushPullCall if first else PushPullItem
                done.append(Send(target, self._copy(kind, id, heat.counter)))
                first = False
            if first:
                done.append(Send(target, PushPullPoll(self.view.me, UNNAMED, 0, self.round)))
        return done

    def _spread(self, medians: Medians, caller: NodeId, now: float) -> list[Action]:
        """Answers a call with what was spread here before it, whether the caller has it or not."""
        medians.met()
        return [
            Send(caller, self._copy(PushPullItem, id, heat.counter))
            for id, heat in medians.hot.items()
            if self.store.items[id].since < now
        ]

    def _copy(self, kind: type[Message], id: MessageId, counter: int) -> Message:
        item = self.store.items[id]
        body = push_pull_bodies.pack(Brought(counter, b"", item.payload))
        return kind(id.origin, id.sequence, item.hop, self.round, body)

    def _keep_fresh(self, id: MessageId, hold: Hold) -> None:
        if hold.active:
            self.fresh[id] = hold
        else:
            self.fresh.pop(id, None)

    def _call(self, fresh: list[MessageId], digest: bytes) -> PushPullCall | PushPullPoll:
        if not fresh:
            return PushPullPoll(self.view.me, UNNAMED, 0, self.round, digest)
        id = fresh[0]
        item = self.store.items[id]
        body = push_pull_bodies.pack(Brought(self.fresh[id].age, digest, item.payload))
        return PushPullCall(id.origin, id.sequence, item.hop, self.round, body)

    def _item(self, id: MessageId) -> PushPullItem:
        item = self.store.items[id]
        hold = self.fresh.get(id)
        age = hold.age if hold else MAX_AGE
        body = push_pull_bodies.pack(Brought(age, b"", item.payload))
        return PushPullItem(id.origin, id.sequence, item.hop, self.round, body)
