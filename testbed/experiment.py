"""Loads an experiment: a TOML file becomes frozen cells with every default filled in.

Tables: `[experiment]` name, description, claims, variants (of `testbed validate` that run it; all,
if it does not say); `[grid]` protocol, topology, nodes, loss_ratio, timing; `[protocol.NAME]`
options and `[topology.NAME]` parameters, NAME `default` for all that know them; `[run]` see
`testbed.settings.Run`. A list in the grid, in options or in parameters is an axis, and the cells
are the product of the axes. A value of `[run]` may instead be a list along `nodes`, or a table by
protocol. `[quick]`, `[default]` and `[full]` change single values for that variant; `full` takes
those of `default` first. `[[faults]]` is what goes wrong in every run, see `testbed.faults`; a list
where one has a number is an axis, too.

Everything is checked here, before a network is built; each error is a `UsageError` of one line.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from agents import registry
from agents.api import Protocol
from agents.options import OptionError, describe, make
from testbed import document, listing
from testbed.document import DEFAULT, Document, as_list
from testbed.errors import UsageError
from testbed.faults import Fault, drawing
from testbed.settings import Grid, Run, check_type, make_settings
from topologies import catalog
from topologies.graph import Graph, GraphError


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid: everything that is the same for its replicates."""

    index: int
    protocol: str
    """Its name; that of the file without `.py` for a protocol of one's own."""
    protocol_source: str
    """What an agent is told to load: the name, or an absolute path."""
    options: Mapping[str, Any]
    topology: str
    parameters: Mapping[str, Any]
    nodes: int
    loss_ratio: float
    timing: str
    run: Run
    faults: tuple[Fault, ...] = ()

    def graph(self) -> Graph:
        """The network of this cell; equal cells share one object."""
        parameters = tuple(sorted(self.parameters.items()))
        return _graph(self.topology, self.nodes, self.loss_ratio, parameters)


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is run: the cells in the order of the grid, `nodes` changing fastest."""

    name: str
    description: str
    claims: tuple[str, ...]
    variants: tuple[str, ...]
    """Of `testbed validate`, those that run it."""
    variant: str
    cells: tuple[Cell, ...]

    def manifest(self) -> dict[str, Any]:
        """Every parameter with its defaults filled in, as plain values."""
        return asdict(self)


def load(
    name: str,
    *,
    variant: str = "default",
    settings: Sequence[str] = (),
    protocols: Sequence[str] = (),
    repeats: int | None = None,
    network: bool = True,
) -> Experiment:
    """Loads a shipped experiment, or the TOML file of that path.

    `settings` are `key=value` texts; `protocols` replace those of the grid and may be paths of
    files. Without `network` no cell's network is made or checked: for engines that know none, and
    for sizes that no address plan has. Raises `UsageError`.
    """
    try:
        tables = document.read(name, variant)
        if protocols:
            _use_protocols(tables, protocols)
        for setting in settings:
            key, equals, value = setting.partition("=")
            if not equals or not key.strip():
                raise UsageError(f"--set {setting}: write --set key=value")
            tables.assign(key.strip(), document.from_text(value.strip()))
        if repeats is not None:
            tables.assign("run.repeats", repeats)
        tables.pair_lists()
        claims = listing.check_claims(tables.claims) if tables.claims else ()
        cells = tuple(_cells(tables, network))
    except (OptionError, GraphError) as error:
        raise UsageError(f"{name}: {error}") from error
    return Experiment(
        tables.name, tables.description, claims, tuple(tables.variants), variant, cells
    )


def names() -> list[str]:
    """Lists the experiments shipped, sorted."""
    return document.names()


def _use_protocols(tables: Document, protocols: Sequence[str]) -> None:
    tables.grid["protocol"] = [*protocols]
    # Options of the protocols that are replaced, and those that no new one has, fall away.
    kept = tables.options("protocol")
    for owner in list(tables.protocol):
        if owner not in (DEFAULT, *protocols):
            del tables.protocol[owner]
        else:
            options = tables.protocol[owner]
            tables.protocol[owner] = {key: options[key] for key in options if key in kept}


def _cells(tables: Document, network: bool) -> Iterator[Cell]:
    axes = {name: as_list(tables.grid.get(name, getattr(Grid(), name))) for name in document.GRID}
    for kind in ("protocol", "topology"):
        axes[kind] = tables.names(kind)
    for axis, values in axes.items():
        if not values:
            raise UsageError(f"{tables.source}: [grid] {axis} = []: name at least one")
    order = ("protocol", "topology", "loss_ratio", "timing")
    fault_sets = tables.fault_sets()
    index = itertools.count()
    for point in itertools.product(*(axes[axis] for axis in order)):
        within = (
            _product(tables, "protocol", point[0]),
            _product(tables, "topology", point[1]),
            fault_sets,
            axes["nodes"],
        )
        for options, parameters, faults, nodes in itertools.product(*within):
            grid = make_settings(Grid, {**dict(zip(order, point, strict=True)), "nodes": nodes})
            yield _cell(tables, next(index), grid, options, parameters, faults, network)


def _product(tables: Document, kind: str, name: str) -> Iterator[dict[str, Any]]:
    """The options of one protocol, or the parameters of one topology: lists are axes."""
    known = {info.name: info.kind for info in document.describe_owner(kind, name)}
    owners: dict[str, dict[str, Any]] = getattr(tables, kind)
    values = {**owners.get(DEFAULT, {}), **owners.get(name, {})}
    mine = {key: _axis(known[key], value) for key, value in values.items() if key in known}
    for key in mine:
        if not mine[key]:
            raise UsageError(f"{tables.source}: {kind}.{name}.{key} = []: name at least one")
    for combination in itertools.product(*mine.values()):
        yield dict(zip(mine, combination, strict=True))


def _axis(kind: type, value: Any) -> list[Any]:
    """A parameter that is itself a list, sizes of subnets say, has a list of lists as its axis."""
    if kind is tuple and not (isinstance(value, list) and value and isinstance(value[0], list)):
        return [value]
    return as_list(value)


def _cell(
    tables: Document,
    index: int,
    grid: Grid,
    options: Mapping[str, Any],
    parameters: Mapping[str, Any],
    faults: tuple[Fault, ...],
    network: bool,
) -> Cell:
    plugin = registry.load(grid.protocol)
    for info in describe(plugin.protocol.Options):
        check_type(info, options.get(info.name, info.default))
    made = make(plugin.protocol.Options, options)
    plugin.protocol.check(made, grid.nodes)
    shipped = grid.protocol in registry.names()
    run = {key: document.resolve(tables, key, plugin.name, grid.nodes) for key in tables.run}
    cell = Cell(
        index=index,
        protocol=plugin.name,
        protocol_source=grid.protocol if shipped else str(Path(grid.protocol).resolve()),
        options=asdict(made),
        topology=grid.topology,
        parameters=catalog.fill(grid.topology, parameters),
        nodes=grid.nodes,
        loss_ratio=grid.loss_ratio,
        timing=grid.timing,
        run=make_settings(Run, run),
        faults=faults,
    )
    cell.run.check(cell.nodes)
    if cell.run.held and plugin.protocol.hold is Protocol.hold:
        raise UsageError(
            f"protocol {plugin.name}: no hold(id, payload, now), by which every node has a "
            'multicast from the start (sources = "all"); define it'
        )
    if network:  # an address plan that does not fit is found here
        drawing.check(
            cell.faults,
            cell.graph(),
            kind=cell.run.kind,
            round_s=cell.run.round_s,
            horizon_rounds=cell.run.sending_s() / (cell.run.round_s or 1) + cell.run.horizon_rounds,
            concurrent=cell.run.concurrent,
        )
    return cell


@lru_cache(maxsize=64)
def _graph(
    topology: str, nodes: int, loss_ratio: float, parameters: tuple[tuple[str, Any], ...]
) -> Graph:
    return catalog.build(topology, hosts=nodes, loss_ratio=loss_ratio, **dict(parameters))
