"""Streams: when a source multicasts, and which id the protocol gave to the multicast.

Source number i of a run sends `messages` multicasts, `interval_s` apart, the first at the end of
the protocol's warm-up, `warm_up_s` after the start.
"""

from __future__ import annotations

from agents.api import Actions, Broadcast, Deliver, Lost, MessageId, NodeId, Send

NAMELESS = MessageId(-1, 0)


def due_ns(index: int, interval_s: float, warm_up_s: float = 0.0) -> int:
    """When a source sends its multicast number `index` (from 0), since the start of the run."""
    return round((warm_up_s + index * interval_s) * 1e9)


def due_by(time_ns: int, interval_s: float, messages: int, warm_up_s: float = 0.0) -> int:
    """How many of the multicasts of a source are due by a time: `due_by(10**9, 0.4, 9) = 3`.

    A node that starts again goes on with the next one; what was due before is not made up for.
    """
    return sum(due_ns(index, interval_s, warm_up_s) <= time_ns for index in range(messages))


def named(me: NodeId, actions: Actions) -> MessageId:
    """The id of the multicast that these actions begin; `NAMELESS` where they do not say it."""
    for action in actions:
        if isinstance(action, Deliver | Lost) and action.id.origin == me:
            return action.id
    for action in actions:
        if isinstance(action, Send | Broadcast) and action.message.origin == me:
            return action.message.id
    return NAMELESS
