"""An experiment file as nested tables, and the changes made to them by name.

`[quick]`, `[default]`, `[full]` and `--set` change single values. A key is dotted (`run.repeats`,
`protocol.push.fan_out`, `faults.0.share` of the first of `[[faults]]`), or bare where only one
table knows it (`repeats`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

from agents import registry
from agents.options import OptionInfo, describe
from testbed import faults, toml
from testbed.errors import UsageError, near
from testbed.faults import Fault
from testbed.settings import WORDS, Grid, Run, check_type
from topologies import catalog
from topologies.parameters import Parameter

FOLDER = Path(__file__).parent / "experiments"
VARIANTS = ("quick", "default", "full")
TABLES = ("experiment", "grid", "protocol", "topology", "run", "faults", *VARIANTS)
GRID = tuple(info.name for info in describe(Grid))
RUN = tuple(info.name for info in describe(Run))
DEFAULT = "default"


@dataclass
class Document:
    """The tables of one experiment. `protocol` and `topology` are by name, `default` for all."""

    source: str
    name: str
    description: str = ""
    claims: list[str] = field(default_factory=list)
    variants: list[str] = field(default_factory=lambda: list(VARIANTS))
    """Those of `testbed validate` that run it."""
    grid: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, dict[str, Any]] = field(default_factory=dict)
    topology: dict[str, dict[str, Any]] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    folder: Path = Path()
    """Where the files are that faults name."""

    def names(self, kind: str) -> list[str]:
        """The protocols or the topologies of the grid."""
        named = as_list(self.grid.get(kind, getattr(Grid(), kind)))
        for name in named:
            check_type(next(info for info in describe(Grid) if info.name == kind), name)
        return named

    def options(self, kind: str) -> list[str]:
        """What the protocols or the topologies of the grid know, sorted."""
        known = (info for name in self.names(kind) for info in describe_owner(kind, name))
        return sorted({info.name for info in known})

    def assign(self, key: str, value: Any) -> None:
        """Changes one value; raises `UsageError` for a key that nothing knows."""
        table, _, rest = self._full(key).partition(".")
        if table in ("grid", "run"):
            getattr(self, table)[rest] = value
            return
        if table == "faults":
            place, _, name = rest.partition(".")
            self.faults[int(place)][name] = value
            return
        name, _, option = rest.rpartition(".")
        owners: dict[str, dict[str, Any]] = getattr(self, table)
        if name in ("", DEFAULT):  # what is asked of all is not overruled by what one said before
            for options in owners.values():
                options.pop(option, None)
        owners.setdefault(name or DEFAULT, {})[option] = value

    def kind(self, key: str) -> type:
        """What a key holds; raises `UsageError` for one that nothing knows."""
        table, _, rest = self._full(key).partition(".")
        option = rest.rpartition(".")[2]
        if table == "faults":
            return float if faults.number(option) else str
        infos: list[OptionInfo | Parameter] = []
        if table in ("grid", "run"):
            infos += describe(Grid if table == "grid" else Run)
        else:
            infos += (info for name in self.names(table) for info in describe_owner(table, name))
        kind = next(info.kind for info in infos if info.name == option)
        return float if kind is type(None) else kind

    def fault_sets(self) -> list[tuple[Fault, ...]]:
        """The faults of each cell: those of the file, for each value of those that are axes."""
        each = faults.alternatives(self.faults)
        return [faults.parse(self.source, tables, self.folder) for tables in each]

    def pair_lists(self) -> None:
        """Ties each list of [run] to the sizes of now: sizes changed later mix nothing up."""
        for key, value in self.run.items():
            if isinstance(value, dict) and not isinstance(value, BySize):
                for owner in value:
                    if owner not in (DEFAULT, *registry.names(), *self.names("protocol")):
                        known = (DEFAULT, *registry.names())
                        raise UsageError(
                            f"{self.source}: [run] {key}: unknown protocol {owner};"
                            f" {near(owner, known)}"
                        )
                self.run[key] = {owner: self._pair(key, value[owner]) for owner in value}
            else:
                self.run[key] = self._pair(key, value)

    def _pair(self, key: str, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        sizes = as_list(self.grid.get("nodes", Grid().nodes))
        if wrong := [size for size in sizes if type(size) is not int or size < 1]:
            raise UsageError(f"{self.source}: [grid] nodes = {wrong[0]!r}: choose a whole number")
        if len(value) != len(sizes):
            raise UsageError(
                f"{self.source}: [run] {key} = {value}: {len(value)} values for {len(sizes)}"
                f" sizes; give one for each of nodes = {sizes}"
            )
        return BySize(zip(sizes, value, strict=True))

    def _full(self, key: str) -> str:
        keys = [f"grid.{name}" for name in GRID] + [f"run.{name}" for name in RUN]
        for kind in ("protocol", "topology"):
            for owner in ("", DEFAULT, *self.names(kind)):
                prefix = f"{kind}.{owner}." if owner else f"{kind}."
                keys += [prefix + option for option in self.options(kind)]
        for place, table in enumerate(self.faults):
            fields = faults.FIELDS.get(str(table.get("kind")), ())
            keys += [f"faults.{place}.{name}" for name in fields]
        if key in keys:
            return key
        short = [known for known in keys if known.count(".") == 1]
        homes = [known for known in short if known.partition(".")[2] == key]
        if len(homes) == 1:
            return homes[0]
        if homes:
            raise UsageError(f"{self.source}: {key}: could be {' or '.join(homes)}; write which")
        bare = [known.partition(".")[2] for known in short]
        known = keys if "." in key else bare
        raise UsageError(f"{self.source}: unknown key {key}; {near(key, known)}")


class BySize(dict[int, Any]):
    """A value of [run] for each number of nodes."""


def resolve(document: Document, key: str, protocol: str, nodes: int) -> Any:
    """The value of one [run] setting in one cell; a size that has none takes the nearest one's."""
    value = document.run[key]
    if isinstance(value, dict) and not isinstance(value, BySize):
        if protocol not in value and DEFAULT not in value:
            raise UsageError(f"{document.source}: [run] {key}: nothing for {protocol}; add default")
        value = value.get(protocol, value.get(DEFAULT))
    if isinstance(value, BySize):
        value = value[min(value, key=lambda size: abs(log(size / nodes)))]
    return value


