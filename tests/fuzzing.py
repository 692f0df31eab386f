"""Decoders of what others may have written, each with samples to start from.

`TARGETS` maps a name to a function that feeds bytes to the decoder: it returns, whatever they are,
or the decoder has a fault. What a decoder promises to raise for bad input is caught in the
function. tests/property/test_hostile.py tries some inputs of each, benchmarks/fuzz.py a million.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from zlib import crc32

import pandas as pd

from agents import hosts, registry, trace, wire
from agents.api import Message, MessageId
from agents.options import OptionError
from agents.parts.stores import RANGE, Store
from testbed import (
    claims_page,
    collector,
    counters,
    document,
    experiment,
    intact,
    redraw,
    results,
    resumption,
)
from testbed.errors import UsageError
from testbed.faults import weather
from testbed.intact import RunError
from testbed.kernel import nft
from testbed.sweep import plan
from testbed.tables import COLUMNS
from tests import fuzzing_manifests as manifests
from tests import fuzzing_messages as messages
from topologies import two_subnets

RECORDED = Path(__file__).parent / "recorded"

_folder = tempfile.TemporaryDirectory(prefix="fuzzing-", dir="/dev/shm")
SCRATCH = Path(_folder.name)
"""Where decoders of files find their input: in memory, since a million files are written."""

TOKENS = (
    *(b"null", b"true", b"NaN", b"Infinity", b"-1", b"1e999", b'""', b"[]", b"{}", b"[[", b"\0"),
    *(b"9" * 30, b"\xff\xff\xff\xff", b"\\ud800", b"[" * 1000, b'"a":', b"=", b"..", b"\n", b","),
    *(b"\x80", b"0x", b"1979-05-27", b"'''", b"#", b"9" * 5000, b"0x" + b"f" * 5000),
)


@dataclass(frozen=True)
class Target:
    """A decoder: `feed` gives it bytes, `corpus` has some that it takes. Where a call is costly
    `feed_all` takes many inputs at once."""

    feed: Callable[[bytes], None]
    corpus: Sequence[bytes]
    feed_all: Callable[[Sequence[bytes]], None] | None = None


def mutated(data: bytes, rng: Random) -> bytes:
    """The bytes with one to four changes: flipped, cut, repeated, or with a token in them."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, end = sorted((rng.randint(0, len(found)), rng.randint(0, len(found))))
        change = rng.randrange(6)
        if change == 0 and found:
            found[min(at, len(found) - 1)] ^= 1 << rng.randrange(8)
        elif change == 1:
            del found[at : min(end, at + 40)]
        elif change == 2:
            found[at:at] = found[at:end][:200]
        elif change == 3:
            found[at:at] = rng.choice(TOKENS)
        elif change == 4:
            found[at : at + rng.randrange(9)] = rng.choice(TOKENS)
        else:
            found[at : at + 4] = rng.randbytes(4)
    return bytes(found)


def _file(name: str, data: bytes) -> Path:
    path = SCRATCH / name
    path.write_bytes(data)
    return path


class _Word(Message):
    __slots__ = ()
    TYPE = 0xA0


_DIALECTS = {7: wire.Dialect(3, {_Word.TYPE: _Word})}


def _wire(data: bytes) -> None:
    found = wire.decode(data, _DIALECTS)
    assert isinstance(found, wire.Packet | wire.Reason)


def _wire_checked(data: bytes) -> None:
    """Behind a checksum that holds: what else but chance could not get at."""
    head = data[: wire.ENVELOPE.size]
    if len(head) == wire.ENVELOPE.size:
        body = data[wire.HEADER_BYTES :]
        _wire(head + wire.CHECKSUM.pack(crc32(body, crc32(head))) + body)


def _trace(data: bytes) -> None:
    path = _file("trace/0.trace", data)
    reading = trace.read(path)
    assert len(reading.data) + reading.torn_bytes == len(data)
    for record in reading:
        assert isinstance(record.name, str)
    _, _, torn = collector.read_traces(path.parent)
    assert torn >= (reading.torn_bytes > 0)


