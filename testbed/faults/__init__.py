"""What goes wrong in a run, as data: the `[[faults]]` tables of an experiment file.

A fault has a kind, a time, the nodes that it hits and, mostly, an end. `drawing` draws from it,
with the run's seed, what happens to whom and when, once for each batch of runs (`batches`); the
steps and who is correct then are a `timeline`. On emulated hosts `hosts` plays it by signals and
links and by `rules` (drops at the routers), and `excuses` says which lateness is the faults' own;
`virtual` plays it in the event simulator. `weather` reads links that change.

Everything that can be wrong with a table is a `UsageError` of one line, before a network is built.
docs/faults.md has an example of each kind.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from testbed.errors import UsageError, near
from testbed.faults import weather
from testbed.faults.weather import Row

KINDS = {
    "kill": "the agents are ended by SIGKILL; `for_rounds` starts them again after that time",
    "restart": "agents that are dead start again",
    "pause": "the agents are stopped by SIGSTOP; `for_rounds` continues them",
    "resume": "agents that are stopped continue",
    "slow": "the agents get only a `share` of the time, in turns of `period_s`",
    "clock_step": "the clock that the protocol sees jumps by `seconds`",
    "link_down": "the hosts' links, or the link above a `router`, are down",
    "link_up": "links that are down come up again",
    "flap": "the links go down and up: down for `share` of every `period_s`",
    "partition": "no datagram passes between the `sets`; the nodes of no set form one more",
    "heal": "all partitions end",
    "loss": "more datagrams are lost: towards the nodes, or whatever a `router` forwards",
    "churn": "the nodes leave and come back, each at Poisson times",
    "weather": "links change as the rows of a file say: `testbed.faults.weather`",
}

WHEN = ("at_s", "at_round", "at_infected", "between_rounds", "each_round")
LENGTH = ("for_s", "for_rounds")
SOURCE = ("excluded", "included", "any")

_AT_ONCE = ("at_s", "at_round", "at_infected", "between_rounds")
_NODES = ("nodes", "within", "source")
_LENGTHENED = (*WHEN, *LENGTH)
FIELDS: dict[str, tuple[str, ...]] = {
    "kill": (*_LENGTHENED, *_NODES),
    "restart": (*WHEN, *_NODES),
    "pause": (*_LENGTHENED, *_NODES),
    "resume": (*WHEN, *_NODES),
    "slow": (*_LENGTHENED, *_NODES, "share", "period_s"),
    "clock_step": (*WHEN, *_NODES, "seconds"),
    "link_down": (*_LENGTHENED, *_NODES, "router"),
    "link_up": (*WHEN, *_NODES, "router"),
    "flap": (*_LENGTHENED, *_NODES, "router", "share", "period_s"),
    "partition": (*_AT_ONCE, *LENGTH, "sets", "within", "source"),
    "heal": _AT_ONCE,
    "loss": (*_AT_ONCE, *LENGTH, *_NODES, "router", "loss_ratio"),
    "churn": (*_AT_ONCE, *LENGTH, *_NODES, "leave_ratio", "away_rounds"),
    "weather": (*_AT_ONCE, "profile"),
}
"""The fields of each kind beside `kind`."""

NEEDS: dict[str, tuple[str, ...]] = {
    "slow": ("share",),
    "clock_step": ("seconds",),
    "flap": ("share", "period_s"),
    "partition": ("sets",),
    "loss": ("loss_ratio",),
    "churn": ("leave_ratio", "away_rounds"),
    "weather": ("profile",),
}

TOGETHER = ("partition", "heal", "loss", "weather")
"""The kinds that begin at one time, whatever nodes they concern."""

Selector = int | float | str | tuple[int, ...]
"""Whom a fault hits: a fraction (0.5), a number of nodes (3), a list of their numbers, or the name
of a subnet or router, "all", "source", or "source+2": the second node after the source, by number
and round the end."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. None stands for a field that its kind lacks or that was left out."""

    kind: str
    at_s: float | None = None
    """Seconds since the start of the run; 0 is before it."""
    at_round: float | None = None
    """Rounds since the start, of the cell's `round_s`; 0 is before it."""
    at_infected: float | None = None
    """When this fraction of all nodes has the multicast, 0..1."""
    between_rounds: tuple[float, float] | None = None
    """Each node at a time of its own, uniform between these rounds; what is of no single node
    (`TOGETHER`, a router) at one such time."""
    each_round: float | None = None
    """Each node at a time of its own: of those left, this share in each round, 0..1."""
    for_s: float | None = None
    for_rounds: float | None = None
    """How long it lasts; without either to the end of the run."""
    nodes: Selector | None = None
    within: str | None = None
    """The subnet, or the router, below which nodes are drawn."""
    source: str | None = None
    """Whether nodes that multicast are among those hit; None as `policy` says."""
    router: str | None = None
    sets: tuple[Selector, ...] | None = None
    """The sides of a partition."""
    seconds: float | None = None
    """Of a clock's step, forwards or (negative) backwards."""
    share: float | None = None
    """0..1: of the time that a slow node gets, of the period that a flapping link is down."""
    period_s: float | None = None
    loss_ratio: float | None = None
    leave_ratio: float | None = None
    """The probability that a node which is there leaves within a round, 0..1."""
    away_rounds: float | None = None
    """How long a node stays away, on the average; exponential."""
    profile: tuple[Row, ...] | None = None
    """Of the weather: what its file says, a path from the experiment's folder."""

    @property
    def policy(self) -> str:
        """`source` with its default: spared by what ends a node, unless that hits all nodes."""
        return self._default if self.source is None else self.source

    @property
    def follows_source(self) -> bool:
        """Whether whom it hits depends on who multicasts, which differs from run to run."""
        return any(after_source(each) is not None for each in (self.nodes, *(self.sets or ())))

    @property
    def _default(self) -> str:
        gentle = self.kind in ("loss", "partition", "clock_step", "weather")
        return "any" if gentle or self.nodes in ("all", "source") else "excluded"

    def __str__(self) -> str:
        """The fault in a few words, for tables: `kill 0.5 at_round 0`."""
        words = [self.kind]
        for name in ("sets", "nodes", "within", "router", *WHEN, *LENGTH, *_AMOUNTS):
            value = getattr(self, name)
            if value is not None:
                label = "" if name in ("sets", "nodes") else f"{name} "
                words.append(f"{label}{_short(value)}")
        if self.profile is not None:
            words.append(f"{len(self.profile)} rows")
        if self.policy != self._default:
            words.append(f"source {self.policy}")
        return " ".join(words)


