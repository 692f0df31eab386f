"""One row a cell: what the metrics say of its healthy runs, as mean, sd and 95% interval."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from testbed import metrics
from testbed.judging import stats
from testbed.tables import CELL, RunTables

LEVEL = 0.95


def rows(tables: RunTables) -> list[dict[str, Any]]:
    """Summary rows of a run directory, in the order of its cells.

    A metric is absent where it does not apply. Its mean is None where a run is infinite (a node
    was never reached): the mean of the others would be a tale of the survivors.
    """
    per_run = metrics.per_run(tables)
    per_batch = metrics.per_batch(tables)
    names: dict[str, list[str]] = {"run": [], "batch": []}
    for name in metrics.names():
        names[metrics.load(name).OF].append(name)
    found = []
    for cell, runs in per_run.groupby("cell"):
        healthy = runs[~runs["voided"].astype(bool)]
        batches = per_batch[(per_batch["cell"] == cell) & ~per_batch["voided"].astype(bool)]
        parameters = {name: _plain(runs[name].iloc[0]) for name in (*CELL, "subnets", "round_s")}
        row: dict[str, Any] = {
            "cell": int(str(cell)),
            **parameters,
            "options": json.loads(parameters["options"]),
            "runs": len(runs),
            "voided": int(runs["voided"].sum()),
        }
        for table, of in ((healthy, "run"), (batches, "batch")):
            for name in names[of]:
                values = table[name].dropna().to_numpy(float)
                if len(values):
                    row[name] = describe(values)
        found.append(row)
    return found


def describe(values: Iterable[float]) -> dict[str, float | None]:
    """Mean, standard deviation and Student's 95% interval; None where they do not exist."""
    sample = np.asarray(list(values), float)
    if not np.isfinite(sample).all():
        return {"mean": None, "sd": None, "low": None, "high": None}
    if len(sample) < 2:
        return {"mean": float(sample[0]), "sd": None, "low": None, "high": None}
    low, high = stats.mean(sample).interval(LEVEL)
    sd = float(sample.std(ddof=1))
    return {"mean": float(sample.mean()), "sd": sd, "low": float(low), "high": float(high)}


def _plain(value: Any) -> Any:
    """A value of a table as JSON has it; NaN, an option that a protocol lacks, becomes None."""
    if isinstance(value, np.generic):
        value = value.item()
    if (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return None
    return value
