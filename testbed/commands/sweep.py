"""`testbed sweep`: an experiment at many points of its parameters."""

from __future__ import annotations

import os
from pathlib import Path

import click

from testbed.commands import (
    INTERRUPTED,
    as_json,
    check_results,
    full_option,
    in_lab,
    print_json,
    quick_option,
    results_option,
    say,
    set_option,
)


@click.command()
@click.argument("experiment")
@click.option(
    "--over",
    multiple=True,
    metavar="KEY=VALUES",
    help="An axis: 1,2,4 or 0..0.5/6 or log:8..512/7; repeatable.",
)
@click.option("--random", "number", type=click.IntRange(1), help="That many random points.")
@click.option("--simulate", "simulated", is_flag=True, help="In virtual time, without a network.")
@click.option("--workers", type=click.IntRange(1), help="Trials at once. [1; simulated: all cores]")
@click.option("--protocol", "protocols", multiple=True, help="Name or ./file.py; repeatable.")
@set_option
@click.option("--repeats", type=int, help="Runs a cell; short for --set run.repeats=N.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all draws.")
@quick_option
@full_option
@results_option
@as_json
def sweep(
    experiment: str,
    over: tuple[str, ...],
    number: int | None,
    simulated: bool,
    workers: int | None,
    protocols: tuple[str, ...],
    settings: tuple[str, ...],
    repeats: int | None,
    seed: int,
    variant: str | None,
    results: Path,
    as_json: bool,
) -> int:
    """Runs an experiment on a grid or at random points.

    EXPERIMENT is a shipped name or the path of a TOML file.

    The same command goes on with a sweep that was broken off; what is whole is not done again.
    """
    from testbed import lab
    from testbed import sweep as sweeps

    plan = sweeps.prepare(
        experiment,
        over,
        number=number,
        seed=seed,
        simulated=simulated,
        variant=variant or "default",
        settings=settings,
        protocols=protocols,
        repeats=repeats,
    )
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
