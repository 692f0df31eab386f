"""How surely the default validation finds C5, C6 and C7 on hosts true, and what it costs.

Draws whole validations with the repeats of the shipped experiments: times, sends and who is reached
from the independent reference, who died out from the synchronous engine where only the reach
counts. Hands them to the claims' own `assess` and `judge`, and to Holm's procedure over the
registered family with the model's parts beside them, and counts how often a part is supported.

    python benchmarks/fault_power.py [--validations 500] [--stretch 1.03] [--markdown]
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed import claims, experiment
from testbed.claims import die_out, node_failure, packet_loss
from testbed.experiment import Cell
from testbed.faults import describe
from testbed.judging import stats, verdict
from testbed.judging.engines import Engines
from testbed.judging.selection import Arm
from testbed.simulator import reference

POOL = 4000
SEED = 21
"""Not the seed that the claims draw their own predictions with."""

EXPERIMENTS = ("half_the_packets_die", "half_the_nodes_die", "infect_and_die", "early_death")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--validations", type=int, default=500)
    parser.add_argument("--stretch", type=float, default=1.0)
    parser.add_argument("--markdown", action="store_true", help="the tables of docs/budget.md")
    arguments = parser.parse_args()
    cells = {name: experiment.load(name, variant="default").cells for name in EXPERIMENTS}
    pools = {(name, cell.index): _pool(cell) for name in cells for cell in cells[name]}
    print(_shown(_cost(cells, pools), arguments.markdown), end="\n\n")
    print(_shown(_power(cells, pools, arguments), arguments.markdown))


def _pool(cell: Cell) -> reference.Sample:
    faults = describe(cell.faults)
    return reference.sample(
        cell.nodes,
        int(cell.options["fan_out"]),
        runs=POOL,
        seed=SEED,
        replacement=bool(cell.options["replacement"]),
        loss_ratio=cell.loss_ratio,
        crashed=cell.nodes // 2 if faults in node_failure.HALF_DEAD else 0,
        crash_ratio=0.2 if faults == die_out.CRASHES else 0.0,
        rounds=1 if cell.options["retention"] == "infect_and_die" else float("inf"),
        horizon=float(cell.run.horizon_rounds),
    )


def _cost(cells: dict[str, Any], pools: dict[Any, reference.Sample]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "experiment": name,
            "nodes": cell.nodes,
            "loss": cell.loss_ratio,
            "fan-out": cell.options["fan_out"],
            "repeats": cell.run.repeats,
            "datagrams": round(float(pools[name, cell.index].sends.mean()) * cell.run.repeats),
        }
        for name in cells
        for cell in cells[name]
    )


def _power(
    cells: dict[str, Any], pools: dict[Any, reference.Sample], arguments: argparse.Namespace
) -> pd.DataFrame:
    rng = np.random.default_rng(SEED)
    registered, families = claims.registered(), claims.families()
    engines = Engines(SEED)
    modelled = [f for m in (packet_loss, node_failure, die_out) for f in m.model(engines)]
    supported: Counter[str] = Counter()
    gc.freeze()
    for _ in range(arguments.validations):
        findings = _validation(cells, pools, rng, arguments.stretch)
        for each in verdict.settle([*findings, *modelled], registered, families):
            if each.evidence == "emulated":
                supported[f"{each.claim} {each.part}"] += each.verdict == verdict.SUPPORTED
    rows = []
    for name, times in sorted(supported.items()):
        low, high = stats.Proportion(times, arguments.validations).interval(0.95)
        share = f"{times / arguments.validations:.3f}"
        rows.append({"part": name, "supported": share, "95%": f"{low:.3f}..{high:.3f}"})
    return pd.DataFrame(rows)


def _validation(
    cells: dict[str, Any], pools: dict[Any, reference.Sample], rng: Any, stretch: float
) -> list[verdict.Finding]:
    arms = {
        name: [_arm(group, pools, name, rng, stretch) for group in _grouped(cells[name])]
        for name in cells
    }
    packets, (dead,), stopping, (crashing,) = (arms[name] for name in EXPERIMENTS)
    lossy = {arm.conditions["fan_out"]: arm for arm in packets if arm.conditions["loss_ratio"]}
    b = dead.conditions["fan_out"]
    found = packet_loss.assess(packets) + node_failure.assess(dead, lossy[b])
    return found + die_out.assess([*lossy.values(), *stopping, crashing], _first_rounds(rng))


def _grouped(cells: Any) -> list[list[Cell]]:
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.loss_ratio, cell.options["fan_out"]), []).append(cell)
    return list(groups.values())


def _arm(
    group: list[Cell], pools: dict[Any, reference.Sample], name: str, rng: Any, stretch: float
) -> Arm:
    frames = []
    for cell in group:
        pool = pools[name, cell.index]
        chosen = rng.integers(0, POOL, cell.run.repeats)
        frames.append(
            pd.DataFrame(
                {
                    "nodes": cell.nodes,
                    "rounds_to_all": pool.rounds_to_all[chosen] * stretch,
                    "sends_to_last_infection": pool.sends[chosen],
                    "reach": pool.reach[chosen],
                    "directory": 0,
                }
            )
        )
    cell = group[0]
    conditions = {
        "evidence": "emulated",
        "topology": cell.topology,
        "subnets": 2,
        "timing": cell.timing,
        **{key: cell.options[key] for key in ("fan_out", "replacement", "retention")},
        "loss_ratio": cell.loss_ratio,
        "faults": describe(cell.faults),
    }
    rows = pd.concat(frames, ignore_index=True).assign(voided=False, unhealthy="")
    return Arm("push", conditions, rows)


def _first_rounds(rng: Any) -> Any:
    """How many the source's own round reaches, and who of them dies out: by the limit's law."""

    def draw(arm: Arm, infected: int) -> stats.Proportion:
        b, loss = int(arm.conditions["fan_out"]), float(arm.conditions["loss_ratio"])
        reached = rng.binomial(b, 1 - loss, len(arm.rows))
        trials = int((reached == infected).sum())
        chance = die_out.infect_and_die_extinction(b, loss) ** infected
        return stats.Proportion(int(rng.binomial(trials, chance)), trials)

    return draw


def _shown(frame: pd.DataFrame, markdown: bool) -> str:
    if not markdown:
        return frame.to_string(index=False)
    lines = [list(frame.columns), ["---"] * len(frame.columns)]
    lines += [[str(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
