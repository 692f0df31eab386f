"""Holds runs on hosts against simulated ones of the same experiment, figure by figure.

    testbed run third_approach && testbed simulate third_approach --repeats 30
    python benchmarks/agreement.py results/third_approach/HOSTS results/third_approach/SIMULATED

For each cell and metric of a stream: a t-test on the means, Holm's procedure over all of them.
Simulated hosts take no time to handle a datagram, so delays differ where they do by more than the
tenth of a period that the fidelity gate allows. Figures that differ at a family-wise 5% are listed,
and for each metric how far the two are apart over all cells: the median and the largest of
|hosts / simulated - 1| and how many standard errors that is. Cells in which neither varies are
compared for equality and counted as exact. Exit status 1 when a figure differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed import metrics, plotting, results
from testbed.health import MAX_LATE_SHARE
from testbed.judging import comparison
from testbed.judging.stats import holm
from testbed.tables import RunTables

RUN = (
    *("delivery_ratio", "t_ave", "t_last"),
    *("data_per_message", "control_per_message", "duplicates_per_message"),
    *("source_data_per_message", "source_control_per_message"),
    *("source_heard_control_per_message", "control_heard_per_member"),
)
DELAYS = ("t_ave", "t_last")
BATCH = ("core_data_per_message", "core_control_per_message")
CELL = ["protocol", "variant", "nodes", "loss_ratio"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("hosts", type=Path)
    parser.add_argument("simulated", type=Path)
    arguments = parser.parse_args()
    rows = compared(results.load(arguments.hosts), results.load(arguments.simulated))
    if rows.empty:
        parser.error(f"{arguments.hosts} and {arguments.simulated} have no cell in common")
    differ = rows[rows["p_holm"] < 0.05]
    print(f"{len(rows)} figures of {rows.groupby(CELL).ngroups} cells")
    print(f"{'metric':34} cells exact  median  largest  standard errors")
    for metric, group in rows.groupby("metric", sort=False):
        apart = (group["hosts"] / group["simulated"] - 1).abs().fillna(0.0)
        worst = int(apart.argmax())
        print(
            f"{metric:34} {len(group):5} {int(group['exact'].sum()):5} {apart.median():7.3f} "
            f"{apart.iloc[worst]:8.3f}  {group['errors'].iloc[worst]:.1f}"
        )
    print(f"{len(differ)} differ at a family-wise 5%")
    for row in differ.to_dict("records"):
        print(f"  {told(row)}")
    return 1 if len(differ) else 0


def told(row: Mapping[Hashable, Any]) -> str:
    """A row of `compared` in words."""
    called = plotting.called(row["protocol"], row["variant"])
    where = f"{called}, {row['nodes']} nodes, loss {row['loss_ratio']}"
    both = f"{row['hosts']:.4g} on hosts, {row['simulated']:.4g} simulated"
    return f"{where}: {row['metric']} {both}, p = {row['p_holm']:.2g}"


def compared(hosts: RunTables, simulated: RunTables) -> pd.DataFrame:
    """One row for each cell and metric that both have, with its p after Holm; empty if none."""
    one, other = _figures([hosts, simulated])
    twins = dict(iter(other.groupby([*CELL, "metric"])["value"]))
    rows = []
    for key, values in one.groupby([*CELL, "metric"], sort=False)["value"]:
        if key in twins:
            named: dict[str, Any] = dict(zip([*CELL, "metric"], key, strict=True))
            allowed = MAX_LATE_SHARE if named["metric"] in DELAYS else 0.0
            rows.append({**named, **_test(values, twins[key], allowed)})
    steps = holm([row["p"] for row in rows], len(rows))
    return pd.DataFrame([{**row, "p_holm": step.p} for row, step in zip(rows, steps, strict=True)])


def _test(one: pd.Series[float], other: pd.Series[float], allowed: float) -> dict[str, Any]:
    """Whether two means are further apart than is allowed."""
    apart = float(one.mean() - other.mean())
    found = {"hosts": float(one.mean()), "simulated": float(other.mean()), "exact": False}
    if one.nunique() == other.nunique() == 1:
        same = np.isclose(apart, 0.0) if not allowed else abs(apart) <= allowed
        return {
            **found,
            "exact": same,
            "errors": 0.0 if same else np.inf,
            "p": 1.0 if same else 0.0,
        }
    if abs(apart) <= allowed:
        return {**found, "errors": 0.0, "p": 1.0}
    # One or two values tell little of their own spread; under the hypothesis it is the other's.
    toward = other + np.copysign(allowed, apart)
    test = ttest_ind(one, toward, equal_var=len(one) < 4)
    return {**found, "errors": abs(float(test.statistic)), "p": float(test.pvalue)}


def _figures(tables: Sequence[RunTables]) -> list[pd.DataFrame]:
    """Columns of `CELL`, metric, value, for each directory; voided runs and batches left out."""
    found = []
    for one, runs in zip(tables, comparison.streams_of(tables), strict=True):
        batches = metrics.per_batch(one)
        batches = batches[~batches["voided"].astype(bool)].assign(
            variant=batches["cell"].map(runs.groupby("cell")["variant"].first())
        )
        own = [
            frame.melt(CELL, list(names), var_name="metric", value_name="value")
            for frame, names in ((runs, RUN), (batches, BATCH))
        ]
        figures = pd.concat(own, ignore_index=True).dropna(subset=["value", "variant"])
        found.append(figures[np.isfinite(figures["value"].astype(float))])
    return found


if __name__ == "__main__":
    sys.exit(main())
