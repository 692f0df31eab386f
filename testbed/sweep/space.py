"""The points of a sweep: a grid, or a random search, over any key that `--set` takes.

An axis is written KEY=VALUES: a list `1,2,4`; a range `0..0.5`, evenly drawn; `log:8..512`, evenly
in its logarithm. A grid takes a number of points of a range, `0..0.5/6`, both ends among them. A
random search is a Latin hypercube (scipy.stats.qmc), so that each axis alone is covered evenly,
however few points there are.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import qmc

from testbed import document
from testbed.document import Document
from testbed.errors import UsageError

Point = dict[str, Any]
"""A value for each key."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_RANGE = re.compile(rf"(log:)?({_NUMBER})\.\.({_NUMBER})(?:/(\d+))?", re.IGNORECASE)

DIGITS = 6
"""Significant digits of a drawn number: it can be typed again as it is shown."""

MOST = 100_000
"""Trials of a sweep: more are a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One key and what it takes: some values, or a range from `low` to `high`."""

    key: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    steps: int = 0
    """Points of a range in a grid; 0: none was given."""
    whole: bool = False

    def grid(self) -> list[Any]:
        """The values in a grid; raises `UsageError` for a range without a number of points."""
        if self.values:
            return list(self.values)
        if not self.steps:
            raise UsageError(
                f"--over {self.key}: a grid takes some points of a range; "
                f"write {self.low:g}..{self.high:g}/5, or --random N"
            )
        space = np.geomspace if self.log else np.linspace
        return list(dict.fromkeys(map(self._number, space(self.low, self.high, self.steps))))

    def at(self, share: float) -> Any:
        """The value at a share in [0, 1) of the way along the axis."""
        if self.values:
            return self.values[int(share * len(self.values))]
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        if self.log:
            low = max(low, self.low / 2)
            found = low * (high / low) ** share
        else:
            found = low + (high - low) * share
        return self._number(min(max(found, self.low), self.high))

    def _number(self, value: float) -> float | int:
        return round(value) if self.whole else float(f"{value:.{DIGITS}g}")


def axes(texts: Sequence[str], tables: Document) -> list[Axis]:
    """Reads `--over` options; `tables` tells which keys there are and what they hold."""
    given: dict[str, str] = {}
    for text in texts:
        key, equals, values = (part.strip() for part in text.partition("="))
        if not (key and equals and values):
            raise UsageError(f"--over {text}: write --over KEY=1,2,4 or KEY=0..0.5/6")
        if key in given:
            raise UsageError(f"--over {key}: named twice; give all its values at once")
        given[key] = values
    for kind in ("protocol", "topology"):  # they decide which other keys there are
        for key in (kind, f"grid.{kind}"):
            if key in given:
                tables.grid[kind] = list(_listed(given[key]))
    return [_axis(key, values, tables) for key, values in given.items()]


def _axis(key: str, text: str, tables: Document) -> Axis:
    kind = tables.kind(key)
    match = _RANGE.fullmatch(text)
    if match is None:
        return Axis(key, _listed(text))
    log, low, high, steps = match.groups()
    axis = Axis(key, (), float(low), float(high), bool(log), int(steps or 0), kind is int)
    wrong = None
    if kind not in (int, float):
        wrong = f"{document.word(kind)} has no range; give a list"
    elif not axis.low < axis.high:
        wrong = "give the lower end first"
    elif log and axis.low <= 0:
        wrong = "a logarithmic range begins above 0"
    elif steps and axis.steps < 2:
        wrong = "give 2 points or more"
    if wrong:
        raise UsageError(f"--over {key}={text}: {wrong}")
    return axis


def _listed(text: str) -> tuple[Any, ...]:
    values = tuple(document.as_list(document.from_text(text)))
    if not values:
        raise UsageError(f"--over ...={text}: name at least one value")
    return tuple(json.loads(each) for each in dict.fromkeys(map(json.dumps, values)))


def points(axes: Sequence[Axis], number: int | None, seed: int) -> list[Point]:
    """The points, each once: the whole grid, or a `number` of random ones.

    Raises `UsageError` for none, and for more than `MOST`.
    """
    if not axes:
        raise UsageError("sweep: nothing to go over; name a key, --over KEY=1,2,4")
    keys = [axis.key for axis in axes]
    rows: Iterable[Iterable[Any]]
    if number is None:
        columns = [axis.grid() for axis in axes]
        size = int(np.prod([len(column) for column in columns], dtype=float))
        rows = itertools.product(*columns)
    else:
        size = number
        rows = _drawn(axes, number, seed) if number <= MOST else ()
    if size > MOST:
        raise UsageError(f"sweep: {size} trials; choose fewer than {MOST}")
    found = [dict(zip(keys, row, strict=True)) for row in rows]
    return list({canonical(point): point for point in found}.values())


def _drawn(axes: Sequence[Axis], number: int, seed: int) -> Iterable[list[Any]]:
    shares = qmc.LatinHypercube(len(axes), seed=np.random.default_rng(seed)).random(number)
    for row in shares:
        yield [axis.at(float(share)) for axis, share in zip(axes, row, strict=True)]


def canonical(point: Point) -> str:
    """A point as text, the same for equal points."""
    return json.dumps(point, sort_keys=True)


def settings(point: Point) -> list[str]:
    """A point as `--set` texts."""
    # JSON of a number, a truth value, a text or a list is TOML too.
    return [f"{key}={_toml(value)}" for key, value in point.items()]


def _toml(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) or "," in value else value
