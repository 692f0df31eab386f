"""The budget of `validate --quick`: what it costs, and how surely it finds what is true.

Draws whole validations from the independent reference (times, sends) and binomially (core counts)
with the repeats and rounds of the shipped experiments, hands them to the very `assess` functions of
the claims and to Holm's procedure over the registered family, and counts how often every part comes
out supported. `--stretch` makes all times longer by a factor, as late timers and latency do.

    python benchmarks/power.py [--validations 1000] [--full] [--stretch 1.03] [--markdown]
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed import claims, experiment
from testbed.claims import push_latency, topology_aware, uniform_core_load
from testbed.experiment import Cell
from testbed.judging import stats, verdict
from testbed.judging.selection import Arm
from testbed.simulator import reference

POOL = 4000
"""Reference epidemics a cell, from which the runs of a validation are drawn."""

SEED = 20
"""Not the seed that the claims draw their own predictions with."""

BOOT_S = 1.5
"""To bring a network up and down and to start its agents; once a size and experiment."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--validations", type=int, default=1000)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--stretch", type=float, default=1.0)
    parser.add_argument("--markdown", action="store_true", help="the tables of docs/budget.md")
    arguments = parser.parse_args()
    variant = "full" if arguments.full else "quick"
    budget = Budget(variant, arguments.stretch)
    print(budget.table(arguments.markdown))
    print()
    print(power(budget, arguments.validations, arguments.markdown))


class Budget:
    """The cells of the experiments that the claims are judged from, and draws from each."""

    def __init__(self, variant: str, stretch: float) -> None:
        self.stretch = stretch
        self.latency = experiment.load("latency", variant=variant).cells
        self.core = experiment.load("core_load", variant=variant).cells
        self.rng = np.random.default_rng(SEED)
        self.pools = {cell.index: _pool(cell) for cell in self.latency}

    def table(self, markdown: bool) -> str:
        rows = [self._row("latency", cell) for cell in self.latency]
        rows += [self._row("core_load", cell) for cell in self.core]
        frame = pd.DataFrame(rows)
        boots = frame[["experiment", "nodes"]].drop_duplicates().shape[0]
        total = (
            f"{frame['datagrams'].sum():,.0f} datagrams, {frame['seconds'].sum():.0f} s of sending "
            f"and {boots} networks of {BOOT_S} s: {frame['seconds'].sum() + boots * BOOT_S:.0f} s"
        )
        return f"{_show(frame, markdown)}\n\n{total}"

    def _row(self, name: str, cell: Cell) -> dict[str, Any]:
        run, fan_out = cell.run, int(cell.options["fan_out"])
        if run.kind == "saturated":
            at_once = max(1, int(run.datagrams_per_s * (run.round_s or 0.5) / cell.nodes / fan_out))
            measured = run.rounds + run.warmup_rounds * min(at_once, run.rounds)
            datagrams = float(measured * cell.nodes * fan_out)
        else:
            datagrams = float(self.pools[cell.index].sends.mean()) * run.repeats
        return {
            "experiment": name,
            "protocol": cell.protocol,
            "nodes": cell.nodes,
            "fan-out": fan_out,
            "repeats": run.repeats if run.kind == "dissemination" else "",
            "measured rounds": run.rounds if run.kind == "saturated" else "",
            "datagrams": round(datagrams),
            "seconds": round(datagrams / run.datagrams_per_s, 1),
        }

    def spread(self, protocol: str) -> Arm:
        """An arm of disseminations with one validation's repeats."""
        rows = []
        for cell in self.latency:
            if cell.protocol != protocol:
                continue
            pool = self.pools[cell.index]
            chosen = self.rng.integers(0, POOL, cell.run.repeats)
            times = pool.rounds_to_all[chosen] * self.stretch
            rows.append(
                pd.DataFrame(
                    {
                        "nodes": cell.nodes,
                        "rounds_to_all": times,
                        "sends_to_last_infection": pool.sends[chosen],
                    }
                )
            )
        return _arm(protocol, self.latency, pd.concat(rows, ignore_index=True))

    def saturated(self, protocol: str, chance: Any) -> Arm:
        """An arm of batches with one validation's rounds, ten rows a size."""
        rows = []
        for cell in self.core:
            if cell.protocol != protocol:
                continue
            rounds = cell.run.rounds / 10
            sends = round(rounds * cell.nodes * int(cell.options["fan_out"]))
            packets = self.rng.binomial(sends, chance(cell.nodes), 10)
            rows.append(
                pd.DataFrame(
                    {"nodes": cell.nodes, "runs": 1, "rounds": rounds, "core_packets": packets}
                )
            )
        return _arm(protocol, self.core, pd.concat(rows, ignore_index=True))


def validations(budget: Budget, count: int) -> Iterator[list[verdict.Verdict]]:
    registered = claims.registered()
    gc.freeze()  # statsmodels collects garbage at each of Holm's procedures
    for _ in range(count):
        uniform, aware = budget.spread("push"), budget.spread("topology_aware")
        findings = push_latency.assess(uniform)
        findings += uniform_core_load.assess(
            budget.saturated("push", lambda nodes: nodes / 2 / (nodes - 1))
        )
        findings += [
            topology_aware.assess_load(budget.saturated("topology_aware", lambda n: 2 / n)),
            topology_aware.assess_time(aware),
            topology_aware.assess_slowdown(aware, uniform),
        ]
        yield verdict.settle(findings, registered, claims.families())


def power(budget: Budget, count: int, markdown: bool) -> str:
    """How often each part, and all of them together, come out supported."""
    supported: Counter[str] = Counter()
    for verdicts in validations(budget, count):
        good = {f"{v.claim} {v.part}": v.verdict == verdict.SUPPORTED for v in verdicts}
        supported.update(name for name, yes in {**good, "all": all(good.values())}.items() if yes)
        supported.update(dict.fromkeys(good, 0))
    rows = []
    for name, times in sorted(supported.items(), key=lambda item: (item[0] == "all", item[0])):
        low, high = stats.Proportion(times, count).interval(0.95)
        rows.append(
            {"part": name, "supported": f"{times / count:.4f}", "95%": f"{low:.4f}..{high:.4f}"}
        )
    table = _show(pd.DataFrame(rows), markdown)
    return f"{table}\n\n{count} validations, times stretched by {budget.stretch:g}"


def _pool(cell: Cell) -> reference.Sample:
    return reference.sample(
        cell.nodes,
        int(cell.options["fan_out"]),
        runs=POOL,
        seed=SEED,
        topology_aware=cell.protocol == "topology_aware",
        replacement=bool(cell.options["replacement"]),
    )


def _arm(protocol: str, cells: tuple[Cell, ...], rows: pd.DataFrame) -> Arm:
    cell = cells[0]
    conditions = {
        "evidence": "emulated",
        "topology": cell.topology,
        "subnets": 2,
        "timing": cell.timing,
        "fan_out": cell.options["fan_out"],
        "replacement": cell.options["replacement"],
        "retention": cell.options["retention"],
        "loss_ratio": cell.loss_ratio,
    }
    return Arm(protocol, conditions, rows.assign(voided=False, unhealthy=""))


def _show(frame: pd.DataFrame, markdown: bool) -> str:
    if not markdown:
        return frame.to_string(index=False)
    lines = [list(frame.columns), ["---"] * len(frame.columns)]
    lines += [
        [f"{v:,}" if isinstance(v, int | float) else str(v) for v in row]
        for row in frame.itertuples(index=False)
    ]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
