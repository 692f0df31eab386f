"""What an experiment file may say: the settings of a grid and of a run, with domains and defaults.

Described with the same `option` fields as a protocol's options, so files, `--set` and the
documentation share one list. Protocol options and topology parameters belong to their own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from agents.options import OptionError, OptionInfo, describe, make, option
from agents.timing import MODES

T = TypeVar("T")

KINDS = ("dissemination", "saturated", "stream")


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

    kind: str = option("dissemination", choices=KINDS, help="what is measured")
    sources: str = option("one", help="who multicasts: one, all, or how many random nodes")
    messages: int = option(
        1, unit="multicasts", low=1, help="how many each source of a stream sends"
    )
    interval_s: float = option(
        0.0, unit="s", low=0, high=3600, help="time between two multicasts of a source"
    )
    round_s: float | None = option(
        0.5,
        unit="s",
        low=0.01,
        high=3600,
        help="gossip period; auto: the shortest that the agents keep up with",
    )
    warmup_rounds: int = option(
        1, unit="rounds", low=0, help="saturated: rounds before the measurement"
    )
    rounds: int = option(
        100,
        unit="multicasts x periods",
        low=1,
        help="saturated: rounds measured, of all multicasts together",
    )
    horizon_rounds: int = option(
        40, unit="rounds", low=1, help="a run ends this long after its last multicast at the latest"
    )
    linger_rounds: int = option(
        0, unit="rounds", low=0, help="how long a run goes on after the last node has everything"
    )
    repeats: int = option(
        20, unit="runs", low=1, help="runs of each cell that is a dissemination or stream"
    )
    concurrent: int | None = option(
        1, unit="runs", low=1, help="runs at once; auto: as many as datagrams_per_s allows"
    )
    datagrams_per_s: int = option(6000, low=1, help="most that concurrent = auto asks of a machine")
    payload_bytes: int = option(
        64, unit="bytes", low=0, high=1200, help="payload of each multicast"
    )

    def check(self, nodes: int) -> None:
        """Raises `OptionError` for settings that do not go together in a group of that size."""
        known = self.sources in ("one", "all") or self.sources.isdecimal()
        if not known or not 1 <= self.senders(nodes) <= nodes:
            raise OptionError(f'sources={self.sources!r}: choose "one", "all", or 1..{nodes}')
        if self.kind == "stream":
            return
        if self.messages > 1 or self.sources not in ("one", "all", "1"):
            setting = "messages" if self.messages > 1 else "sources"
            value = getattr(self, setting)
            raise OptionError(f'{setting}={value}: that is a stream; set kind = "stream"')

    @property
    def held(self) -> bool:
        """Whether every node has a multicast from the start, and nobody sends one."""
        return self.kind != "stream" and self.sources == "all"

    def senders(self, nodes: int) -> int:
        """How many nodes multicast in a stream."""
        return {"one": 1, "all": nodes}.get(self.sources) or int(self.sources)

    def sending_s(self) -> float:
        """Seconds from the first multicast to the last one of a source."""
        return (self.messages - 1) * self.interval_s


AUTO = ("round_s", "concurrent")
"""Settings of a run that also take "auto": None in `Run`, found by the harness."""

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def make_settings(cls: type[T], values: Mapping[str, Any]) -> T:
    """Makes a `Grid` or a `Run`; raises `OptionError` naming the setting, the value, the remedy."""
    auto = [name for name in AUTO if values.get(name) == "auto"]
    given = {name: value for name, value in values.items() if name not in auto}
    if isinstance(given.get("sources"), int) and not isinstance(given["sources"], bool):
        given["sources"] = str(given["sources"])  # a number of sources
    for info in describe(cls):
        if info.name in given:
            check_type(info, given[info.name])
    made = make(cls, given)
    return replace(made, **dict.fromkeys(auto)) if auto else made  # type: ignore[type-var]


def check_type(info: OptionInfo, value: Any) -> None:
    """Refuses text for a number: a file has types, and a quoted number there is a slip."""
    if info.kind in (int, float):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, info.kind)
    if not fits:
        also = ' or "auto"' if info.name in AUTO else ""
        kind = WORDS.get(info.kind, info.kind.__name__)
        raise OptionError(
            f"{info.name}={value!r}: wrong type; choose {kind}{also}: {info.domain}"
            f"{info.unit and ' ' + info.unit} (default {info.default_words})"
        )
