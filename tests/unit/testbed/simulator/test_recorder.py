"""A simulated event becomes the record that an agent would have written."""

from __future__ import annotations

from agents.trace import Event
from agents.wire import HEADER_BYTES
from testbed.simulator.recorder import NOTHING, Recorder, What
from tests.scripted import Word


def test_a_record_holds_what_happened_and_what_it_was_about() -> None:
    recorder = Recorder(run=9)
    word = Word(3, 4, hop=5, round=6, body=b"1234")
    recorder.flat.extend((10, 1, int(Event.send), 2, 0, word))
    recorder.flat.extend((20, 2, int(Event.tick), -1, 7, NOTHING))
    about = What(origin=3, sequence=4, hop=6, parent=1)
    recorder.flat.extend((30, 2, int(Event.deliver), -1, 8, about))
    records, hosts = recorder.finish()
    names = ["run", "time_ns", "event", "peer", "type", "origin", "sequence"]
    names += ["hop", "parent", "round", "bytes"]
    assert [tuple(int(record[name]) for name in names) for record in records] == [
        (9, 10, Event.send, 2, Word.TYPE, 3, 4, 5, -1, 6, HEADER_BYTES + 4),
        (9, 20, Event.tick, -1, 0, -1, 0, 0, -1, 7, 0),
        (9, 30, Event.deliver, -1, 0, 3, 4, 6, 1, 8, 0),
    ]
    assert list(hosts) == [1, 2, 2]


def test_packing_in_blocks_changes_nothing() -> None:
    whole, parts = Recorder(), Recorder()
    words = [Word(0, number) for number in range(3)]
    for time_ns in range(30):
        row = (time_ns, time_ns % 4, int(Event.send), 1, 0, words[time_ns % 3])
        whole.flat.extend(row)
        parts.flat.extend(row)
        if time_ns % 7 == 0:
            parts.pack()
    for one, other in zip(whole.finish(), parts.finish(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_run_without_events_has_no_records() -> None:
    records, hosts = Recorder().finish()
    assert len(records) == len(hosts) == 0
