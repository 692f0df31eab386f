"""What the nodes of a tree say to each other, and what their users may choose."""

from __future__ import annotations

from dataclasses import dataclass

from agents.api import Message
from agents.options import OptionError, option
from agents.parts.outstanding import RetryOptions
from agents.parts.trees import KINDS


@dataclass(frozen=True)
class TreeOptions(RetryOptions):
    """The options of tree multicast."""

    tree: str = option(
        "kary", choices=KINDS, help="kary: over members; topology: over subnets; bfs: breadth first"
    )
    k: int = option(2, unit="children", low=2, high=1000, help="most children of a node (K)")
    repair: str = option(
        "ack",
        choices=("ack", "nak", "none"),
        help="ack: parents send again; nak: who lacks something asks; none: no repair",
    )
    aggregate: bool = option(True, help="ack: whether a node answers for its subtree")
    heartbeat_s: float = option(
        1.0, unit="s", low=0.01, high=60, help="time from a multicast to the first heartbeat"
    )
    heartbeat_max_s: float = option(
        8.0,
        unit="s",
        low=0.01,
        high=600,
        help="longest time between heartbeats, which doubles up to it",
    )
    nak_delay_ms: float = option(
        50.0, unit="ms", low=0, high=60_000, help="longest random wait before a request"
    )
    nak_retry_ms: float = option(
        500.0,
        unit="ms",
        low=1,
        high=60_000,
        help="wait before a request is repeated; doubles each time",
    )

    def check(self) -> None:
        """Raises `OptionError` for what the other options leave without a meaning."""
        super().check()
        if self.tree == "bfs" and self.k != TreeOptions.k:
            raise OptionError(
                f"k={self.k}: a bfs tree has as many children as there are; choose tree=kary or "
                f"topology (defaults k={TreeOptions.k}, tree={TreeOptions.tree})"
            )
        if not self.aggregate and self.repair != "ack":
            raise OptionError(
                f"aggregate=false: repair={self.repair} has no acknowledgements; choose repair=ack "
                "(defaults aggregate=true, repair=ack)"
            )
        if self.heartbeat_max_s < self.heartbeat_s:
            raise OptionError(
                f"heartbeat_max_s={self.heartbeat_max_s:g}: choose at least "
                f"heartbeat_s={self.heartbeat_s:g} s (defaults: {TreeOptions.heartbeat_max_s:g} "
                f"and {TreeOptions.heartbeat_s:g})"
            )


class TreeData(Message):
    """A multicast from parent to child; the body is the head of
    `agents.parts.branches`, and the payload."""

    __slots__ = ()
    TYPE = 0x22


class TreeAck(Message):
    """Says that the whole subtree of the sender has a multicast, or, where acknowledgements are
    not gathered, the sender; the body tells below what number it has all."""

    __slots__ = ()
    TYPE = 0x23
    DATA = False


class TreeReceipt(Message):
    """Says that the sender has a multicast, and that others in its subtree have not; the body is
    that of `TreeAck`."""

    __slots__ = ()
    TYPE = 0x29
    DATA = False


class TreeQuery(Message):
    """Asks a child that has a multicast whether its whole subtree has."""

    __slots__ = ()
    TYPE = 0x2A
    DATA = False


class TreeNak(Message):
    """Asks for the numbers in the ranges of the body."""

    __slots__ = ()
    TYPE = 0x24
    DATA = False


class TreeRepair(Message):
    """A multicast again; the body is that of `TreeData`."""

    __slots__ = ()
    TYPE = 0x25


class TreeHeartbeat(Message):
    """A parent lives; the message is named after the greatest number it knows."""

    __slots__ = ()
    TYPE = 0x26
    DATA = False


class TreeAttach(Message):
    """Asks a node to be the parent; named after the number awaited next, the body tells those
    beyond it that are here."""

    __slots__ = ()
    TYPE = 0x27
    DATA = False


class TreeDetach(Message):
    """Tells a node that it is not the parent, or no more."""

    __slots__ = ()
    TYPE = 0x28
    DATA = False
