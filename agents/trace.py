"""What an agent writes down: one binary record an event, one write(2) a record.

So the events of an agent survive its SIGKILL, up to a torn last record, which the reader reports.
Little-endian, 48 bytes: `numpy.fromfile(path, dtype=numpy.dtype(DTYPE))` reads a file.

    event      peer        value               round           other fields
    start      -           lateness, ns        lives before    of the run, at this node
    multicast  -           -                   own round k     origin sequence; of a source
    tick       -           lateness, ns        own round k     -
    send       receiver    -                   own round k     type hop origin sequence bytes
    receive    sender      receive lag, ns     sender's round  type hop origin sequence bytes
    duplicate  as `receive`, of a multicast that was delivered here before
    deliver    -           -                   own round k     hop origin sequence parent
    lost       -           -                   own round k     origin sequence
    drop       peer or -1  errno (send_error)  -               reason; if known: run type bytes
    note       -           the protocol's      -               `name` lies over sequence..round
    error      -           -                   own round k     an exception ended the run here
    stop       -           -                   own round k     the harness ended the run here
    exit       -           datagrams read      -               sequence: read too late to be used;
                                                               round: socket overflows

`time_ns` is the monotonic clock, a node that does not apply is -1. The receiver of a `send` is -1
for a broadcast, -2 for the group "all", and -3 - i for "subnet:i". `hop` is as in `api.Message`;
for `deliver` it is the number of links the multicast took: 0 at its origin, where `parent` is -1.
Receive lag is from the kernel's receive timestamp to the handler.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import NamedTuple

RECORD = Struct("<qdIIiiiIHHBBBB")
NAME = Struct("<20s")
NAME_OFFSET = 20

DTYPE = [
    ("time_ns", "<i8"),
    ("value", "<f8"),
    ("run", "<u4"),
    ("sequence", "<u4"),
    ("peer", "<i4"),
    ("origin", "<i4"),
    ("parent", "<i4"),
    ("round", "<u4"),
    ("hop", "<u2"),
    ("bytes", "<u2"),
    ("event", "u1"),
    ("type", "u1"),
    ("reason", "u1"),
    ("unused", "u1"),
]


class Event(IntEnum):
    """Kinds of record."""

    start = 1
    tick = 2
    send = 3
    receive = 4
    duplicate = 5
    deliver = 6
    lost = 7
    drop = 8
    note = 9
    error = 10
    stop = 11
    exit = 12
    multicast = 13


class Record(NamedTuple):
    """One event, fields in the order of the file."""

    time_ns: int
    value: float
    run: int
    sequence: int
    peer: int
    origin: int
    parent: int
    round: int
    hop: int
    bytes: int
    event: int
    type: int
    reason: int
    unused: int

    @property
    def name(self) -> str:
        """The kind of a note, at most 20 bytes."""
        raw = RECORD.pack(*self)[NAME_OFFSET : NAME_OFFSET + NAME.size]
        return raw.rstrip(b"\0").decode(errors="replace")


class Trace:
    """Appends the events of one agent to a file. The methods raise `OSError` as write(2) does."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        # An agent that starts again appends; what it tore when it died would shift every record.
        size = os.fstat(self._fd).st_size
        if size % RECORD.size:
            os.ftruncate(self._fd, size - size % RECORD.size)

    def write(
        self,
        event: int,
        run: int,
        time_ns: int,
        *,
        value: float = 0.0,
        sequence: int = 0,
        peer: int = -1,
        origin: int = -1,
        parent: int = -1,
        round: int = 0,
        hop: int = 0,
        bytes: int = 0,
        type: int = 0,
        reason: int = 0,
    ) -> None:
        os.write(
            self._fd,
            RECORD.pack(
                time_ns,
                value,
                run,
                sequence,
                peer,
                origin,
                parent,
                round,
                hop,
                bytes,
                event,
                type,
                reason,
                0,
            ),
        )

    def note(self, run: int, time_ns: int, name: str, value: float) -> None:
        record = bytearray(RECORD.pack(time_ns, value, run, *(0,) * 7, Event.note, 0, 0, 0))
        NAME.pack_into(record, NAME_OFFSET, name.encode()[: NAME.size])
        os.write(self._fd, record)

    def close(self) -> None:
        os.close(self._fd)


@dataclass(frozen=True, slots=True)
class Reading:
    """A trace as read: its whole records, and the bytes of a torn last one (0: none)."""

    data: bytes
    torn_bytes: int

    def __iter__(self) -> Iterator[Record]:
        return map(Record._make, RECORD.iter_unpack(self.data))


def read(path: Path | str) -> Reading:
    """Reads a trace. Raises `OSError` when there is none."""
    data = Path(path).read_bytes()
    torn = len(data) % RECORD.size
    return Reading(data[: len(data) - torn], torn)