def _events(inputs: Sequence[bytes]) -> None:
    """Traces, each of a host of its own, as `collector.read_events` does it but for the files."""
    records, hosts, _ = collector.joined(enumerate(inputs))
    events = collector.frame(records, hosts, pd.Series({1: 0}))
    assert len(events) <= len(records)
    collector.deliveries(events)
    collector.terms_of(records, hosts, {})


def _toml(data: bytes) -> None:
    path = _file("hostile.toml", data)
    try:
        experiment.load(str(path))
    except UsageError as error:
        assert "\n" not in str(error)


def _weather(name: str, data: bytes) -> None:
    """A trace as it comes from an experiment file, and what it makes of links."""
    path = _file(name, data)
    try:
        weather.needs(_GRAPH, [weather.load("x", path)])
    except UsageError as error:
        assert "\n" not in str(error)


_GRAPH = two_subnets.build(hosts=2)


def _manifest(data: bytes) -> None:
    """Beside whole tables, and as far as what its readers take out of it."""
    path = _file("run/manifest.json", data)
    try:
        found = redraw.tables_of(path.parent)
    except RunError as error:
        assert "\n" not in str(error)
        return
    for tables in found:
        manifests.take_out(tables)


def _health(data: bytes) -> None:
    path = _file("health.json", data)
    try:
        intact.health(intact.document(path), path)
    except RunError as error:
        assert "\n" not in str(error)


def _ledger(data: bytes) -> None:
    _file("validation/unfinished-1.jsonl", data)
    try:
        with resumption.resume(SCRATCH, {}, None) as ledger:
            assert all((path / "manifest.json").is_file() for path in ledger.whole.values())
    except RunError as error:
        assert "\n" not in str(error)


def _sweep(data: bytes) -> None:
    _file(str(_PLAN.folder(SCRATCH) / plan.FILE), data)
    try:
        with plan.opened(_PLAN, SCRATCH):
            pass
    except UsageError as error:
        assert "\n" not in str(error)


def _trial(data: bytes) -> None:
    _file("trials/latency/1/manifest.json", data)
    try:
        assert len(plan.done(_PLAN, SCRATCH / "trials")) <= 1
    except UsageError as error:
        assert "\n" not in str(error)


def _verdicts(data: bytes) -> None:
    path = _file("verdicts.json", data)
    try:
        claims_page.judged([path.parent])
    except RunError as error:
        assert "\n" not in str(error)


def _table(data: bytes) -> None:
    try:
        intact.table(_file("deliveries.parquet", data), "deliveries")
    except RunError as error:
        assert "\n" not in str(error)


def _counters(data: bytes) -> None:
    try:
        objects = nft.parse_listing(data.decode(errors="surrogateescape"))
        counters.parse_traffic(objects)
        counters.parse_ports(objects, "offered_udp")
        counters.parse_counters(objects)
    except (nft.NftError, counters.CountersError):
        pass


def _hosts(data: bytes) -> None:
    try:
        table = hosts.Hosts.load(_file("hosts.json", data))
    except OptionError:
        return
    for node in range(min(len(table), 4)):
        table.address(node)
        assert table.view(node).nodes >= 0


_SMALL = experiment.load("latency", settings=("nodes=8", "protocol=push"))
_PLAN = plan.make([({}, _SMALL)], seed=1, evidence=plan.SIMULATED)


def _store(data: bytes) -> None:
    store = Store()
    for sequence in range(5):
        store.add(MessageId(1, sequence), 0, b"")
    try:
        found = store.missing(data, now=1.0)
    except ValueError:
        return
    assert len(found) <= 5
    store.digest(Random(1), 24)


def _ledger_sample(**more: object) -> bytes:
    line = {"experiment": "latency", "run_dir": str(SCRATCH / "run"), **more}
    return b'{"seed": 1, "claims": ["C1"]}\n' + json.dumps(line).encode() + b"\n"


def _datagrams() -> list[bytes]:
    words = [_Word(1, 2, 3, 4, body) for body in (b"", b"x" * 40)]
    return [wire.encode(word, run=7, protocol=3, sender=1, sent_ns=9) for word in words]


