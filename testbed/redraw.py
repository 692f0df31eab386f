"""Draws the plots of a recorded run again, from its tables; nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed import claims, disk, intact, plots, results
from testbed.disk import ResultsError
from testbed.intact import RunError
from testbed.tables import RunTables


def redraw(
    run_dir: Path, chosen: Sequence[str] = (), further: Sequence[Path] = ()
) -> dict[str, Path]:
    """Writes into `plots/` of the run directory; the PNG of each plot's name.

    The runs of `further` directories are drawn with its own.
    Draws all that the tables hold data for when none is chosen; raises `UsageError` for a name
    that is no plot, or for which there is no data, and `ResultsError` when the disk takes no more.
    """
    own = tables_of(run_dir)
    tables = [*own, *(table for each in further for table in tables_of(each))]
    # Of a validation, which has many experiments, each plot shows those of its own claims.
    of = claims.experiments() if len(own) > 1 else None
    try:
        with disk.writing(run_dir / "plots"):
            drawn = plots.draw(tables, run_dir / "plots", chosen, of=of)
    except ResultsError as error:
        raise error.keeping("the run itself is whole") from error
    results.hand_over(run_dir)
    return drawn


def tables_of(run_dir: Path) -> list[RunTables]:
    """The tables of a run directory; a validation names the run directories that it judged."""
    path = run_dir / "manifest.json"
    manifest = intact.document(path)
    judged = manifest.get("runs")
    if not isinstance(judged, list):
        return [results.load(run_dir)]
    if manifest.get("format") != results.FORMAT:
        intact.manifest(manifest, path, results.FORMAT)
    if not all(isinstance(each, str) for each in judged):
        raise RunError(f"{path}: runs are named by text; restore it or validate again")
    return [results.load(Path(each)) for each in judged]