_AMOUNTS = ("seconds", "share", "period_s", "loss_ratio", "leave_ratio", "away_rounds")
_KNOWN = tuple(field.name for field in fields(Fault))
_NUMBERS = {
    "at_s": (0.0, 1e9),
    "at_round": (0.0, 1e9),
    "at_infected": (0.0, 1.0),
    "each_round": (0.0, 0.999),
    "for_s": (0.001, 1e9),
    "for_rounds": (0.001, 1e9),
    "seconds": (-1e6, 1e6),
    "share": (0.01, 0.99),
    "period_s": (0.01, 1e9),
    "loss_ratio": (0.0, 1.0),
    "leave_ratio": (0.0, 0.999),
    "away_rounds": (0.001, 1e9),
}
"""Domains, ends included: a millisecond is what a signal or a rule takes, a slow node's turn of 10
ms the shortest that a scheduler keeps; 1e9 s, 30 years, outlast every run."""


def after_source(selector: object) -> int | None:
    """How many nodes after the source a selector points to; None when it names no source."""
    if not isinstance(selector, str):
        return None
    found = re.fullmatch(r"source(?:\+([0-9]{1,9}))?", selector)
    return int(found[1] or 0) if found else None


def describe(faults: Sequence[Fault]) -> str:
    """All faults of a cell in one line; "" for none. Tells cells apart in tables."""
    return "; ".join(map(str, faults))


