"""The engines of synchronous rounds behind `testbed simulate`.

`rounds` draws every node with NumPy, `counts` only how many are infected, so that 2^32 nodes take
about a second a run.

They know no events and no network, only an experiment's protocol, options, sizes and loss: the run
directory is thin, with the metrics of each run. What they do not model is refused, since a result
without it would be one of another experiment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agents.parts.retention import round_limit
from testbed import conclusion, health, metrics, results
from testbed.errors import UsageError
from testbed.experiment import Cell, Experiment
from testbed.progress import Progress
from testbed.replicates import cell_columns, derive_seed
from testbed.simulator import counts
from testbed.simulator.mixing import Mixing
from testbed.simulator.outcome import Outcome
from testbed.simulator.rounds import nested, rumor, uniform
from testbed.simulator.rounds.nested import Nested
from testbed.simulator.rounds.rumor import Rumor
from testbed.tables import COLUMNS
from topologies import catalog

UNIFORM = ("push", "pull", "push_pull")
MODELLED = {"rounds": (*UNIFORM, "topology_aware", "rumor"), "counts": UNIFORM}
ENGINES = tuple(MODELLED)
TWO_SUBNETS = "two_subnets"
PLACING = ("subnets", "hosts_per_subnet", "lan")
"""Parameters of topologies that say where a host is: all the same to uniform targets."""

NODE_ROUND_S = 2e-8
"""For the progress bar only."""

Measured = dict[str, Any]


def simulate(
    experiment: Experiment, engine: str, *, seed: int, folder: Path, progress: Progress
) -> Path:
    """Draws the runs of every cell into a thin run directory; returns its path.

    Raises `UsageError` for a cell that the engine does not model.
    """
    for cell in experiment.cells:
        check(cell, engine)
    results.remove_abandoned(folder)
    with results.new_run(folder, experiment.name, seed) as directory:
        numbers, frames = count(1), []
        for cell in experiment.cells:
            progress.note(f"{cell.protocol}, {cell.nodes} nodes, loss {cell.loss_ratio}")
            frames.append(_runs(cell, engine, derive_seed(seed, "run", cell.index), numbers))
            progress.advance(expected_s(cell))
        runs = pd.concat(frames, ignore_index=True)
        empty = {name: pd.DataFrame(columns=list(columns)) for name, columns in COLUMNS.items()}
        return conclusion.write(
            directory,
            experiment,
            {**empty, "runs": runs},
            health.summarize(runs, [], {}),
            seed=seed,
            boots=[],
            evidence="simulated",
            engine=engine,
        )


def expected_s(cell: Cell) -> float:
    """Roughly how long a cell takes, for the progress bar."""
    return cell.run.repeats * cell.nodes * math.log(cell.nodes) * NODE_ROUND_S


def check(cell: Cell, engine: str) -> None:
    """Raises `UsageError`, naming what the engine does not model, and the remedy."""
    known = MODELLED[engine]
    source, retention = cell.protocol_source, cell.options.get("retention", "forever")
    silent = ("rounds", "infect_and_die") if cell.protocol == "push" else ()
    own = cell.protocol == "topology_aware"
    defaults = catalog.fill(cell.topology, {})
    shaped = [
        f"{name}={value}"
        for name, value in cell.parameters.items()
        if value != defaults[name] and (own or name not in PLACING)
    ]
    exchange, ends = (cell.options.get(name) for name in ("exchange", "termination"))
    wrong = (
        (source not in known, f"protocol {source}", f"choose {', '.join(known)}"),
        (cell.timing != "sync", f"timing {cell.timing}", "--set timing=sync: it has rounds only"),
        (cell.run.kind != "dissemination", f"kind {cell.run.kind}", "it has disseminations only"),
        (cell.run.sources != "one", f"sources {cell.run.sources}", "--set sources=one"),
        (bool(cell.faults), "faults", "leave them out"),
        (
            retention not in ("forever", *silent),
            f"retention {retention} of {cell.protocol}",
            "--set retention=forever",
        ),
        (exchange == "three_way", "exchange three_way", "--set exchange=two_way"),
        (ends == "median_counter", "termination median_counter", "--set termination=none"),
        (own and cell.topology != TWO_SUBNETS, f"topology {cell.topology}", f"take {TWO_SUBNETS}"),
        (bool(shaped), f"{' '.join(shaped)} of {cell.topology}", "leave it at its default"),
        (
            own and not cell.options["replacement"],
            "topology_aware without replacement",
            "--set replacement=true",
        ),
    )
    for is_wrong, what, remedy in wrong:
        if is_wrong:
            other = "or take --engine event"
            raise UsageError(f"--engine {engine}: does not model {what}; {remedy}, {other}")


def _runs(cell: Cell, engine: str, seed: int, numbers: count[int]) -> pd.DataFrame:
    """The runs of a cell with their metrics; those that it has not are missing."""
    draw: Callable[[Cell, int], Measured] = _uniform if cell.protocol in UNIFORM else _nested
    if engine == "counts":
        draw = _counts
    elif cell.protocol == "rumor":
        draw = _rumor
    repeats = cell.run.repeats
    frame = pd.DataFrame(
        {
            "run": [next(numbers) for _ in range(repeats)],
            "cell": cell.index,
            **cell_columns(cell, subnets=2 if cell.topology == TWO_SUBNETS else 1),
            "round_s": cell.run.round_s or 1.0,
            "seed": seed,
            "boot": 0,
            "start_ns": 0,
            "stop_ns": 0,
            "survivors": cell.nodes,
            "faulty": [[] for _ in range(repeats)],
            "voided": False,
            "reasons": "",
            **dict.fromkeys(health.GATES, 0.0),
        }
    )
    measured = draw(cell, seed)
    missing = [n for n in metrics.names() if metrics.load(n).OF == "run" and n not in measured]
    return frame.assign(**measured, **dict.fromkeys(missing, np.nan))


def _mixing(cell: Cell) -> Mixing:
    options: Mapping[str, Any] = cell.options
    kept = {"forever": None, "infect_and_die": 1}
    retention = options.get("retention", "forever")
    if retention == "rounds":
        kept["rounds"] = round_limit(float(options["c"]), cell.nodes)
    return Mixing(
        nodes=cell.nodes,
        protocol=cell.protocol,
        fan_out=int(options["fan_out"]),
        replacement=bool(options["replacement"]),
        loss_ratio=cell.loss_ratio,
        own_rounds=kept[retention],
        max_rounds=cell.run.horizon_rounds,
    )


def _uniform(cell: Cell, seed: int) -> Measured:
    return _curves(uniform.spread(_mixing(cell), cell.run.repeats, seed))


def _counts(cell: Cell, seed: int) -> Measured:
    return _curves(counts.spread(_mixing(cell), cell.run.repeats, seed))


def _nested(cell: Cell, seed: int) -> Measured:
    setting = Nested(
        levels=nested.two_subnets(cell.nodes),
        fan_out=int(cell.options["fan_out"]),
        loss_ratio=cell.loss_ratio,
        max_rounds=cell.run.horizon_rounds,
    )
    return _curves(nested.spread(setting, cell.run.repeats, seed)[0])


def _curves(outcome: Outcome) -> Measured:
    return {
        "rounds_to_half": outcome.rounds_to_half,
        "rounds_to_all": outcome.rounds_to_all,
        "residue": outcome.residue,
    }


def _rumor(cell: Cell, seed: int) -> Measured:
    options = cell.options
    outcome = rumor.spread(
        Rumor(
            nodes=cell.nodes,
            protocol=str(options["direction"]),
            k=int(options["k_counter"]),
            feedback=bool(options["feedback"]),
            coin=options["interest"] == "coin",
            limit=int(options["connection_limit"]) or None,
            hunts=int(options["hunt_limit"]),
            minimization=bool(options["minimization"]),
            loss_ratio=cell.loss_ratio,
        ),
        cell.run.repeats,
        seed,
    )
    return {"residue": outcome.residue, "updates": outcome.traffic, "t_last": outcome.t_last}
