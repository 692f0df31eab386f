"""`testbed simulate`: an experiment in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from testbed.commands import check_results, experiment_options, in_lab, present, seed_option
from testbed.errors import LabRefused

ENGINES = ("event", "rounds", "counts")
"""Those of `testbed.simulation`, which costs a second to import; a test compares them."""


@click.command()
@experiment_options
@seed_option()
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="event",
    show_default=True,
    help="event runs the agents; rounds and counts draw synchronous rounds of many nodes.",
)
def simulate(results: Path, as_json: bool, seed: int | None, engine: str, **asked: Any) -> int:
    """Runs an experiment in virtual time, without a network.

    EXPERIMENT is a shipped name or the path of a TOML file.

    The engine event drives the same protocol code as on hosts. rounds keeps the state of every
    node, counts only the number of infected ones, up to 2^32 nodes; both refuse what they do not
    model.
    """
    from testbed import experiment, progress, simulation

    loaded = experiment.load(**asked, network=engine == "event")
    check_results(results)

    def work() -> int:
        with progress.shown() as bar:
            outcome = simulation.run(loaded, folder=results, progress=bar, seed=seed, engine=engine)
        present(outcome, as_json)
        return 0

    # A simulation needs no network, but in a lab it ends with the make or sudo that it is below.
    try:
        return in_lab(work)
    except LabRefused:
        return work()