def alternatives(tables: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """The `[[faults]]` of each cell: a list where a number belongs is an axis."""
    axes = {
        (place, name): value
        for place, table in enumerate(tables)
        for name, value in table.items()
        if name in _NUMBERS and isinstance(value, list) and value
    }
    found = []
    for values in itertools.product(*axes.values()):
        chosen = [dict(table) for table in tables]
        for (place, name), value in zip(axes, values, strict=True):
            chosen[place][name] = value
        found.append(chosen)
    return found


def number(name: str) -> bool:
    """Whether a field of a fault holds a number."""
    return name in _NUMBERS


def parse(source: str, tables: object, folder: Path = Path()) -> tuple[Fault, ...]:
    """Checks the `[[faults]]` of a file in `folder`, all that needs no network.

    Raises `UsageError`.
    """
    return tuple(
        _fault(f"{source}: [[faults]] number {place}", table, folder)
        for place, table in enumerate(check(source, tables), 1)
    )


def check(source: str, tables: object) -> list[dict[str, Any]]:
    """The `[[faults]]` of a file as a list of tables; raises `UsageError` where it is none."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{source}: faults: write each as a table, [[faults]]")
    return [dict(table) for table in tables]


def _fault(where: str, table: Mapping[str, Any], folder: Path) -> Fault:
    kind = table.get("kind")
    if kind not in KINDS:
        raise UsageError(f"{where}: kind = {kind!r}; {near(str(kind), KINDS)}")
    where = f"{where}, {kind}"
    allowed = FIELDS[str(kind)]
    for name in table:
        if name not in ("kind", *allowed):
            raise UsageError(f"{where}: no field {name}; {near(name, allowed)}")
    for name in NEEDS.get(str(kind), ()):
        if name not in table:
            raise UsageError(f"{where}: says no {name}; add it")
    values = {name: _value(where, name, value) for name, value in table.items()}
    if "profile" in values:
        values["profile"] = weather.load(where, folder / values["profile"])
    _check_times(where, str(kind), values)
    _check_place(where, str(kind), values)
    return Fault(**values)


def _value(where: str, name: str, value: Any) -> Any:
    if name in _NUMBERS:
        return _number(where, name, value)
    if name == "between_rounds":
        if not isinstance(value, list) or len(value) != 2:
            raise UsageError(f"{where}: {name} = {value!r}: write two rounds, [1, 5]")
        low, high = (_number(where, "at_round", each) for each in value)
        if low >= high:
            raise UsageError(f"{where}: {name} = {value}: the second must be the later one")
        return low, high
    if name == "nodes":
        return _selector(where, name, value)
    if name == "sets":
        if not isinstance(value, list) or not value:
            raise UsageError(f'{where}: sets = {value!r}: write a list of nodes, ["s1"] or [0.5]')
        sides = tuple(_selector(where, name, each) for each in value)
        if len(sides) > 1 and any(after_source(side) is not None for side in sides):
            raise UsageError(
                f'{where}: sets = {value!r}: a set naming "source" cannot be combined with others; '
                "give it alone"
            )
        return sides
    if name == "source" and value not in SOURCE:
        raise UsageError(f"{where}: source = {value!r}; {near(str(value), SOURCE)}")
    if not isinstance(value, str):
        raise UsageError(f"{where}: {name} = {value!r}: write a text")
    return value


def _number(where: str, name: str, value: Any) -> float:
    low, high = _NUMBERS[name]
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not low <= value <= high:
        raise UsageError(f"{where}: {name} = {value!r}: give a number {low:g}..{high:g}")
    return float(value)


def _selector(where: str, name: str, value: Any) -> Selector:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(type(each) is int and each >= 0 for each in value):
        if len(set(value)) == len(value) > 0:
            return tuple(value)
    elif (type(value) is int and value > 0) or (isinstance(value, float) and 0 < value <= 1):
        return value
    raise UsageError(
        f"{where}: {name} = {value!r}: give a fraction (0.5), how many (3), different node numbers"
        ' ([0, 7]), a subnet or router, "all", "source" or "source+1"'
    )


def _check_times(where: str, kind: str, values: Mapping[str, Any]) -> None:
    given = [name for name in WHEN if name in values]
    choices = [name for name in WHEN if name in FIELDS[kind]]
    if len(given) != 1 and not (kind == "churn" and not given):
        said = " and ".join(given) or "no time"
        raise UsageError(f"{where}: says {said}; give one of {', '.join(choices)}")
    if "for_s" in values and "for_rounds" in values:
        raise UsageError(f"{where}: says for_s and for_rounds; give one of them")


def _check_place(where: str, kind: str, values: Mapping[str, Any]) -> None:
    if "router" in values:
        for name in (*_NODES, "each_round"):
            if name in values:
                raise UsageError(f"{where}: says router and {name}; a router has no {name}")
        return
    if kind in ("restart", "resume", "link_up") and "each_round" not in values:
        return  # by default all that are concerned
    if "nodes" in FIELDS[kind] and "nodes" not in values:
        raise UsageError(f"{where}: says no nodes; add nodes = 0.5, say")


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "[" + ",".join(map(_short, value)) + "]"
    return str(value)