def _trace_sample() -> bytes:
    path = SCRATCH / "sample.trace"
    written = trace.Trace(path)
    for event in trace.Event:
        written.write(event, 1, 1_000, peer=2, origin=1, sequence=event, type=0x10)
    written.note(1, 2_000, "temperature", 1.5)
    written.close()
    return path.read_bytes()


def _manifest_sample(**more: object) -> bytes:
    found = {"format": results.FORMAT, "experiment": {"name": "latency"}, "seed": 1, **more}
    return json.dumps(found).encode()


_WEATHER_TOML = b"""
[[at]]
time_s = 0
link = "core"
delay_ms = 20
loss_ratio = 0.01
[[at]]
time_s = 2.5
link = "h1>"
loss_ratio = 0.2
burst_packets = 4
"""


def _trial_sample() -> bytes:
    (trial,) = _PLAN.trials
    return _manifest_sample(seed=trial.seed, code=trial.code)


def _table_sample() -> bytes:
    rows = {column: range(3) for column in COLUMNS["deliveries"]}
    written = io.BytesIO()
    pd.DataFrame(rows).to_parquet(written, index=False)
    return written.getvalue()


def _verdict_sample() -> bytes:
    row = {"claim": "C1", "part": "form", "conditions": {"fan_out": 2}, "predicted": 1.0}
    row |= {"measured": 0.3, "low": 0.2, "high": 0.4, "runs": 10, "verdict": "supported"}
    return json.dumps({"verdicts": [row]}).encode()


def _targets() -> dict[str, Target]:
    for name in ("trace", "validation", "trials/latency/1", _PLAN.folder(SCRATCH)):
        (SCRATCH / name).mkdir(parents=True, exist_ok=True)
    manifest = manifests.whole_run(SCRATCH / "run")
    shipped = [path.read_bytes() for path in sorted(document.FOLDER.glob("*.toml"))]
    listings = [
        b'{"nftables": ' + path.read_bytes() + b"}"
        for path in sorted((RECORDED / "nftables").glob("*.json"))
    ]
    traces = [path.read_bytes() for path in sorted((RECORDED / "weather").glob("*.csv"))]
    traces.append(b" time_s, link,delay_ms\n0, core ,20\n")
    table = {"addresses": ["10.0.0.1", "10.0.0.2"], "port": 9000}
    plugins = {name: registry.load(name) for name in registry.names()}
    grouped = table | {"groups": [[[0, 2], [0, 1]]], "member": [0, 0]}
    return {
        "wire": Target(_wire, _datagrams()),
        "wire, right checksum": Target(_wire_checked, _datagrams()),
        "trace": Target(_trace, [_trace_sample()]),
        "trace, as a table": Target(lambda data: _events([data]), [_trace_sample()], _events),
        "experiment TOML": Target(_toml, shipped),
        "weather CSV": Target(partial(_weather, "day.csv"), traces),
        "weather TOML": Target(partial(_weather, "day.toml"), [_WEATHER_TOML]),
        "manifest": Target(_manifest, [manifest, _manifest_sample(runs=["a", "b"])]),
        "manifest, whole JSON": Target(manifests.feeder(SCRATCH / "run"), [b"1"]),
        "ledger": Target(_ledger, [_ledger_sample(), _ledger_sample(spoilt="/")]),
        "sweep.json": Target(_sweep, [json.dumps(_PLAN.document()).encode()]),
        "manifest of a trial": Target(_trial, [_trial_sample()]),
        "health": Target(_health, [b'{"ok": true, "reasons": ["a"], "unexplained": []}']),
        "verdicts": Target(_verdicts, [_verdict_sample()]),
        "table": Target(_table, [_table_sample()]),
        "counters' JSON": Target(_counters, listings),
        "hosts.json": Target(_hosts, [json.dumps(each).encode() for each in (table, grouped)]),
        "store": Target(_store, [b"", RANGE.pack(1, 0, 3) + RANGE.pack(2, 5, 9)]),
        **{
            f"messages of {name}": Target(messages.feeder(plugin), messages.samples(plugin))
            for name, plugin in plugins.items()
        },
    }


TARGETS = _targets()
