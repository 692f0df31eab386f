"""`testbed run`: an experiment on emulated hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from testbed.commands import check_results, experiment_options, in_lab, present, seed_option


@click.command()
@experiment_options
@seed_option()
def run(results: Path, as_json: bool, seed: int | None, **asked: Any) -> int:
    """Runs an experiment on emulated hosts.

    EXPERIMENT is a shipped name or the path of a TOML file.
    """
    from testbed import experiment

    loaded = experiment.load(**asked)
    check_results(results)

    def emulate() -> int:
        from testbed import emulation, progress

        with progress.shown() as bar:
            outcome = emulation.run(loaded, folder=results, progress=bar, seed=seed)
        present(outcome, as_json)
        return 0

    return in_lab(emulate)
