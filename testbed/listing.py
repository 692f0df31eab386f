"""What `testbed list` shows: the plug-ins of each kind, read from their files without running them.

Protocols and topologies are loaded, since their options have domains and defaults to show.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from agents.options import OptionInfo
from testbed.errors import UsageError, near
from topologies.parameters import Parameter

HERE = Path(__file__).parent
KEYS = ("id", "name")
"""What a claim may be called on the command line."""


def entries(kind: str) -> list[dict[str, Any]]:
    """Name and first sentence of each thing of a kind, sorted; with the options it has."""
    if kind == "protocols":
        return [_protocol(name) for name in _protocols()]
    if kind == "topologies":
        return [_topology(name) for name in _topologies()]
    if kind == "experiments":
        return [_experiment(path) for path in sorted((HERE / "experiments").glob("*.toml"))]
    if kind == "claims":
        return sorted(map(_claim, _plugins(HERE / kind)), key=lambda claim: _number(claim["id"]))
    return [{"name": path.stem, "about": first_sentence(path)} for path in _plugins(HERE / kind)]


def check_claims(names: Sequence[str], *, checks: bool = True) -> tuple[str, ...]:
    """The numbers of claims given as `C1`, `c1` or by the name of their file; all when none is.

    Without `checks` all are those of the lecture, which have numbers: what is a check of the
    testbed by itself (twins), or of a paper (pbcast), has to be named.
    """
    listed = entries("claims")
    known = {str(entry[key]).casefold(): str(entry["id"]) for entry in listed for key in KEYS}
    for name in names:
        if name.casefold() not in known:
            guess, _, _ = near(name, [e[key] for e in listed for key in KEYS]).rpartition(
                "there are"
            )
            ids = ", ".join(entry["id"] for entry in listed)
            raise UsageError(f"unknown claim {name}; {guess}there are {ids}")
    numbered = [entry["id"] for entry in listed if checks or entry["id"][1:].isdigit()]
    chosen = [known[name.casefold()] for name in names] or numbered
    return tuple(dict.fromkeys(chosen))


def show(listed: Sequence[dict[str, Any]]) -> None:
    """Prints entries as text, options indented below their owner."""
    width = max((len(entry["name"]) for entry in listed), default=0)
    for entry in listed:
        click.echo(f"{entry['name']:<{width}}  {entry['about']}")
        for option in entry.get("options", []):
            default, unit = option["default"], f" {option['unit']}" if option["unit"] else ""
            value = "unset" if default is None else '""' if default == "" else f"{default}{unit}"
            click.echo(f"    {option['name']} = {value}  ({option['domain']})  {option['help']}")


def first_sentence(path: Path) -> str:
    """The first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    return docstring.partition("\n")[0].rstrip(".")


def _plugins(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _protocols() -> list[str]:
    from agents import registry

    return registry.names()


def _protocol(name: str) -> dict[str, Any]:
    from agents import registry
    from agents.options import describe

    plugin = registry.load(name)
    return {
        "name": name,
        "about": first_sentence(plugin.path),
        "options": _options(describe(plugin.protocol.Options)),
    }


def _topologies() -> list[str]:
    from topologies import catalog

    return catalog.names()


def _topology(name: str) -> dict[str, Any]:
    from topologies import catalog

    return {
        "name": name,
        "about": first_sentence(catalog.FOLDER / f"{name}.py"),
        "options": _options(catalog.arguments(name)),
    }


def _options(infos: Iterable[OptionInfo | Parameter]) -> list[dict[str, Any]]:
    return [
        {
            "name": info.name,
            "default": info.default,
            "unit": info.unit,
            "domain": info.domain,
            "help": info.help,
        }
        for info in infos
    ]


def _claim(path: Path) -> dict[str, Any]:
    """A claim's first line is its number and its title; importing it would cost a second."""
    about = first_sentence(path)
    return {"name": path.stem, "id": about.partition(":")[0], "about": about}


def _number(claim: str) -> tuple[int, str]:
    return len(claim), claim  # C2 before C11


def _experiment(path: Path) -> dict[str, Any]:
    head = tomllib.loads(path.read_text(encoding="utf-8")).get("experiment", {})
    return {
        "name": path.stem,
        "about": head.get("description", ""),
        "claims": head.get("claims", []),
    }
