"""A trace is fixed-size records that numpy reads, whole up to a torn last one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from agents.trace import DTYPE, RECORD, Event, Trace, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "3.trace"


def test_every_field_comes_back(path: Path) -> None:
    trace = Trace(path)
    trace.write(
        Event.receive,
        7,
        10**18,
        value=2.5,
        sequence=1,
        peer=2,
        origin=3,
        parent=4,
        round=5,
        hop=6,
        bytes=1400,
        type=16,
        reason=8,
    )
    (record,) = read(path)
    assert record == (10**18, 2.5, 7, 1, 2, 3, 4, 5, 6, 1400, Event.receive, 16, 8, 0)


def test_a_node_that_does_not_apply_is_minus_one(path: Path) -> None:
    Trace(path).write(Event.tick, 7, 1)
    (record,) = read(path)
    assert (record.peer, record.origin, record.parent) == (-1, -1, -1)


def test_numpy_reads_what_the_reader_reads(path: Path) -> None:
    trace = Trace(path)
    for event in Event:
        trace.write(event, 7, 100 + event, value=event / 2, peer=event, bytes=event)
    table = np.fromfile(path, dtype=np.dtype(DTYPE))
    assert np.dtype(DTYPE).itemsize == RECORD.size == 48
    assert [tuple(row) for row in table.tolist()] == [tuple(record) for record in read(path)]


def test_a_record_is_in_the_file_as_soon_as_it_is_written(path: Path) -> None:
    trace = Trace(path)
    for count in (1, 2, 3):
        trace.write(Event.tick, 1, count)
        assert path.stat().st_size == count * RECORD.size


def test_a_torn_last_record_is_counted_and_the_others_kept(path: Path) -> None:
    trace = Trace(path)
    trace.write(Event.tick, 1, 1)
    trace.write(Event.tick, 1, 2)
    os.truncate(path, RECORD.size + 7)
    reading = read(path)
    assert [record.time_ns for record in reading] == [1]
    assert reading.torn_bytes == 7


def test_an_agent_that_starts_again_appends_after_the_last_whole_record(path: Path) -> None:
    Trace(path).write(Event.tick, 1, 1)
    with path.open("ab") as file:
        file.write(b"torn")
    Trace(path).write(Event.tick, 1, 2)
    reading = read(path)
    assert [record.time_ns for record in reading] == [1, 2]
    assert reading.torn_bytes == 0


def test_a_note_keeps_its_name_and_value(path: Path) -> None:
    trace = Trace(path)
    trace.note(7, 5, "queue", 2.5)
    trace.note(7, 6, "a name of more than twenty bytes", 1)
    first, second = read(path)
    assert (first.event, first.run, first.name, first.value) == (Event.note, 7, "queue", 2.5)
    assert second.name == "a name of more than "
