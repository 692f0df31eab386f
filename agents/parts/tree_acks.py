"""Acknowledgements in a tree: who has what, who hears it again, and who is given up.

Gathered, a node that has children tells its parent at once that it has a multicast (a receipt), and
acknowledges it once its whole subtree has; a leaf acknowledges at once. A parent expects first the
one, within a time-out of that edge, and sends the multicast again when it does not come; then the
other, for which it asks after a second for each level below the child, doubled each time. So a loss
is mended where it happened, as soon at the root as anywhere, and those who have a multicast
do not get it again because others have not.

Otherwise everybody answers to the origin, which alone expects it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from agents.api import Action, MessageId, NodeId, Note, Send, SetTimer
from agents.parts.branches import Branch
from agents.parts.outstanding import Outstanding, RetryOptions
from agents.parts.tree_messages import TreeAck, TreeQuery, TreeReceipt
from agents.parts.trees import Trees

BELOW = Struct(">I")
"""Below what number the subtree has all: so the next word makes up for a lost one."""

Repair = Callable[[Branch, NodeId, int], Send]
"""Makes the copy that goes to a node again."""


class Acks:
    """The acknowledgements of one node: those that it sends and those that it waits for."""

    def __init__(
        self, me: NodeId, trees: Trees, options: RetryOptions, gathers: bool, repair: Repair
    ) -> None:
        self.me = me
        self.trees = trees
        self.gathers = gathers
        self.outstanding = Outstanding(options)
        self._repair = repair

    def handed_on(self, branch: Branch, id: MessageId, everyone: range, now: float) -> list[Action]:
        """A multicast that is new here went to all children."""
        if self.gathers:
            done: list[Action] = [self.expect(branch, to, id, now) for to in branch.children]
            if branch.children and branch.parent is not None:
                done.append(_receipt(branch, branch.parent, id))
            return done + self._completed(branch, id)
        if branch.origin != self.me:
            return [_ack(branch, branch.origin, id)]
        return [self.expect(branch, to, id, now) for to in everyone if to != self.me]

    def expect(self, branch: Branch, to: NodeId, id: MessageId, now: float) -> SetTimer:
        """That node shall acknowledge a multicast which goes to it now."""
        self.outstanding.expect(to, id)
        return self.outstanding.sent(to, id, now, self._trips(branch, to))

    def again(self, branch: Branch, id: MessageId, sender: NodeId) -> list[Action]:
        """Answers for a multicast that came again, or was asked for."""
        if not self.gathers:
            return [_ack(branch, branch.origin, id)]
        whole = branch.is_complete(id.sequence)
        return [_ack(branch, sender, id) if whole else _receipt(branch, sender, id)]

    def heard(
        self, branch: Branch, message: TreeAck | TreeReceipt, sender: NodeId, now: float
    ) -> list[Action]:
        """An acknowledgement or a receipt arrived."""
        if len(message.body) != BELOW.size:
            return [Note("short_body", len(message.body))]
        id = message.id
        (below,) = BELOW.unpack(message.body)
        done: list[Action] = []
        settled = [id] if isinstance(message, TreeAck) else []
        if self.gathers:
            settled += [each for each in self._of(branch, sender) if each.sequence < below]
            if not settled and self.outstanding.expects(sender, id):
                levels = self.trees.levels_below(branch.origin, sender)
                done.append(self.outstanding.received(sender, id, now, levels))
        return done + self._settle(branch, sender, settled, now)

    def unanswered(self, branch: Branch, name: str, now: float) -> list[Action]:
        """A timer went off: sends a multicast again, or gives the receiver up."""
        due = self.outstanding.due(name)
        if due is None:
            return []
        if due.over:
            return [Note("gave_up", due.to), *self._lose(branch, due.to, due.id, now)]
        if due.id.sequence not in branch.items:  # made room for others
            return self._settle(branch, due.to, [due.id], now)
        copy = Send(due.to, TreeQuery(*due.id))
        if not due.has_it:
            copy = self._repair(branch, due.to, due.id.sequence)
        return [copy, self.outstanding.sent(due.to, due.id, now)]

    def drop(self, branch: Branch, child: NodeId, now: float) -> list[Action]:
        """A child has gone to another parent."""
        if not self.gathers:
            return []
        return self._settle(branch, child, self._of(branch, child), now)

    def _lose(self, branch: Branch, child: NodeId, last: MessageId, now: float) -> list[Action]:
        """A child is given up: its own children get what it did not answer for."""
        missed = sorted({last, *self._of(branch, child)})
        if not self.gathers or branch.children.pop(child, None) is None:
            return []
        done: list[Action] = []
        for grandchild in self.trees.children(branch.origin, child):
            if grandchild != self.me and grandchild not in branch.children:
                branch.children[grandchild] = False
                for id in missed:
                    if id.sequence in branch.items:
                        done.append(self._repair(branch, grandchild, id.sequence))
                        done.append(self.expect(branch, grandchild, id, now))
        done += self._settle(branch, child, missed, now)
        return done + self._completed(branch, last)

    def _settle(
        self, branch: Branch, to: NodeId, settled: list[MessageId], now: float
    ) -> list[Action]:
        """These are not waited for any more; what that completes is told."""
        at_once = not self.gathers or not self.trees.children(branch.origin, to)
        done: list[Action] = []
        for id in settled:
            cancelled = self.outstanding.answered(to, id, now, measures=at_once)
            if cancelled is not None:
                done.append(cancelled)
                if self.gathers:
                    done += self._completed(branch, id)
        return done

    def _completed(self, branch: Branch, id: MessageId) -> list[Action]:
        """Tells the parent once the whole subtree has a multicast."""
        if branch.is_complete(id.sequence) or id.sequence not in branch.items:
            return []
        if any(self.outstanding.expects(child, id) for child in branch.children):
            return []
        branch.complete(id.sequence)
        parent = branch.parent
        return [] if parent is None else [_ack(branch, parent, id)]

    def _of(self, branch: Branch, to: NodeId) -> list[MessageId]:
        return [id for id in self.outstanding.of(to) if id.origin == branch.origin]

    def _trips(self, branch: Branch, to: NodeId) -> float:
        """Round trips until the first answer of that node is here: of one edge, or down the tree
        and straight back."""
        if self.gathers:
            return 1.0
        return (len(self.trees.ancestors(branch.origin, to)) + 1) / 2


def _ack(branch: Branch, to: NodeId, id: MessageId) -> Send:
    return Send(to, TreeAck(*id, 0, 0, BELOW.pack(branch.reported)))


def _receipt(branch: Branch, to: NodeId, id: MessageId) -> Send:
    return Send(to, TreeReceipt(*id, 0, 0, BELOW.pack(branch.reported)))
