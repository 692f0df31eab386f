"""Tree multicast: each node hands a multicast on to its children in a spanning tree.

Model: the lecture's "Tree-Based", with ACK or NAK repair; that both cost O(N) packets a multicast
is credited to Birman et al., Bimodal multicast (TOCS 17(2), 1999). Each origin is the root of a
tree that all compute alike (`agents.parts.trees`). A node sends a multicast at most K times in a
`kary` tree, the head of a subnet K times more in a `topology` tree; `bfs` has no bound. Repair:

- `ack`: with aggregate=true each edge mends itself. A node that hands on sends its parent a receipt
  at once, and acknowledges when its whole subtree has (a leaf at once): without loss N-1
  acknowledgements a multicast, and a receipt of each inner node but the root. Without a receipt the
  parent sends again after a time-out of that edge; with one it waits for the subtree, a second a
  level, then asks and does not send again. With aggregate=false every node acknowledges to the
  origin, which sends again itself: N-1 acknowledgements at the root.
- `nak`: a gap in the numbers, or a heartbeat that names a higher one, makes a node ask its parent,
  after a short random wait, and the ancestors above when that does not help. Nodes that have not
  heard of an origin yet stay in the dark when their parent, which has, dies.
- `none`: nobody sends again, and below a dead node all are cut off. No gap holds up what follows.

A parent that is not heard for three heartbeats is given up: the node joins its grandparent, then
the others up to the origin. A child that does not answer `max_tries` sends is given up too, and its
children adopted: so delivery is promised (`ack`) where losses end before the last of these, by the
defaults 37 s after the first where round trips take up to 50 ms, 55 s where none was measured yet.
The messages carry the ancestors, so that a repaired tree can be repaired again.
Decided here: all but the model. Left out: epochs; what a former parent sends is as good as the new
one's. The routers between subnets: in a `bfs` tree the heads of all subnets hang from the origin,
and `topology` knows no order of theirs, in a chain or hierarchy too.

Reference: lecture, "Tree-Based"; Birman et al. 1999.
Timers: retransmission (`agents.parts.outstanding`); question to a child (`agents.parts.tree_acks`);
request for repair; heartbeats, at twice the time after each, from the last multicast on; the
parent's silence; the first word of a child (`nak`).
Order: FIFO by origin with repair=ack and nak; with none as it comes.
"""

from __future__ import annotations

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
    SetTimer,
    Store,
    View,
)
from agents.parts.branches import HEAD_BYTES, NODE, Branch, Head, early, named, ranges, read
from agents.parts.ordering import FIRST, Fifo, Unordered
from agents.parts.outstanding import PREFIX
from agents.parts.tree_acks import Acks
from agents.parts.tree_messages import (
    TreeAck,
    TreeAttach,
    TreeData,
    TreeDetach,
    TreeHeartbeat,
    TreeNak,
    TreeOptions,
    TreeQuery,
    TreeReceipt,
    TreeRepair,
)
from agents.parts.tree_naks import ASK, Naks
from agents.parts.trees import Trees
from agents.wire import MAX_BODY

MAX_PAYLOAD = MAX_BODY - HEAD_BYTES
BEATS = 3
"""Heartbeats missed until a parent is given up, or a child that never spoke."""
BEAT, SILENCE, CHILD = "beat", "silence", "child"
ANCESTORS = "ancestors"


