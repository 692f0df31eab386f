"""The topologies there are, by file name: a file with a `build(...) -> Graph` is all it takes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from topologies import parameters as signature
from topologies.elements import GraphError, near
from topologies.graph import Graph
from topologies.parameters import Parameter

FOLDER = Path(__file__).parent

PARTS = {
    *("addresses", "catalog", "checks", "elements", "errors", "graph", "impairments", "layout"),
    *("mn", "parameters", "routes", "script"),
}
"""Files of this folder that are not topologies but what these stand on."""

COMMON = ("hosts", "loss_ratio")
"""What every topology takes. The harness sets them: `nodes` and `loss_ratio` of its grid."""


def names() -> list[str]:
    """All topologies, sorted."""
    stems = (path.stem for path in FOLDER.glob("[a-z]*.py"))
    return sorted(stem for stem in stems if stem not in PARTS)


def builder(name: str) -> Callable[..., Graph]:
    """A topology's `build`; GraphError when there is no such topology or it has none."""
    if name not in names():
        raise GraphError(f"unknown topology {name!r}; {near(name, names())}")
    build = getattr(importlib.import_module(f"topologies.{name}"), "build", None)
    if not callable(build):
        raise GraphError(f"topologies/{name}.py: no function `build`; define one")
    missing = [each for each in COMMON if each not in (p.name for p in signature.describe(build))]
    if missing:
        raise GraphError(f"topologies/{name}.py: build has no {missing[0]!r}; add that parameter")
    return cast(Callable[..., Graph], build)


def arguments(name: str) -> tuple[Parameter, ...]:
    """All parameters of a topology, in the order of its `build`."""
    return signature.describe(builder(name))


def parameters(name: str) -> tuple[Parameter, ...]:
    """A topology's own parameters: all but `COMMON`."""
    return tuple(each for each in arguments(name) if each.name not in COMMON)


def fill(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A topology's own parameters, checked, with defaults for those not given."""
    known = {each.name: each for each in parameters(name)}
    for key in values:
        if key not in known:
            raise GraphError(f"topology {name} has no parameter {key!r}; {near(key, known)}")
    filled = signature.fill(builder(name), values)
    return {key: filled[key] for key in known}


def parse(name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Values for `build` from text, checked; GraphError for an unknown name or a wrong value."""
    known = {each.name: each for each in arguments(name)}
    for key in texts:
        if key not in known:
            raise GraphError(f"topology {name} has no parameter {key!r}; {near(key, known)}")
    return {key: known[key].parse(text) for key, text in texts.items()}


def build(name: str, /, **parameters: Any) -> Graph:
    """Builds a topology by name. GraphError for a name, parameter or value that is refused."""
    make = builder(name)
    return make(**signature.fill(make, parameters))
