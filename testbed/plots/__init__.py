"""Plots of run directories, one a file, the file name being its name.

A plot file has `TITLE`, `CLAIMS` (numbers of the claims that it shows), `NEEDS` (what runs it
needs) and `draw(tables)`, which returns a figure, or None when the runs hold nothing for it. It may
have `table(tables)`, the numbers drawn as a DataFrame, which is written beside the figure as CSV,
and `FURTHER`, functions like it by what is added to the name of the file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

from testbed import plotting
from testbed.errors import UsageError, near
from testbed.tables import RunTables


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> ModuleType:
    """The plot of that name; raises `UsageError` with the near matches."""
    if name not in names():
        raise UsageError(f"unknown plot {name!r}; {near(name, names())}")
    return importlib.import_module(f"{__name__}.{name}")


def draw(
    tables: Sequence[RunTables],
    folder: Path,
    chosen: Sequence[str] = (),
    *,
    of: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Path]:
    """Draws plots of the runs into a folder, each as PNG and SVG; returns the PNG of each name.

    Without names, all that the runs hold data for. `of` names the experiments of each claim: where
    many were run, a plot shows those of its own claims. Raises `UsageError` for a plot that was
    asked for by name and for which there is none.
    """
    modules = {name: load(name) for name in chosen or names()}
    drawn = {}
    for name, module in modules.items():
        own = {name for claim in module.CLAIMS for name in (of or {}).get(claim, ())}
        shown = [t for t in tables if t.manifest["experiment"]["name"] in own] if own else tables
        figure = module.draw(shown) if shown else None
        if figure is None and chosen:
            raise UsageError(f"plot {name!r}: these runs hold nothing for it; {module.NEEDS}")
        if figure is not None:
            folder.mkdir(parents=True, exist_ok=True)
            drawn[name] = plotting.save(figure, folder / name)[0]
            written = {"": module.table} if hasattr(module, "table") else {}
            for ending, table in (written | getattr(module, "FURTHER", {})).items():
                to_csv = partial(table(shown).to_csv, index=False)
                plotting.write_whole(folder / f"{name}{ending}.csv", to_csv)
    return drawn
