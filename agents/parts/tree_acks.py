"""Acknowledgements in a tree: who has what, who hears it again, and who is given up.

Gathered, a node answers to its parent once its whole subtree has a multicast, and expects that of
its children. Otherwise everybody answers to the origin, which alone expects it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from agents.api import Action, MessageId, NodeId, Note, Send, SetTimer
from agents.parts.branches import Branch
from agents.parts.outstanding import Outstanding, RetryOptions
from agents.parts.tree_messages import TreeAck
from agents.parts.trees import Trees

STATUS = Struct(">BI")
"""Whether the subtree has the multicast that an ACK names, and below what number it has all."""

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
            return done + self._completed(branch, id)
        if branch.origin != self.me:
            return [_ack(branch, branch.origin, id, whole=True)]
        return [self.expect(branch, to, id, now) for to in everyone if to != self.me]

    def expect(self, branch: Branch, to: NodeId, id: MessageId, now: float) -> SetTimer:
        """That node shall acknowledge a multicast which goes to it now."""
        self.outstanding.expect(to, id)
        return self.outstanding.sent(to, id, now, self._levels(branch, to))

    def again(self, branch: Branch, id: MessageId, sender: NodeId) -> list[Action]:
        """Answers for a multicast that came again."""
        if not self.gathers:
            return [_ack(branch, branch.origin, id, whole=True)]
        return [_ack(branch, sender, id, whole=branch.is_complete(id.sequence))]

    def heard(
        self, branch: Branch, id: MessageId, body: bytes, sender: NodeId, now: float
    ) -> list[Action]:
        """An acknowledgement arrived."""
        if len(body) != STATUS.size:
            return [Note("short_body", len(body))]
        whole, below = STATUS.unpack(body)
        if not whole:
            if not self.outstanding.expects(sender, id):
                return []
            return [self.outstanding.postpone(sender, id, now)]
        settled = [id]
        if self.gathers:
            settled += [each for each in self._of(branch, sender) if each.sequence < below]
        return self._settle(branch, sender, settled, now)

    def unanswered(self, branch: Branch, name: str, now: float) -> list[Action]:
        """A timer went off: sends a multicast again, or gives the receiver up."""
        due = self.outstanding.due(name)
        if due is None:
            return []
        if due.over:
            return [Note("gave_up", due.to), *self._lose(branch, due.to, due.id, now)]
        if due.id.sequence not in branch.items:  # made room for others
            return self._settle(branch, due.to, [due.id], now)
        levels = self._levels(branch, due.to)
        return [
            self._repair(branch, due.to, due.id.sequence),
            self.outstanding.sent(due.to, due.id, now, levels),
        ]

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
        done: list[Action] = []
        for id in settled:
            cancelled = self.outstanding.answered(to, id, now)
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
        return [] if parent is None else [_ack(branch, parent, id, whole=True)]

    def _of(self, branch: Branch, to: NodeId) -> list[MessageId]:
        return [id for id in self.outstanding.of(to) if id.origin == branch.origin]

    def _levels(self, branch: Branch, to: NodeId) -> int:
        """Round trips until an answer of that node is here."""
        if self.gathers:
            return 1 + self.trees.levels_below(branch.origin, to)
        return 1 + len(self.trees.ancestors(branch.origin, to))


def _ack(branch: Branch, to: NodeId, id: MessageId, *, whole: bool) -> Send:
    return Send(to, TreeAck(*id, 0, 0, STATUS.pack(whole, branch.reported)))
