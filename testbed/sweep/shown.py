"""A sweep as a table in the terminal: the swept keys, and the means of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from testbed.outcome import SHOWN
from testbed.sweep import TABLE, Sweep

MOST = 40
"""Rows shown; the files have all."""


def show(sweep: Sweep, keys: list[str]) -> None:
    """Prints the first rows, and where the rest is."""
    console = Console()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown = [name for name in SHOWN if any(name in row for row in sweep.rows)]
    # A trial may be a grid of its own: what else differs tells its rows apart.
    more = [name for name in ("protocol", "nodes", "loss_ratio") if name not in keys]
    heads = [*keys, *(name for name in more if len({row[name] for row in sweep.rows}) > 1)]
    for name in (*heads, "runs", "voided", *shown):
        table.add_column(name.replace("_", " "), justify="right")
    for row in sweep.rows[:MOST]:
        cells = [str(row.get(name, "")) for name in (*heads, "runs", "voided")]
        table.add_row(*cells, *(_mean(row.get(name)) for name in shown))
    console.print(table)
    if len(sweep.rows) > MOST:
        console.print(f"and {len(sweep.rows) - MOST} rows more")
    new = sweep.trials - sweep.resumed
    console.print(f"trials:  {sweep.trials}, {new} of them new")
    console.print(f"results: {sweep.folder / TABLE}", soft_wrap=True)


def _mean(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    return "inf" if value["mean"] is None else f"{value['mean']:.4g}"
