"""What a command has to show: verdicts, a summary, the health of the runs, and where they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from testbed import figures
from testbed.figures import Column
from testbed.judging.selection import told_apart
from testbed.judging.stats import Interval
from testbed.judging.verdict import Verdict
from testbed.tables import CELL

STYLE = {"supported": "green", "refuted": "red", "inconclusive": "yellow", "not run": "dim"}
SOURCE = {"emulated": "hosts"}
"""Evidence, in a word of the reader's."""


@dataclass(frozen=True)
class Outcome:
    """The result of `run`, `simulate` or `validate`; `document` is what --json prints."""

    run_dir: Path
    experiment: str
    seed: int
    health: dict[str, Any]
    summary: list[dict[str, Any]]
    verdicts: Sequence[Verdict] = ()
    plots: dict[str, Path] = field(default_factory=dict)
    """By the plot's name."""
    brief: bool = False
    """Whether `show` leaves out the table of cells."""
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    """Those that claims have of their own: a head and rows, by title."""
    notes: tuple[str, ...] = ()
    """What a reader should know of the whole."""
    engine: str = ""
    """What moved virtual time; empty for runs on hosts."""

    def document(self) -> dict[str, Any]:
        engine = {"engine": self.engine} if self.engine else {}
        return {
            "schema": 1,
            "run_dir": str(self.run_dir),
            **engine,
            "experiment": self.experiment,
            "seed": self.seed,
            "verdicts": [verdict.row() for verdict in self.verdicts],
            "health": {"ok": self.health["ok"], "reasons": self.health["reasons"]},
            "summary": self.summary,
            "plots": {name: str(path) for name, path in self.plots.items()},
            "notes": list(self.notes),
        }

    def show(self) -> None:
        """Prints tables for a reader; with reasons below wherever a verdict needs one."""
        console = Console()
        if not self.brief:
            self._show_summary(console)
        if self.verdicts:
            self._show_verdicts(console)
        for title, (head, *rows) in self.tables.items():
            table = Table(*head, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title)
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for reason in self.health["reasons"]:
            console.print(f"[yellow]not healthy:[/] {reason}", soft_wrap=True)
        for note in self.notes:
            console.print(note, soft_wrap=True)
        if self.plots:
            folder = next(iter(self.plots.values())).parent
            console.print(f"plots:   {folder}", soft_wrap=True)
        console.print(f"results: {self.run_dir}", soft_wrap=True)

    def _show_verdicts(self, console: Console) -> None:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("claim", min_width=14)
        for name in ("predicted", "measured", "verdict"):
            table.add_column(name, no_wrap=True)
        table.add_column("plot", overflow="fold")
        for row in self.verdicts:
            table.add_row(
                f"{row.claim} {_part(row, self.verdicts)}",
                _number(row.predicted),
                _measured(row),
                f"[{STYLE.get(row.verdict, 'cyan')}]{row.verdict}[/]",
                row.plot if row.plot in self.plots else "",
            )
        console.print(table)
        reasons: dict[str, dict[str, str]] = {}
        for row in self.verdicts:
            for reason in row.reasons:
                names = reasons.setdefault(reason, {})
                names.setdefault(f"{row.claim} {_part(row, self.verdicts)}", row.claim)
        for reason, rows in reasons.items():
            console.print(f"{', '.join(_briefly(rows))}: {reason}", soft_wrap=True)

    def _show_summary(self, console: Console) -> None:
        columns = [
            Column("protocol", [self._name(row) for row in self.summary], folds=True),
            Column("nodes", [str(row["nodes"]) for row in self.summary]),
            Column("loss", [f"{row['loss_ratio']:g}" for row in self.summary]),
            *figures.measured(self.summary),
        ]
        console.print(figures.table(columns, console.width))

    def _name(self, row: Mapping[str, Any]) -> str:
        """The protocol, and what tells the cell from the protocol's others."""
        alike = [_conditions(r) for r in self.summary if r["protocol"] == row["protocol"]]
        told = told_apart(_conditions(row), alike)
        return f"{row['protocol']} ({told})" if told else str(row["protocol"])


def _conditions(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is not in a column of its own."""
    return {name: row[name] for name in CELL if name not in ("protocol", "nodes", "loss_ratio")}


def _part(row: Verdict, rows: Sequence[Verdict]) -> str:
    """The part, with what tells its rows apart when there are several: first of all, where the
    evidence comes from; then the conditions of those that come from there."""
    alike = [other for other in rows if (other.claim, other.part) == (row.claim, row.part)]
    same = [other.conditions for other in alike if other.evidence == row.evidence]
    source = [SOURCE.get(row.evidence, row.evidence)] if len(same) < len(alike) else []
    told = ", ".join(filter(None, [*source, told_apart(row.conditions, same)]))
    return f"{row.part} ({told})" if told else row.part


def _briefly(rows: Mapping[str, str]) -> list[str]:
    """Names of rows, by the claim of each; of many rows only the claims."""
    return list(rows) if len(rows) <= 4 else list(dict.fromkeys(rows.values()))


def _number(value: float | Interval) -> str:
    if isinstance(value, Interval):
        return f"{_number(value.low)}..{_number(value.high)}"
    return "" if math.isnan(value) else f"{value:.3g}"


def _measured(row: Verdict) -> str:
    """The number with its interval, at the level that the family leaves."""
    if math.isnan(row.measured):
        return "not run" if not row.runs and row.verdict != "not run" else ""
    if row.low == row.high:
        return _number(row.measured)
    return f"{_number(row.measured)} [{_number(row.low)}, {_number(row.high)}]"
