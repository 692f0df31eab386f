"""What an experiment file may say: the settings of a grid and of a run, with domains and defaults.

Described with the same `option` fields as a protocol's options, so files, `--set` and the
documentation share one list. Protocol options and topology parameters belong to their own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from agents.options import OptionError, describe, make, option
from agents.timing import MODES

T = TypeVar("T")

KINDS = ("dissemination", "saturated")


@dataclass(frozen=True, slots=True)
class Grid:
    """One point of the grid, but for the protocol's options and the topology's parameters."""

    protocol: str = option("push", help="name of a protocol, or the path of its file")
    topology: str = option("two_subnets", help="name of a topology")
    nodes: int = option(64, low=2, help="hosts, one agent on each")
    loss_ratio: float = option(0.0, low=0, high=1, help="loss of every end-to-end path")
    timing: str = option("free", choices=MODES, help="when a node's rounds begin")


@dataclass(frozen=True, slots=True)
class Run:
    """How a cell is measured. A value may be a list along `nodes`, or a table by protocol."""

    kind: str = option("dissemination", choices=KINDS, help="to the last node, or at saturation")
    sources: str = option("one", choices=("one", "all"), help="who has the multicast at the start")
    round_s: float | None = option(0.5, unit="s", low=0.01, high=3600, help="period; or auto")
    warmup_rounds: int = option(1, unit="rounds", low=0, help="not measured, when saturated")
    rounds: int = option(100, unit="multicasts x periods", low=1, help="measured when saturated")
    horizon_rounds: int = option(40, unit="rounds", low=1, help="a dissemination stops here")
    linger_rounds: int = option(
        0, unit="rounds", low=0, help="a dissemination goes on after the last node has it"
    )
    repeats: int = option(20, unit="runs", low=1, help="multicasts of a dissemination cell")
    concurrent: int | None = option(1, unit="runs", low=1, help="at once; or auto")
    datagrams_per_s: int = option(6000, low=1, help="what `concurrent = auto` may ask of a machine")
    payload_bytes: int = option(64, unit="bytes", low=0, high=1200, help="of each multicast")


AUTO = ("round_s", "concurrent")
"""Settings of a run that also take "auto": None in `Run`, found by the harness."""

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def make_settings(cls: type[T], values: Mapping[str, Any]) -> T:
    """Makes a `Grid` or a `Run`; raises `OptionError` naming the setting, the value, the remedy."""
    auto = [name for name in AUTO if values.get(name) == "auto"]
    given = {name: value for name, value in values.items() if name not in auto}
    for info in describe(cls):
        if info.name in given:
            check_type(info.name, info.kind, given[info.name])
    made = make(cls, given)
    return replace(made, **dict.fromkeys(auto)) if auto else made  # type: ignore[type-var]


def check_type(name: str, kind: type, value: Any) -> None:
    """Refuses text for a number: a file has types, and a quoted number there is a slip."""
    if kind in (int, float):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, kind)
    if not fits:
        also = ' or "auto"' if name in AUTO else ""
        raise OptionError(
            f"{name}={value!r}: wrong type; choose {WORDS.get(kind, kind.__name__)}{also}"
        )
