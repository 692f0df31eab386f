"""RMTP's tree: who is designated to take the status of whom, and how far a subtree reaches.

The designated receiver (DR) of a group is the source where it is a member, else the first member.
A node's groups are nested, so the DRs of its groups are its way up to the source: nearest first,
each the next one's child. RMTP finds the nearest by the time to live that is left of what the DRs
advertise [Paul et al., IEEE JSAC 15(3), 1997]; nested subnets give the same answer without it.
"""

from __future__ import annotations

from collections.abc import Iterable

from agents.api import NodeId, View


def designated(group: range, source: NodeId) -> NodeId:
    """The DR of a group for the multicasts of a source."""
    return source if source in group else group.start


def way_up(view: View, source: NodeId) -> tuple[NodeId, ...]:
    """The DRs above a node, nearest first; the last is the source. Empty for the source."""
    above = (designated(group, source) for group in view.groups)
    return tuple(dict.fromkeys(node for node in above if node != view.me))


def served(view: View, source: NodeId) -> tuple[range, ...]:
    """The groups of more than one whose DR a node is, smallest first."""
    mine = (group for group in view.groups if len(group) > 1)
    return tuple(group for group in mine if designated(group, source) == view.me)


def smallest(groups: Iterable[range], nodes: Iterable[NodeId]) -> range | None:
    """The first of the groups that holds all these nodes; None when none does."""
    wanted = list(nodes)
    return next((group for group in groups if all(node in group for node in wanted)), None)


def addresses(view: View, group: range) -> tuple[str, ...]:
    """The multicast groups that reach a group; empty where its subnets are not known."""
    if group == view.everyone:
        return ("all",)
    inside = [place for place, each in enumerate(view.subnets) if each.start in group]
    return tuple(f"subnet:{place}" for place in inside)
