"""A sweep as a table in the terminal: the swept keys, and the means of what was measured."""

from __future__ import annotations

from rich.console import Console

from testbed import figures
from testbed.figures import Column
from testbed.sweep import TABLE, Sweep

MOST = 40
"""Rows shown; the files have all."""


def show(sweep: Sweep, keys: list[str]) -> None:
    """Prints the first rows, and where the rest is."""
    console = Console()
    rows = sweep.rows[:MOST]
    # A trial may be a grid of its own: what else differs tells its rows apart.
    more = [name for name in ("protocol", "nodes", "loss_ratio") if name not in keys]
    heads = [*keys, *(name for name in more if len({row[name] for row in sweep.rows}) > 1)]
    names = [
        Column(_words(name), [str(row.get(name, "")) for row in rows], folds=True) for name in heads
    ]
    console.print(figures.table([*names, *figures.measured(rows)], console.width))
    if len(sweep.rows) > MOST:
        console.print(f"and {len(sweep.rows) - MOST} rows more")
    new = sweep.trials - sweep.resumed
    console.print(f"trials:  {sweep.trials}, {new} of them new")
    console.print(f"results: {sweep.folder / TABLE}", soft_wrap=True)


def _words(key: str) -> str:
    """A swept key as a head that wraps between words: `protocol.push.fan_out` is push fan out."""
    return key.removeprefix("protocol.").replace(".", " ").replace("_", " ")