class Tree(Protocol):
    """Hands multicasts down a tree, and has it mended."""

    Options = TreeOptions
    MESSAGES = (
        TreeData,
        TreeAck,
        TreeNak,
        TreeRepair,
        TreeHeartbeat,
        TreeAttach,
        TreeDetach,
        TreeReceipt,
        TreeQuery,
    )
    FIFO = True
    RELIABLE = True

    def __init__(self, view: View, options: TreeOptions, rng: Random) -> None:
        super().__init__(view, options, rng)
        self.trees = Trees(view, options.tree, options.k)
        self.mends = options.repair != "none"
        self.fifo = Fifo() if self.mends else Unordered()
        self.branches: dict[NodeId, Branch] = {}
        self.acks: Acks | None = None
        self.naks: Naks | None = None
        if options.repair == "ack":
            self.acks = Acks(view.me, self.trees, options, options.aggregate, self._repair)
        elif options.repair == "nak":
            delay_s, retry_s = options.nak_delay_ms / 1e3, options.nak_retry_ms / 1e3
            self.naks = Naks(self.fifo, rng, delay_s, retry_s)
        self.stored: dict[NodeId, tuple[NodeId, ...]] = {}

    @classmethod
    def promised(cls, options: TreeOptions) -> tuple[bool, bool]:
        patient = options.max_tries >= TreeOptions.max_tries
        return options.repair != "none", options.repair == "ack" and patient

    @classmethod
    def check(cls, options: TreeOptions, nodes: int) -> None:
        options.check()

    # What the driver calls

    def on_stored(self, key: str, value: bytes) -> None:
        super().on_stored(key, value)
        kind, _, origin = key.partition("/")
        if kind == ANCESTORS:
            self.stored[int(origin)] = tuple(node for (node,) in NODE.iter_unpack(value))

    def on_start(self, now: float) -> Actions:
        """After a crash: joins its former ancestors, and tells what is lost of its own."""
        done: list[Action] = []
        for origin, ancestors in self.stored.items():
            branch = self._branch(origin)
            branch.ancestors = ancestors
            done += self._attach(branch, ancestors[0], now)
        if self.created and self.mends:
            branch = self._branch(self.view.me)
            branch.highest, branch.low = self.created, self.created + 1
            done += self._beat(branch, now)
        return done

    def multicast(self, payload: bytes, now: float) -> Actions:
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"payload of {len(payload)} bytes; choose at most {MAX_PAYLOAD}")
        id, kept = self.new_id()
        branch = self._branch(id.origin)
        self.fifo.resume(id)
        branch.keep(id, 0, payload)
        delivered = self.fifo.add(id)
        return [*delivered, kept, *self._hand_on(branch, id, now)]

    def hold(self, id: MessageId, payload: bytes, now: float) -> Actions:
        return [Deliver(id)]

    def on_message(self, message: Message, sender: NodeId, now: float) -> Actions:
        everyone, me, origin = self.view.everyone, self.view.me, message.origin
        if origin not in everyone or sender not in everyone or sender == me:
            return [Note("unknown_node", origin)]
        if isinstance(message, TreeData | TreeRepair | TreeHeartbeat):
            if origin == me:  # it knows best itself
                return ()
            try:
                head, payload = read(message.body, everyone)
            except ValueError:
                return [Note("bad_head", len(message.body))]
            return self._hear(message, head, payload, sender, now)
        if not self.mends:
            return [Note("no_repair", message.TYPE)]
        branch = self._branch(origin)
        if sender in branch.children:
            branch.children[sender] = True
        if isinstance(message, TreeAck | TreeReceipt):
            return self.acks.heard(branch, message, sender, now) if self.acks else ()
        if isinstance(message, TreeQuery):
            return self._queried(branch, message.id, sender)
        if isinstance(message, TreeNak):
            return self._asked(branch, message, sender)
        if isinstance(message, TreeAttach):
            return self._joined(branch, message, sender, now)
        if branch.children.pop(sender, None) is None or self.acks is None:
            return ()
        return self.acks.drop(branch, sender, now)

    def on_timer(self, name: str, now: float) -> Actions:
        kind, _, rest = name.partition("/")
        if kind == PREFIX and self.acks is not None:
            _, origin, _ = rest.split("/")
            return self.acks.unanswered(self._branch(int(origin)), name, now)
        origin, _, child = rest.partition("/")
        branch = self._branch(int(origin))
        if kind == BEAT:
            return self._beat(branch, now)
        if kind == SILENCE:
            return self._attach(branch, branch.next_parent(), now)
        if kind == ASK and self.naks is not None:
            return self.naks.ask(branch, now)
        return self._silent(branch, int(child), now)

    # Down the tree

    def _branch(self, origin: NodeId) -> Branch:
        if origin not in self.branches:
            me = self.view.me
            ancestors = self.trees.ancestors(origin, me)
            self.branches[origin] = Branch(origin, ancestors, self.trees.children(origin, me))
        return self.branches[origin]

    def _head(self, branch: Branch) -> Head:
        return Head(branch.low, branch.beat_s or self.options.heartbeat_s, branch.ancestors)

    def _hear(
        self, message: Message, head: Head, payload: bytes, sender: NodeId, now: float
    ) -> Actions:
        """A copy or a heartbeat came from somebody who takes this node for its child."""
        new = message.origin not in self.branches
        branch = self._branch(message.origin)
        id = message.id
        beat = isinstance(message, TreeHeartbeat)
        if not self.fifo.reaches(id) or len(payload) > MAX_PAYLOAD:
            return [Note("out_of_reach", id.sequence)]
        done = self._parentage(branch, message, head, sender, new, now) if self.mends else []
        branch.low = max(branch.low, min(head.low, id.sequence + beat))
        branch.highest = max(branch.highest, id.sequence)
        done += self.fifo.give_up_below(id.origin, branch.low)
        if beat:
            if branch.children and not branch.beat_s:
                done += self._schedule_beat(branch, now)
        elif self.fifo.has(id):
            done += self.acks.again(branch, id, sender) if self.acks else []
        else:
            done += self.fifo.add(id)
            branch.keep(id, message.next_hop, payload)
            done += self._hand_on(branch, id, now)
        return [*done, *self.naks.look(branch, now)] if self.naks else done

    def _hand_on(self, branch: Branch, id: MessageId, now: float) -> list[Action]:
        """Sends a multicast that is new here to all children."""
        item = branch.items[id.sequence]
        copy = TreeData(*id, item.hop, 0, self._head(branch).encode() + item.payload)
        done: list[Action] = [Send(child, copy) for child in branch.children]
        if self.naks:
            silent = [child for child, heard in branch.children.items() if not heard]
            done += [self._await(branch, child, now) for child in silent if branch.awaits(child)]
        if self.mends and branch.children:
            done += self._schedule_beat(branch, now)
        if self.acks:
            done += self.acks.handed_on(branch, id, self.view.everyone, now)
        return done

    def _repair(self, branch: Branch, to: NodeId, sequence: int) -> Send:
        """A copy of a multicast that goes out again."""
        item = branch.items[sequence]
        body = self._head(branch).encode() + item.payload
        return Send(to, TreeRepair(branch.origin, sequence, item.hop, 0, body))

    def _asked(self, branch: Branch, message: Message, sender: NodeId) -> list[Action]:
        """Repairs what it can of what is asked for."""
        try:
            numbers = named(message.body, list(branch.items))
        except ValueError:
            return [Note("bad_ranges", len(message.body))]
        return [self._repair(branch, sender, number) for number in numbers]

    def _queried(self, branch: Branch, id: MessageId, sender: NodeId) -> list[Action]:
        """A parent asks how far its child is: one that was down may lack the multicast."""
        if self.acks is None or id.origin == self.view.me:
            return []
        if sender != branch.parent and branch.joined:
            return [Send(sender, TreeDetach(*id))]
        if not self.fifo.has(id):
            return [self._request(branch, sender)]
        return self.acks.again(branch, id, sender)

    # The tree itself

    def _schedule_beat(self, branch: Branch, now: float) -> list[Action]:
        """A multicast went out: the next heartbeat is a first one again."""
        branch.beat_s = self.options.heartbeat_s
        return [SetTimer(f"{BEAT}/{branch.origin}", now + branch.beat_s)]

    def _beat(self, branch: Branch, now: float) -> list[Action]:
        """Tells the children that this node lives and what there is; the next time in twice as
        long."""
        if not branch.children:
            branch.beat_s = 0.0
            return []
        longest_s = self.options.heartbeat_max_s
        branch.beat_s = min(2 * branch.beat_s or self.options.heartbeat_s, longest_s)
        beat = self._heartbeat(branch)
        done: list[Action] = [Send(child, beat) for child in branch.children]
        return [*done, SetTimer(f"{BEAT}/{branch.origin}", now + branch.beat_s)]

    def _heartbeat(self, branch: Branch) -> TreeHeartbeat:
        head = self._head(branch).encode()
        return TreeHeartbeat(branch.origin, branch.highest, 0, 0, head)

    def _parentage(
        self,
        branch: Branch,
        message: Message,
        head: Head,
        sender: NodeId,
        new: bool,
        now: float,
    ) -> list[Action]:
        """Whether the sender is the parent, or becomes it; and until when it may be silent."""
        done: list[Action] = []
        if sender != branch.parent:
            if isinstance(message, TreeRepair) and branch.parent is not None:
                return []  # somebody farther up helps out
            if branch.joined or self.view.me in head.ancestors:
                return [Send(sender, TreeDetach(*message.id))]
        changed = branch.adopt(sender, [node for node in head.ancestors if node != self.view.me])
        if changed or new:
            told = b"".join(map(NODE.pack, branch.ancestors))
            done.append(Store(f"{ANCESTORS}/{branch.origin}", told))
        if new and (self.naks or message.sequence > max(head.low, FIRST)):
            done.append(self._request(branch, sender))  # so the parent knows of this child
        branch.joined, branch.attempts = True, 0
        silence_s = BEATS * max(head.beat_s, self.options.heartbeat_s)
        return [*done, SetTimer(f"{SILENCE}/{branch.origin}", now + silence_s)]

    def _request(self, branch: Branch, to: NodeId) -> Send:
        start = self.fifo.next(branch.origin)
        body = ranges(early(self.fifo, branch.origin, branch.highest))
        return Send(to, TreeAttach(branch.origin, start, 0, 0, body))

    def _attach(self, branch: Branch, to: NodeId, now: float) -> list[Action]:
        """The parent is silent: asks another ancestor, each in its turn, ever more seldom."""
        branch.joined = False
        branch.attempts += 1
        wait_s = self.options.heartbeat_s * 2.0 ** min(branch.attempts - 1, 3)
        return [
            Note("orphan", branch.attempts),
            self._request(branch, to),
            SetTimer(f"{SILENCE}/{branch.origin}", now + wait_s),
        ]

    def _joined(self, branch: Branch, message: Message, sender: NodeId, now: float) -> list[Action]:
        """Takes a child and sends it what it lacks; the heartbeat says that it is taken."""
        if sender in branch.ancestors:
            return [Note("ancestor_joins", sender)]
        try:
            held = set(named(message.body, list(branch.items)))
        except ValueError:
            return [Note("bad_ranges", len(message.body))]
        branch.children[sender] = True
        done: list[Action] = [Send(sender, self._heartbeat(branch))]
        if not branch.beat_s:
            done += self._schedule_beat(branch, now)
        for number in sorted(branch.items) if self.acks else ():
            id = MessageId(branch.origin, number)
            if number >= message.sequence and number not in held:
                done.append(self._repair(branch, sender, number))
                if self.acks and self.acks.gathers:
                    done.append(self.acks.expect(branch, sender, id, now))
        return done

    def _await(self, branch: Branch, child: NodeId, now: float) -> SetTimer:
        """By then a new child must have said a word."""
        wait_s = BEATS * self.options.heartbeat_s
        return SetTimer(f"{CHILD}/{branch.origin}/{child}", now + wait_s)

    def _silent(self, branch: Branch, child: NodeId, now: float) -> list[Action]:
        """A child has never said a word: its children may have heard nothing either."""
        branch.awaited.discard(child)
        if branch.children.get(child, True):
            return []
        done: list[Action] = [Note("silent_child", child)]
        beat = self._heartbeat(branch)
        for grandchild in self.trees.children(branch.origin, child):
            if grandchild != self.view.me and grandchild not in branch.children:
                branch.children[grandchild] = False
                branch.awaits(grandchild)
                done += [Send(grandchild, beat), self._await(branch, grandchild, now)]
        return done
