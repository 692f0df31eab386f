"""`testbed sweep`: an experiment at many points of its parameters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from testbed.commands import (
    INTERRUPTED,
    check_results,
    experiment_options,
    in_lab,
    print_json,
    say,
    seed_option,
)


@click.command()
@click.option(
    "--over",
    multiple=True,
    metavar="KEY=VALUES",
    help="An axis: 1,2,4 or 0..0.5/6 (six points) or log:8..512/7; repeatable.",
)
@click.option(
    "--random",
    "number",
    type=click.IntRange(1),
    metavar="N",
    help="Draw N random points instead of a grid.",
)
@click.option(
    "--simulate", "simulated", is_flag=True, help="Run in virtual time, without a network."
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Trials at once. [default: 1 on hosts, one per core simulated]",
)
@seed_option(default=1)
@experiment_options
def sweep(
    over: tuple[str, ...],
    number: int | None,
    simulated: bool,
    workers: int | None,
    seed: int,
    results: Path,
    as_json: bool,
    **asked: Any,
) -> int:
    """Runs an experiment on a grid or at random points.

    EXPERIMENT is a shipped name or the path of a TOML file.

    The same command continues a sweep that was interrupted; finished trials are not run again.
    """
    from testbed import lab
    from testbed import sweep as sweeps

    plan = sweeps.prepare(over=over, number=number, seed=seed, simulated=simulated, **asked)
    check_results(results)
    at_once = workers or (len(os.sched_getaffinity(0)) if simulated else 1)

    def work() -> int:
        from testbed import progress
        from testbed.sweep import shown

        try:
            with progress.shown() as bar:
                found = sweeps.run(plan, folder=results, progress=bar, workers=at_once)
        except KeyboardInterrupt:
            what = "trials that were whole are kept; the same command goes on"
            return say(f"interrupted; {what}", INTERRUPTED)
        if as_json:
            print_json(found.document())
        else:
            shown.show(found, list(plan.trials[0].point))
        return 0

    # A simulation needs no network, but in a lab all of its processes end with the command.
    return work() if simulated and lab.problem() else in_lab(work)
