"""The rumours that a node holds, bounded by M, and the B of them that it sends in a round.

A policy puts the rumours in an order, first the one that it would send first; ties fall to chance:

- `random_subset`: any order, so that the first B are a uniform draw without replacement.
- `most_recent`: latest first receipt at this node first; `oldest_first`: the reverse.
- `highest_priority`: highest priority first, among equals the most recent.
- `least_sent`: fewest copies sent by this node first.

A round sends the first B by `policy`; a full buffer loses the last ones by `eviction`. So
`least_sent` evicts what was sent most, `most_recent` what came first, and `oldest_first` the
newcomer. What was evicted is known and delivered, and not sent any more.

A packet that has room for all holds them in the order of receipt. A round ages every rumour held,
sent or not: retention counts the node's own rounds since receipt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from agents.api import MAX_HOP, Action, Actions, Deliver, Message, MessageId, NodeId, Note, Send
from agents.options import option
from agents.parts import bundles
from agents.parts.bundles import Entry
from agents.parts.retention import Hold, Retention, RumourOptions
from agents.parts.stores import UNNAMED

POLICIES = ("random_subset", "most_recent", "highest_priority", "oldest_first", "least_sent")

# Names of notes, for the metrics.
INVERSIONS = "inversions"
"""Of each packet: the rumours in it that are outranked by one which was left out."""
AGE_AT_LOSS = "age_at_loss"
"""Of each rumour evicted: its age in rounds."""
DUPLICATES = "duplicates"
"""Of each bundle that had some: rumours in it that were known already."""


@dataclass(frozen=True)
class BufferOptions(RumourOptions):
    """The options of push, and those of the buffer."""

    packet_limit: int = option(10, unit="rumours", low=1, help="most that one packet carries (B)")
    policy: str = option("random_subset", choices=POLICIES, help="which rumours a packet carries")
    buffer_limit: int = option(100, unit="rumours", low=1, help="most that a node holds (M)")
    eviction: str = option(
        "least_sent", choices=POLICIES, help="the last rumour in this order leaves a full buffer"
    )
    priority_levels: int = option(
        4, unit="levels", low=1, high=256, help="a multicast's priority is its number modulo this"
    )


class Held:
    """One rumour that is still gossiped here. `hop` is that of the copies to send."""

    __slots__ = ("hold", "hop", "id", "payload", "priority", "sends", "since")

    def __init__(self, entry: Entry, hold: Hold, since: float) -> None:
        self.id, self.hop, _, self.priority, self.payload = entry
        self.hold = hold
        self.since = since
        self.sends = 0

    def entry(self) -> Entry:
        return Entry(self.id, self.hop, self.hold.age, self.priority, self.payload)


class Buffer:
    """The state of one node: the ids it knows, and the rumours it still gossips.

    `draw` returns the targets of one round; all of them get the same packet, unless a rumour with
    retention `counter` or `coin` is over in the middle of it.
    """

    def __init__(
        self,
        kind: type[Message],
        options: BufferOptions,
        me: NodeId,
        nodes: int,
        rng: Random,
        draw: Callable[[], Sequence[NodeId]],
    ) -> None:
        self.kind = kind
        self.options = options
        self.me = me
        self.retention = Retention.of(options, nodes)
        self.rng = rng
        self.draw = draw
        self.known: set[MessageId] = set()
        self.held: dict[MessageId, Held] = {}

    def begin(self, id: MessageId, payload: bytes, now: float) -> Actions:
        """Holds a rumour that no bundle brought. Raises `ValueError` for a payload too long."""
        if len(payload) > bundles.MAX_PAYLOAD:
            limit = bundles.MAX_PAYLOAD
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {limit}")
        priority = id.sequence % self.options.priority_levels
        self._add(Entry(id, 0, 0, priority, payload), now)
        return [Deliver(id), *self._evict()]

    def hear(self, message: Message, now: float) -> Actions:
        """Takes a bundle: new rumours are delivered and kept, another copy can only age one."""
        try:
            entries = bundles.unpack(message.body)
        except ValueError:
            return [Note("bad_bundle", len(message.body))]
        done: list[Action] = []
        again = 0
        for entry in entries:
            if entry.id in self.known:
                again += 1
                self._heard(entry)
                continue
            hop = min(entry.hop + 1, MAX_HOP)
            self._add(entry._replace(hop=hop), now)
            done.append(Deliver(entry.id, hop))
        if again:
            done.append(Note(DUPLICATES, again))
        return [*done, *self._evict()]

    def begin_round(self, k: int) -> Actions:
        """The packet of the node's k-th round, to each of its targets."""
        if not self.held:
            return ()
        for each in self.held.values():
            each.hold.begin_round()
        ranked = list(self.held.values())
        limit = self.options.packet_limit
        if len(ranked) > limit:  # without a choice nothing is drawn: one rumour goes as by `push`
            ranked = self.ranked(self.options.policy)
        chosen, left = ranked[:limit], ranked[limit:]
        top = max((each.priority for each in left), default=-1)
        done: list[Action] = [Note(INVERSIONS, sum(each.priority < top for each in chosen))]
        packet = self._packet(chosen, k)
        for target in self.draw():
            done += [Send(target, message) for message in packet]
            before = len(chosen)
            chosen = [each for each in chosen if self._goes_on(each)]
            if len(chosen) < before:
                packet = self._packet(chosen, k)
        self.held = {id: each for id, each in self.held.items() if each.hold.active}
        return done

    def ranked(self, policy: str) -> list[Held]:
        """What is held, in the order of a policy."""
        chance = self.rng.random

        def key(each: Held) -> tuple[float, ...]:
            if policy == "most_recent":
                return (-each.since, chance())
            if policy == "oldest_first":
                return (each.since, chance())
            if policy == "highest_priority":
                return (-each.priority, -each.since, chance())
            if policy == "least_sent":
                return (each.sends, chance())
            return (chance(),)

        return sorted(self.held.values(), key=key)

    def _add(self, entry: Entry, now: float) -> None:
        self.known.add(entry.id)
        hold = self.retention.hold(entry.age)
        if hold.active:
            self.held[entry.id] = Held(entry, hold, now)

    def _heard(self, entry: Entry) -> None:
        each = self.held.get(entry.id)
        if each is not None:
            each.hold.heard(entry.age)
            if not each.hold.active:
                del self.held[entry.id]

    def _evict(self) -> list[Note]:
        """Makes room: the last by the eviction's order go."""
        limit = self.options.buffer_limit
        if len(self.held) <= limit:
            return []
        lost = self.ranked(self.options.eviction)[limit:]
        for each in lost:
            del self.held[each.id]
        return [Note(AGE_AT_LOSS, each.hold.age) for each in lost]

    def _goes_on(self, each: Held) -> bool:
        each.sends += 1
        return each.hold.sent(self.rng)

    def _packet(self, chosen: Iterable[Held], k: int) -> list[Message]:
        bodies = bundles.pack(each.entry() for each in chosen)
        return [self.kind(self.me, UNNAMED, 0, k, body) for body in bodies]
