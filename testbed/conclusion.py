"""What follows the runs of an experiment, on hosts or simulated: its files, verdicts and plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from agents import registry
from testbed import claims, disk, metadata, plots, results, summary
from testbed.disk import ResultsError
from testbed.experiment import Experiment
from testbed.outcome import Outcome
from testbed.results import RunDirectory


def write(
    directory: RunDirectory,
    experiment: Experiment,
    tables: Mapping[str, pd.DataFrame],
    health: Mapping[str, Any],
    *,
    seed: int,
    boots: Sequence[Mapping[str, Any]],
    timelines: Sequence[Mapping[str, Any]] = (),
    **evidence: str,
) -> Path:
    """Writes tables, manifest and health, and makes the run directory whole; returns its path.

    `boots` are the facts of each network, `timelines` the faults as they were played; `evidence`
    says what the runs are: emulated, or simulated by which engine.
    """
    for name, table in tables.items():
        directory.write_table(name, table)
    directory.write_json(
        "manifest.json",
        {
            "format": results.FORMAT,
            **evidence,
            "experiment": experiment.manifest(),
            "seed": seed,
            **message_types(experiment),
            "boots": list(boots),
            "timelines": list(timelines),
            **metadata.describe(cell.protocol_source for cell in experiment.cells),
        },
    )
    directory.write_json("health.json", dict(health))
    return directory.finish()


def message_types(experiment: Experiment) -> dict[str, Any]:
    """The name of each message type, by its number in decimal, and the numbers of data."""
    sources = sorted({cell.protocol_source for cell in experiment.cells})
    messages = [pair for source in sources for pair in registry.load(source).messages.items()]
    return {
        "message_types": {str(number): message.__name__ for number, message in messages},
        "data_types": sorted(number for number, message in messages if message.DATA),
    }


def conclude(final: Path, experiment: Experiment, seed: int, engine: str = "") -> Outcome:
    """Judges the claims that the experiment names and draws its plots, from a whole run directory.

    A claim that this experiment alone cannot judge has no verdict here. Raises `ResultsError` when
    the disk takes no more; the run itself is whole then.
    """
    tables = results.load(final)
    judged = claims.judge(experiment.claims, [tables]) if experiment.claims else []
    verdicts = [row for row in judged if row.runs]
    document = {"verdicts": [row.row() for row in verdicts]}
    try:
        disk.write_whole(final / "verdicts.json", json.dumps(document, indent=2) + "\n")
        with disk.writing(final / "plots"):
            drawn = plots.draw([tables], final / "plots")
    except ResultsError as error:
        raise error.keeping(f"the run is whole: testbed plot {final}") from error
    results.hand_over(final)
    return Outcome(
        run_dir=final,
        experiment=experiment.name,
        seed=seed,
        health=dict(tables.health),
        summary=summary.rows(tables),
        verdicts=verdicts,
        plots=drawn,
        tables=claims.tables(verdicts),
        engine=engine,
    )
