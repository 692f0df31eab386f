"""Draws the plots of a recorded run again, from its tables; nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed import plots, results
from testbed.tables import RunTables


def redraw(run_dir: Path, chosen: Sequence[str] = ()) -> dict[str, Path]:
    """Writes into `plots/` of the run directory; the PNG of each plot's name.

    Draws all that the tables hold data for when none is chosen; raises `UsageError` for a name
    that is no plot, or for which there is no data.
    """
    drawn = plots.draw(tables_of(run_dir), run_dir / "plots", chosen)
    results.hand_over(run_dir)
    return drawn


def tables_of(run_dir: Path) -> list[RunTables]:
    """The tables of a run directory; a validation names the run directories that it judged."""
    manifest = results.read_json(run_dir / "manifest.json")
    judged = manifest.get("runs")
    paths = [Path(path) for path in judged] if isinstance(judged, list) else [run_dir]
    return [results.load(path) for path in paths]
