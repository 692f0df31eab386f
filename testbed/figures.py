"""Cells of runs as a table in the terminal: their names, and the means of what was measured.

A number is never broken over two lines, and nothing is cut: where the terminal is too narrow the
columns stand closer, then the names are folded, and the numbers only when there are no names left
to fold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

SHOWN = ("rounds_to_half", "rounds_to_all", "residue", "traffic", "core_packets_per_round")
"""Metrics in the table of a run; the document has all of them."""
SHOWN_OF_STREAMS = (
    "delivery_ratio",
    "t_last",
    "data_per_message",
    "control_per_message",
)
"""Metrics in the table of a run of streams."""
LEAST = 6
"""A name is not folded to less while other names are wider."""
EXACT = 1e-9
"""An interval of this share of its mean is the rounding of equal numbers."""


@dataclass(frozen=True)
class Column:
    """A head and its cells; `folds` says whether they may go over several lines."""

    head: str
    cells: Sequence[str]
    folds: bool = False

    @property
    def least(self) -> int:
        """The width at which neither a cell nor a word of the head is broken."""
        return max(map(len, (*self.cells, *self.head.split())), default=0)


def measured(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """How many runs each row has, and the metrics that are there."""
    streams = any("delivery_ratio" in row for row in rows)
    wanted = SHOWN_OF_STREAMS if streams else SHOWN
    shown = [name for name in wanted if any(name in row for row in rows)]
    return [
        Column("runs", [runs(row) for row in rows]),
        *(Column(name.replace("_", " "), [mean(row.get(name)) for row in rows]) for name in shown),
    ]


def runs(row: Mapping[str, Any]) -> str:
    """Healthy runs, and of how many when some were voided."""
    healthy = row["runs"] - row["voided"]
    return f"{healthy} of {row['runs']}" if row["voided"] else str(healthy)


def mean(cell: Mapping[str, float | None] | None) -> str:
    """The mean, and how far its 95% interval reaches on either side; no space between them."""
    if cell is None:
        return ""
    value, low, high = cell["mean"], cell["low"], cell["high"]
    if value is None:
        return "never"
    half = 0.0 if low is None or high is None else (high - low) / 2
    if half <= EXACT * abs(value):
        return f"{value:.3g}"
    # As many places as show one digit of the half width: a line has 80 characters.
    places = max(0, min(4, -math.floor(math.log10(half))))
    return f"{value:.{places}f}±{half:.{places}f}"


def table(columns: Sequence[Column], width: int) -> Table:
    """The columns in a terminal of that width; the first one to the left, the others right."""
    least = [column.least for column in columns]
    pad = 1 if sum(least) + 2 * len(least) + 1 <= width else 0
    widths = fitted(columns, width - (1 + pad) * len(least) - 1)
    drawn = Table(box=SIMPLE_HEAD, padding=(0, pad, 0, 0))
    for place, (column, room) in enumerate(zip(columns, widths, strict=True)):
        side: Any = "right" if place else "left"
        drawn.add_column(Text(column.head), justify=side, width=room, overflow="fold")
    for cells in zip(*(column.cells for column in columns), strict=True):
        drawn.add_row(*map(Text, cells))
    return drawn


def fitted(columns: Sequence[Column], room: int) -> list[int]:
    """Widths that make up `room` at most: heads on one line where there is space for them."""
    widths = [column.least for column in columns]
    while sum(widths) > room and max(widths) > 1:
        names = [n for n, column in enumerate(columns) if column.folds and widths[n] > LEAST]
        widest = max(names or range(len(widths)), key=widths.__getitem__)
        widths[widest] -= 1
    for place, column in enumerate(columns):
        widths[place] += max(0, min(len(column.head) - widths[place], room - sum(widths)))
    return widths
