"""Links that change with time: a trace of impairments, as a CSV or TOML file.

    time_s,link,delay_ms,loss_ratio          [[at]]
    0,core,20,0.01                           time_s = 0
    2.5,core,80,                             link = "core"
    4,access_up,,0.2                         delay_ms = 20

A row sets the fields of `topologies.impairments` that it names on a class of links, at a time since
its fault began; an empty field stays what it was, and `none` lifts a rate, a queue's limit and
bursts. `access` is the links between hosts and their routers, `core` those of two routers, in both
directions; with `_up` only the direction from the hosts to the core, with `_down` only the other. A
single port is "h3" (into the host), "h3>" (out of it) or "r1>r0". What is under way when a row
comes keeps its time.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from testbed import toml
from testbed.errors import UsageError, near
from topologies.errors import GraphError
from topologies.graph import Graph, router_port
from topologies.impairments import Impairment, parse

T = TypeVar("T")

CLASSES = ("access", "access_up", "access_down", "core", "core_up", "core_down")


@dataclass(frozen=True, slots=True)
class Row:
    """What changes on some links at one time."""

    time_s: float
    """Since the fault began."""
    link: str
    fields: tuple[tuple[str, Any], ...]
    """Of `Impairment`, with their new values."""

    def __str__(self) -> str:
        return f"weather at {self.time_s:g} s, {self.link}"


def load(where: str, path: Path) -> tuple[Row, ...]:
    """The rows of a file in the order of time. Raises `UsageError` naming the row."""
    try:
        if path.suffix == ".toml":
            tables = toml.loads(path.read_text()).get("at", [])
        elif path.suffix == ".csv":
            with path.open(newline="") as file:
                tables = list(csv.DictReader(file))
        else:
            raise UsageError(f"{where}: profile {path}: give a .csv or a .toml file")
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{where}: profile {path}: {error}; is it the file you mean?") from error
    if not isinstance(tables, list) or not tables:
        raise UsageError(f"{where}: profile {path}: holds no row; see docs/tutorial.md for one")
    rows = [_row(f"{where}: {path.name}, row {n}", each) for n, each in enumerate(tables, 1)]
    return tuple(sorted(rows, key=lambda row: row.time_s))


def _row(where: str, table: Any) -> Row:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {table!r} is no table; write [[at]] above it")
    given = {str(k).strip(): v for k, v in table.items() if k and v not in ("", None)}
    for name in ("time_s", "link"):
        if name not in given:
            raise UsageError(f"{where}: says no {name}; add it")
    when = given.pop("time_s")
    try:
        time_s = float(when)
    except (TypeError, ValueError):
        time_s = math.nan
    if not 0 <= time_s < math.inf:
        raise UsageError(f"{where}: time_s = {when!r}: give seconds from 0")
    link = str(given.pop("link")).strip()
    if not link.isprintable():  # it will be in errors of one line
        raise UsageError(f"{where}: link = {link!r}: give access, core, or a port like h1 or r1>r0")
    try:
        fields = parse(",".join(f"{name}={value}" for name, value in given.items()))
    except GraphError as error:
        raise UsageError(f"{where}: {error}") from error
    if not fields:
        raise UsageError(f"{where}: changes nothing; name a field, delay_ms say")
    return Row(time_s, link, tuple(fields.items()))


def ports(graph: Graph) -> dict[str, Impairment]:
    """What impairs each direction of each link, by the names that the simulator uses."""
    found: dict[str, Impairment] = {}
    for host in graph.hosts:
        found[host.name], found[f"{host.name}>"] = host.receive, host.send
    for link in graph.links:
        found[f"{link.upper}>{link.lower}"] = link.down
        found[f"{link.lower}>{link.upper}"] = link.up
    return found


def members(graph: Graph, link: str) -> list[str]:
    """The ports that a row's `link` stands for. Raises `UsageError`."""
    if link in ports(graph):
        return [link]
    if link not in CLASSES:
        raise UsageError(
            f"no link {link!r}; {near(link, CLASSES)}, or a port like h1, h1> or r1>r0"
        )
    kind, _, way = link.partition("_")
    found: list[str] = []
    if kind == "access":
        found += [host.name for host in graph.hosts if way != "up"]
        found += [f"{host.name}>" for host in graph.hosts if way != "down"]
    else:
        found += [f"{each.upper}>{each.lower}" for each in graph.links if way != "up"]
        found += [f"{each.lower}>{each.upper}" for each in graph.links if way != "down"]
    return found


class Weather:
    """The impairments of a network's links as the rows of one trace change them."""

    def __init__(self, graph: Graph, rows: Sequence[Row]) -> None:
        self._graph = graph
        self._rows = rows
        self._at_first = ports(graph)
        self._now: dict[str, Impairment] = {}

    def take(self, number: int) -> dict[str, Impairment]:
        """What a row, by its place, makes of the ports that it concerns. Raises `UsageError`."""
        row = self._rows[number]
        changed = {}
        try:
            for name in members(self._graph, row.link):
                before = self._now.get(name, self._at_first[name])
                changed[name] = replace(before, **dict(row.fields))
        except (GraphError, UsageError) as error:
            raise UsageError(f"{row}: {error}") from error
        self._now |= changed
        return changed

    def end(self) -> dict[str, Impairment]:
        """What the ports that were changed are to be again."""
        changed, self._now = self._now, {}
        return {name: self._at_first[name] for name in changed}


def check(graph: Graph, traces: Mapping[int, Sequence[Row]]) -> None:
    """Raises `UsageError` for rows that do not fit a network, and for a port of two traces.

    `traces` are those of one run, by the number of their fault. Each row builds on what its own
    trace has made of a port, so a second trace would be undone there; and whether fields of two go
    together would depend on which comes first.
    """
    owners: dict[str, int] = {}
    for number, rows in traces.items():
        try:
            changed = needs(graph, [rows])
        except UsageError as error:
            raise UsageError(f"[[faults]] number {number}, {error}") from error
        for name in changed:
            other = owners.setdefault(name, number)
            if other != number:
                raise UsageError(
                    f"[[faults]] numbers {other} and {number}: both profiles change {name}; write "
                    "their rows into one"
                )


def needs(graph: Graph, traces: Iterable[Sequence[Row]]) -> dict[str, tuple[Impairment, ...]]:
    """All that the ports of a network may become, so that they are shaped from the start."""
    found: dict[str, tuple[Impairment, ...]] = {}
    for name, impairment in _courses(graph, traces):
        if impairment not in found.get(name, ()):
            found[name] = (*found.get(name, ()), impairment)
    return found


def _courses(graph: Graph, traces: Iterable[Sequence[Row]]) -> Iterator[tuple[str, Impairment]]:
    for rows in traces:
        weather = Weather(graph, rows)
        for number in range(len(rows)):
            yield from weather.take(number).items()


def places(graph: Graph, changes: Mapping[str, T]) -> dict[tuple[str, str], T]:
    """What concerns ports, by (router, way), as shaping knows them: h1> is ("r1", "p0 in")."""
    hosts = {host.name: host for host in graph.hosts}
    found = {}
    for name, change in changes.items():
        here, arrow, there = name.partition(">")
        if there:
            above = graph.link_above(here)
            up = above is not None and above.upper == there
            found[here, "up" if up else f"d-{there}"] = change
        else:
            way = router_port(hosts[here]) + (" in" if arrow else "")
            found[graph.router_of(hosts[here]).name, way] = change
    return found
