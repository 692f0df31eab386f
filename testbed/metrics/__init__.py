"""What is measured of a run: one metric a file, the file name being its name.

A metric file has a `UNIT`, says in `OF` whether it describes a "run" or a "batch", and has
`compute(tables)`, which returns one number for each, indexed by it: NaN where the metric does not
apply, infinity for what never happened.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from weakref import WeakKeyDictionary

import pandas as pd

from testbed.errors import UsageError, near
from testbed.tables import RunTables

_PER_RUN: WeakKeyDictionary[RunTables, pd.DataFrame] = WeakKeyDictionary()


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> ModuleType:
    """The metric of that name; raises `UsageError` with the near matches."""
    if name not in names():
        raise UsageError(f"unknown metric {name!r}; {near(name, names())}")
    return importlib.import_module(f"{__name__}.{name}")


def per_run(tables: RunTables) -> pd.DataFrame:
    """`tables.runs` with one more column for each metric of a run; a thin directory has them.

    Computed once for the same tables: each claim and plot asks.
    """
    if tables not in _PER_RUN:
        _PER_RUN[tables] = _joined(tables, tables.runs, "run")
    return _PER_RUN[tables].copy()


def per_batch(tables: RunTables) -> pd.DataFrame:
    """`tables.batches`, a row each, with its cell's parameters and the metrics of a batch."""
    parameters = tables.runs.drop_duplicates("cell").drop(
        columns=["run", "seed", "boot", "start_ns", "stop_ns", "voided", "reasons"], errors="ignore"
    )
    # A batch has its own count of runs, and may have its own rounds.
    clashing = [c for c in parameters if c in tables.batches and c != "cell"]
    batches = tables.batches.merge(parameters.drop(columns=clashing), on="cell", how="left")
    if "voided" not in batches:
        batches["voided"] = False
    return _joined(tables, batches, "batch")


def _joined(tables: RunTables, frame: pd.DataFrame, of: str) -> pd.DataFrame:
    metrics = {name: load(name) for name in names() if name not in frame}
    columns = {n: m.compute(tables) for n, m in metrics.items() if of == m.OF}
    if of == "batch":  # its metrics are by row, since a batch may fill several
        return frame.assign(**{name: values.to_numpy() for name, values in columns.items()})
    return frame.assign(**{name: frame[of].map(values) for name, values in columns.items()})
