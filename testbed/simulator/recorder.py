"""Collects the events of a simulated run as the same records that an agent writes to its trace.

When an event happens six values are put at the end of a flat list; what it says of a message is
looked up once for each message when a block of events is packed, since many events share one. A
tuple an event, or a record packed at once, would cost 1 us more of the 3 that an event takes: every
tuple kept is one more for the garbage collector to visit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agents.api import Message
from agents.trace import DTYPE, NAME, Event
from agents.wire import HEADER_BYTES

RECORD = np.dtype(DTYPE)
BLOCK = 1 << 18
"""Events that are packed at once: 40 MB of values, 12 MB of records."""


class What(NamedTuple):
    """The fields of a record that come from what the event is about."""

    type: int = 0
    origin: int = -1
    sequence: int = 0
    hop: int = 0
    parent: int = -1
    bytes: int = 0
    round: int = 0
    reason: int = 0
    peer: int = 0
    value: float = 0.0


NOTHING = What()

Row = tuple[int, int, int, int, int, Message | What]
"""time_ns, host, event, peer, own round, what it is about."""

WIDTH = 6
"""Of a row."""


def note(name: str, value: float) -> What:
    """A note, its name laid over the fields as in a trace."""
    name_bytes = name.encode()[: NAME.size].ljust(NAME.size, b"\0")
    over = np.frombuffer(
        name_bytes, dtype=[("s", "<u4"), ("p", "<i4"), ("o", "<i4"), ("a", "<i4"), ("r", "<u4")]
    )
    sequence, peer, origin, parent, round_ = (int(field) for field in over[0])
    # `peer` is added to that of the row, which is -1.
    return What(0, origin, sequence, 0, parent, 0, round_, 0, peer + 1, value)


class Recorder:
    """The events of one run, in the order in which they happened."""

    def __init__(self, run: int = 0) -> None:
        self.run = run
        self.flat: list[Any] = []
        """The values of the rows that are not packed yet; `flat.extend(row)` records an event."""
        self._records: list[npt.NDArray[Any]] = []
        self._hosts: list[npt.NDArray[np.int32]] = []

    def rows(self) -> Iterator[Row]:
        """The events that are not packed yet."""
        return zip(*(self.flat[place::WIDTH] for place in range(WIDTH)), strict=True)

    def finish(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """All records, and the host of each."""
        self.pack()
        return np.concatenate(self._records), np.concatenate(self._hosts)

    def pack(self) -> None:
        """Packs the rows so far."""
        flat = self.flat
        size = len(flat) // WIDTH
        times, hosts, kinds, peers, rounds = (
            np.array(flat[place::WIDTH], dtype=np.int64) for place in range(WIDTH - 1)
        )
        whats = flat[WIDTH - 1 :: WIDTH]
        identity = np.fromiter(map(id, whats), np.int64, size)
        _, first, which = np.unique(identity, return_index=True, return_inverse=True)
        about = np.array([_about(whats[index]) for index in first], dtype=_ABOUT)[which]
        records = np.zeros(size, dtype=RECORD)
        for name in _COPIED:
            records[name] = about[name]
        records["time_ns"] = times
        records["event"] = kinds
        records["run"] = self.run
        records["peer"] = peers + about["peer"]
        records["round"] = rounds + about["round"]
        self._records.append(records)
        self._hosts.append(hosts.astype(np.int32))
        flat.clear()


_ABOUT = np.dtype([(name, "i8") for name in What._fields[:-1]] + [("value", "f8")])
_COPIED = ("type", "origin", "sequence", "hop", "parent", "bytes", "reason", "value")


def _about(what: Message | What) -> What:
    if isinstance(what, What):
        return what
    size = HEADER_BYTES + len(what.body)
    return What(what.TYPE, what.origin, what.sequence, what.hop, -1, size, what.round)


START, TICK, SEND, RECEIVE = map(int, (Event.start, Event.tick, Event.send, Event.receive))
DUPLICATE, DELIVER, DROP = map(int, (Event.duplicate, Event.deliver, Event.drop))
LOST, NOTE, ERROR, STOP = map(int, (Event.lost, Event.note, Event.error, Event.stop))
MULTICAST = int(Event.multicast)
