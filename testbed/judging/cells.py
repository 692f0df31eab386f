"""What the manifest says of a cell beside the columns of its runs, named for a reader.

The topology's parameters, the fields of each fault (`kill at_s`), and those settings of the run in
which streams may differ. A text stands with its name, `access delay_ms=10`: alone it would not say
what it is of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from testbed.tables import RunTables

Cell = Mapping[str, Any]

SETTINGS = ("sources", "messages", "interval_s", "round_s", "payload_bytes")
"""What a stream carries and when. How often it is run, and how long it is watched, is no such."""

LONGEST = 40
"""Characters of a value; a longer one, the weather of a day say, stands as a digest."""


def parameters(tables: RunTables) -> dict[int, dict[str, Any]]:
    """Those of the topology, by cell; none where the manifest has no cells."""
    return {cell["index"]: _worded(cell["parameters"].items()) for cell in _cells(tables)}


def stated(tables: RunTables) -> dict[int, dict[str, Any]]:
    """The rest, by cell. A setting that goes with the size is left out: it makes no variant."""
    cells = _cells(tables)
    return {
        cell["index"]: {
            **_worded(_fields(cell.get("faults", ()))),
            **_worded(_settings(cell, cells)),
        }
        for cell in cells
    }


def _cells(tables: RunTables) -> Sequence[Cell]:
    found: Sequence[Cell] = tables.manifest.get("experiment", {}).get("cells", ())
    return found


def _fields(faults: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The fields of all faults; of several of one kind each has its number, from 1."""
    kinds = [fault["kind"] for fault in faults]
    for place, kind in enumerate(kinds):
        number = f" {kinds[: place + 1].count(kind)}" if kinds.count(kind) > 1 else ""
        for name, value in faults[place].items():
            if name != "kind":
                yield f"{kind}{number} {name}", value


def _settings(cell: Cell, cells: Sequence[Cell]) -> Iterator[tuple[str, Any]]:
    alike = [other["run"] for other in cells if other["protocol"] == cell["protocol"]]
    for name in SETTINGS:
        value = cell["run"].get(name)
        if all(run.get(name) == value for run in alike):
            yield name, value


def _worded(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _word(name, value) for name, value in values}


def _word(name: str, value: Any) -> Any:
    if value is None or value == "":
        return ""
    if len(text := str(value)) > LONGEST:
        return f"{name} #{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    return f"{name} {value}" if isinstance(value, str) else value
