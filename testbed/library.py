"""The testbed as a Python library: an experiment in, pandas tables and verdicts out.

    import testbed
    result = testbed.run("latency", settings=["nodes=16,64"], repeats=10)
    result.deliveries.groupby("run")["time_ns"].max()
    [(row.claim, row.part, row.verdict) for row in result.verdicts]

Importing costs no pandas; calling does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from testbed.experiment import Experiment
    from testbed.judging.verdict import Verdict
    from testbed.outcome import Outcome
    from testbed.tables import RunTables


@dataclass(frozen=True)
class Result:
    """What an experiment left: its run directory, its tables and its verdicts."""

    run_dir: Path
    tables: RunTables
    verdicts: Sequence[Verdict]
    summary: list[dict[str, Any]]
    """One row a cell, each metric with mean, sd and 95% interval."""

    @property
    def runs(self) -> pd.DataFrame:
        """One row a run, with one column for each metric of a run; `voided` ones included."""
        from testbed import metrics

        return metrics.per_run(self.tables)

    @property
    def events(self) -> pd.DataFrame:
        return self.tables.events

    @property
    def deliveries(self) -> pd.DataFrame:
        return self.tables.deliveries

    @property
    def hosts(self) -> pd.DataFrame:
        return self.tables.hosts

    @property
    def counters(self) -> pd.DataFrame:
        return self.tables.counters


def run(
    experiment: str,
    *,
    settings: Sequence[str] = (),
    protocols: Sequence[str] = (),
    repeats: int | None = None,
    variant: str = "default",
    seed: int | None = None,
    results: str | Path = "results",
) -> Result:
    """Runs an experiment, a shipped name or the path of a TOML file, on emulated hosts.

    `settings` are `key=value` texts as for `--set`, `protocols` names or paths of files, `variant`
    is "quick", "default" or "full", the table of the file that changes values. Blocks until all is
    done; call it from the main thread. Raises `UsageError` for what does not fit, before a network
    is built, and `LabError` where no network can be made.
    """
    from testbed import emulation, lab
    from testbed.progress import Progress

    loaded = _load(experiment, variant, settings, protocols, repeats, results)
    folder = Path(results)
    return _result(
        lab.call(lambda: emulation.run(loaded, folder=folder, progress=Progress(), seed=seed))
    )


def simulate(
    experiment: str,
    *,
    settings: Sequence[str] = (),
    protocols: Sequence[str] = (),
    repeats: int | None = None,
    variant: str = "default",
    seed: int | None = None,
    results: str | Path = "results",
) -> Result:
    """The same experiment in virtual time: no network, and the same again with the same seed."""
    from testbed import simulation
    from testbed.progress import Progress

    loaded = _load(experiment, variant, settings, protocols, repeats, results)
    return _result(simulation.run(loaded, folder=Path(results), progress=Progress(), seed=seed))


def _load(
    name: str,
    variant: str,
    settings: Sequence[str],
    protocols: Sequence[str],
    repeats: int | None,
    folder: str | Path,
) -> Experiment:
    from testbed import experiment, results

    loaded = experiment.load(
        name, variant=variant, settings=settings, protocols=protocols, repeats=repeats
    )
    results.check_writable(Path(folder))
    return loaded


def _result(outcome: Outcome) -> Result:
    from testbed import results

    return Result(
        run_dir=outcome.run_dir,
        tables=results.load(outcome.run_dir),
        verdicts=outcome.verdicts,
        summary=outcome.summary,
    )
