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
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed import metrics, results
from testbed.health import MAX_LATE_SHARE
from testbed.judging.stats import holm

RUN = ("delivery_ratio", "t_ave", "t_last", "source_data_per_message", "source_control_per_message")
RUN += ("data_per_message", "control_per_message", "duplicates_per_message")
RUN += ("source_heard_control_per_message", "control_heard_per_member")
DELAYS = ("t_ave", "t_last")
BATCH = ("core_data_per_message", "core_control_per_message")
CELL = ["protocol", "nodes", "loss_ratio"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("hosts", type=Path)
    parser.add_argument("simulated", type=Path)
    arguments = parser.parse_args()
    rows = compared(_figures(arguments.hosts), _figures(arguments.simulated))
    differ = rows[rows["p_holm"] < 0.05]
    print(f"{len(rows)} figures of {rows.groupby(CELL).ngroups} cells")
    print(f"{'metric':28} cells exact  median  largest  standard errors")
    for metric, group in rows.groupby("metric", sort=False):
        apart = (group["hosts"] / group["simulated"] - 1).abs().fillna(0.0)
        worst = apart.idxmax()
        print(
            f"{metric:28} {len(group):5} {int(group['exact'].sum()):5} {apart.median():7.3f} "
            f"{apart[worst]:8.3f}  {rows.loc[worst, 'errors']:.1f}"
        )
    print(f"{len(differ)} differ at a family-wise 5%")
    for row in differ.to_dict("records"):
        where = f"{row['protocol']}, {row['nodes']} nodes, loss {row['loss_ratio']}"
        both = f"{row['hosts']:.4g} on hosts, {row['simulated']:.4g} simulated"
        print(f"  {where}: {row['metric']} {both}, p = {row['p_holm']:.2g}")
    return 1 if len(differ) else 0


def compared(hosts: pd.DataFrame, simulated: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell and metric that both have, with its p after Holm."""
    twins = dict(iter(simulated.groupby([*CELL, "metric"])["value"]))
    rows = []
    for key, values in hosts.groupby([*CELL, "metric"], sort=False)["value"]:
        if key in twins:
            named: dict[str, Any] = dict(zip([*CELL, "metric"], key, strict=True))
            allowed = MAX_LATE_SHARE if named["metric"] in DELAYS else 0.0
            rows.append({**named, **_test(values, twins[key], allowed)})
    frame = pd.DataFrame(rows)
    frame["p_holm"] = [step.p for step in holm(list(frame["p"]), len(frame))]
    return frame


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


def _figures(path: Path) -> pd.DataFrame:
    """Columns protocol, nodes, loss_ratio, metric, value; voided runs left out."""
    tables = results.load(path)
    frames = []
    for frame, names in ((metrics.per_run(tables), RUN), (metrics.per_batch(tables), BATCH)):
        whole = frame[~frame["voided"].astype(bool)]
        frames.append(whole.melt(CELL, list(names), var_name="metric", value_name="value"))
    found = pd.concat(frames, ignore_index=True).dropna(subset="value")
    return found[np.isfinite(found["value"].astype(float))]


if __name__ == "__main__":
    sys.exit(main())