def word(kind: type) -> str:
    """What a value of that kind is called."""
    return WORDS.get(kind, kind.__name__)


def as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def describe_owner(kind: str, name: str) -> Sequence[OptionInfo] | Sequence[Parameter]:
    """The options of a protocol, or the parameters of a topology."""
    if kind == "protocol":
        return describe(registry.load(name).protocol.Options)
    return catalog.parameters(name)


def names() -> list[str]:
    """Lists the experiments shipped, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name: str, variant: str) -> Document:
    """Reads a shipped experiment, or the file of that path, with the values of a variant."""
    path = _find(name)
    tables = _parse(path)
    source = str(name)
    for table, content in tables.items():
        if table not in TABLES:
            raise UsageError(f"{source}: unknown table [{table}]; {near(table, TABLES)}")
        if table != "faults" and not isinstance(content, dict):
            raise UsageError(f"{source}: {table} = {content!r}: write a table, [{table}]")
    document = _head(source, path, tables.get("experiment", {}))
    document.grid = _known(source, "grid", tables.get("grid", {}), GRID)
    document.run = _known(source, "run", tables.get("run", {}), RUN)
    document.faults = faults.check(source, tables.get("faults", []))
    document.folder = path.parent
    document.protocol = _owners(tables.get("protocol", {}))
    document.topology = _owners(tables.get("topology", {}))
    _check_owners(document)
    document.pair_lists()
    for kind in VARIANTS:
        changed = kind == variant or (kind, variant) == ("default", "full")
        for key, value in _flat(tables.get(kind, {})):
            home = document._full(key)  # a slip in the variant not asked for is a slip all the same
            if changed:
                document.assign(home, value)
        document.pair_lists()
    return document


def _find(name: str) -> Path:
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"experiment {name}: no such file; give the path of a TOML file")
        return path
    if name not in names():
        raise UsageError(f"unknown experiment {name}; {near(name, names())}")
    return FOLDER / f"{name}.toml"


def _parse(path: Path) -> dict[str, Any]:
    try:
        return toml.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a file that can be read") from error
    except ValueError as error:
        raise UsageError(f"{path}: not TOML: {error}; correct that place") from error


def _head(source: str, path: Path, table: Mapping[str, Any]) -> Document:
    _known(source, "experiment", table, ("name", "description", "claims", "variants"))
    claims = table.get("claims", [])
    for key in ("name", "description"):
        if not isinstance(table.get(key, ""), str):
            raise UsageError(f"{source}: [experiment] {key} = {table[key]!r}: write a text")
    if not isinstance(claims, list) or not all(isinstance(claim, str) for claim in claims):
        raise UsageError(f'{source}: [experiment] claims = {claims!r}: write a list, ["C1"]')
    name = table.get("name", path.stem)
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"{source}: [experiment] name = {name!r}: it names a folder; use letters")
    variants = table.get("variants", list(VARIANTS))
    if not isinstance(variants, list) or not variants or not set(variants) <= set(VARIANTS):
        raise UsageError(
            f"{source}: [experiment] variants = {variants!r}: list some of {', '.join(VARIANTS)}"
        )
    return Document(source, name, table.get("description", ""), claims, variants)


def _known(
    source: str, table: str, content: Mapping[str, Any], known: Iterable[str]
) -> dict[str, Any]:
    for key in content:
        if key not in known:
            raise UsageError(f"{source}: [{table}] unknown key {key}; {near(key, known)}")
    return dict(content)


def _owners(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """[protocol] fan_out = 2 means the same as [protocol.default] fan_out = 2."""
    owners: dict[str, dict[str, Any]] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            owners.setdefault(key, {}).update(value)
        else:
            owners.setdefault(DEFAULT, {})[key] = value
    return owners


def _check_owners(document: Document) -> None:
    for kind in ("protocol", "topology"):
        for owner, content in getattr(document, kind).items():
            used = document.names(kind)
            if owner not in (DEFAULT, *used):
                raise UsageError(
                    f"{document.source}: [{kind}.{owner}] is not in the grid;"
                    f" {near(owner, (DEFAULT, *used))}"
                )
            _known(document.source, f"{kind}.{owner}", content, document.options(kind))


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys of a variant; a table below a setting of [run] is that setting's value."""
    pairs: list[tuple[str, Any]] = []
    for key, value in table.items():
        dotted = prefix + key
        if isinstance(value, dict) and dotted.removeprefix("run.") not in RUN:
            pairs += _flat(value, f"{dotted}.")
        else:
            pairs.append((dotted, value))
    return pairs


def from_text(text: str) -> Any:
    """The value of `--set key=text`: TOML where it is, `a,b` a list, anything else a text.

    What has an `=` is one text: the fields of an impairment, `delay_ms=20,jitter_ms=5`.
    """
    parts = text.split(",")
    if len(parts) > 1 and "=" not in text and not text.lstrip().startswith(("[", "{", '"', "'")):
        return [from_text(part.strip()) for part in parts]
    try:
        return toml.loads(f"value = {text}")["value"] if "\n" not in text else text
    except ValueError:
        return text
