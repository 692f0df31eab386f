"""Repeats tables 1 to 3 of Demers et al. 1987; prints the tables of docs/demers.md.

    python benchmarks/demers.py [--runs 4000]

Each cell is published / measured, the measured with its standard error. `t_ave` is given by the
paper's accounting, which counts a site hit twice in a cycle twice, and by the plain mean.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed.simulator.rounds import rumor
from testbed.simulator.rounds.rumor import Rumor
from testbed.theory.demers_1987 import SITES, rows

TABLES: dict[int, tuple[str, dict[str, Any]]] = {
    1: ("push, feedback, counter", {"protocol": "push"}),
    2: ("push, blind, coin", {"protocol": "push", "feedback": False, "coin": True}),
    3: ("pull, feedback, counter", {"protocol": "pull"}),
}


def cell(values: NDArray[np.float64]) -> str:
    """A mean with its standard error, to the digits that the error leaves."""
    known = values[~np.isnan(values)]
    error = float(known.std(ddof=1) / np.sqrt(len(known)))
    mean = float(known.mean())
    if mean < 0.001:
        return f"{mean:.2g} ± {error:.1g}"
    digits = max(0, -int(np.floor(np.log10(error)))) if error else 1
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=4000)
    runs = parser.parse_args().runs
    for table, (name, setting) in TABLES.items():
        print(f"### Table {table}: {name}, {SITES} sites, {runs} runs\n")
        print("| k | residue s | traffic m | t_ave, their accounting | t_ave, plain | t_last |")
        print("|---|---|---|---|---|---|")
        for row in rows(table):
            found = rumor.spread(Rumor(nodes=SITES, k=row.k, **setting), runs, seed=1987)
            print(
                f"| {row.k} | {row.residue:g} / {cell(found.residue)} "
                f"| {row.traffic:g} / {cell(found.traffic)} "
                f"| {row.t_ave:g} / {cell(found.t_ave_published)} | {cell(found.t_ave)} "
                f"| {row.t_last:g} / {cell(found.t_last)} |",
                flush=True,
            )
        print()


if __name__ == "__main__":
    main()
