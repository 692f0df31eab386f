"""The command `testbed`: arguments and exit codes, nothing else.

Exit codes: 0 done (of `validate`: all supported), 1 something failed, 2 a wrong argument, 3 a claim
refuted or, of `check`, a promise broken, 4 a claim inconclusive (3 beats 4), 130 interrupted. With
--json, standard output holds one JSON document and nothing else; messages and progress go to
standard error.

Each command imports what it needs when it is called, so that `testbed --help` costs no pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    seed_option,
    set_option,
    worded,
)
from testbed.commands.sweep import sweep
from testbed.errors import LabRefused, UsageError, near

if TYPE_CHECKING:
    from testbed.outcome import Outcome

KINDS = ("protocols", "topologies", "experiments", "claims", "metrics", "plots")


class Commands(click.Group):
    """A group that answers a misspelt command with the near ones, on one line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise UsageError(f"unknown command {args[0]}; {near(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gossip-testbed", prog_name="testbed")
def cli() -> None:
    """Judges the claims made for epidemic multicast on real networks of emulated routers."""


cli.add_command(sweep)


@cli.command()
@as_json
def doctor(as_json: bool) -> int:
    """Says what this machine can do, and the remedy for what it can't."""
    from testbed import doctor as diagnosis

    checks = diagnosis.examine()
    if as_json:
        print_json(diagnosis.document(checks))
    else:
        diagnosis.show(checks)
    return 0 if diagnosis.works(checks) else 1


@cli.command("list")
@click.argument("kind", metavar="|".join(KINDS))
@as_json
def list_(kind: str, as_json: bool) -> int:
    """Lists what can be named, with options and domains."""
    from testbed import listing

    if kind not in KINDS:
        raise UsageError(f"unknown kind {kind}; {near(kind, KINDS)}")
    entries = listing.entries(kind)
    if as_json:
        print_json({"schema": 1, "kind": kind, "entries": entries})
    else:
        listing.show(entries)
    return 0


@cli.command()
@click.argument("experiment")
@click.option("--protocol", "protocols", multiple=True, help="Name or ./file.py; repeatable.")
@set_option
@click.option("--repeats", type=int, help="Runs a cell; short for --set run.repeats=N.")
@seed_option
@quick_option
@full_option
@results_option
@as_json
def run(
    experiment: str,
    protocols: tuple[str, ...],
    settings: tuple[str, ...],
    repeats: int | None,
    seed: int | None,
    variant: str | None,
    results: Path,
    as_json: bool,
) -> int:
    """Runs an experiment on emulated hosts.

    EXPERIMENT is a shipped name or the path of a TOML file.
    """
    from testbed import experiment as experiments

    loaded = experiments.load(
        experiment,
        variant=variant or "default",
        settings=settings,
        protocols=protocols,
        repeats=repeats,
    )
    check_results(results)

    def emulate() -> int:
        from testbed import emulation, progress

        with progress.shown() as shown:
            outcome = emulation.run(loaded, folder=results, progress=shown, seed=seed)
        _present(outcome, as_json)
        return 0

    return in_lab(emulate)


@cli.command()
@click.argument("experiment")
@click.option("--protocol", "protocols", multiple=True, help="Name or ./file.py; repeatable.")
@set_option
@click.option("--repeats", type=int, help="Runs a cell; short for --set run.repeats=N.")
@seed_option
@quick_option
@full_option
@click.option(
    "--engine",
    default="event",
    show_default=True,
    help="event; or rounds, counts: synchronous rounds of many nodes.",
)
@results_option
@as_json
def simulate(
    experiment: str,
    protocols: tuple[str, ...],
    settings: tuple[str, ...],
    repeats: int | None,
    seed: int | None,
    variant: str | None,
    engine: str,
    results: Path,
    as_json: bool,
) -> int:
    """Runs an experiment in virtual time, without a network.

    EXPERIMENT is a shipped name or the path of a TOML file; the agents are the same.

    The engines rounds and counts refuse what they do not model; counts takes 2^32 nodes.
    """
    from testbed import experiment as experiments
    from testbed import progress, simulation

    simulation.check_engine(engine)
    loaded = experiments.load(
        experiment,
        variant=variant or "default",
        settings=settings,
        protocols=protocols,
        repeats=repeats,
        network=engine == "event",
    )
    check_results(results)

    def work() -> int:
        with progress.shown() as bar:
            outcome = simulation.run(loaded, folder=results, progress=bar, seed=seed, engine=engine)
        _present(outcome, as_json)
        return 0

    # A simulation needs no network, but in a lab it ends with the make or sudo that it is below.
    try:
        return in_lab(work)
    except LabRefused:
        return work()


@cli.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM ...]")
@quick_option
@full_option
@click.option("--registered", is_flag=True, help="Exit 0 when each verdict is the expected one.")
@click.option("--resume", is_flag=True, help="Goes on with what was interrupted.")
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    metavar="OLD=NEW",
    help="Judges NEW, a name or ./file.py, where a claim is about OLD; repeatable.",
)
@set_option
@seed_option
@results_option
@as_json
def validate(
    claims: tuple[str, ...],
    variant: str | None,
    registered: bool,
    resume: bool,
    protocols: tuple[str, ...],
    settings: tuple[str, ...],
    seed: int | None,
    results: Path,
    as_json: bool,
) -> int:
    """Judges claims: a table with intervals, and plots.

    CLAIM is a number or a name of `testbed list claims`; all by default.

    --quick takes less than 5 minutes, the default less than 30; --full as long as it needs, and
    holds runs on hosts against simulated ones, too, as `testbed validate twins` does in 8 minutes.
    """
    from testbed import listing

    names = listing.check_claims(claims, checks=variant == "full")
    stand_ins = dict(_pair("--protocol", text) for text in protocols)
    check_results(results)

    def judge() -> int:
        from testbed import progress
        from testbed import validate as validation

        try:
            with progress.shown() as shown:
                outcome = validation.validate(
                    names,
                    folder=results,
                    progress=shown,
                    variant=variant or "default",
                    settings=settings,
                    stand_ins=stand_ins,
                    seed=seed,
                    resume=resume,
                )
        except KeyboardInterrupt:
            what = "experiments that were whole are kept; the same command with --resume goes on"
            return say(f"interrupted; {what}", INTERRUPTED)
        _present(outcome, as_json)
        return exit_code(outcome.verdicts, registered=registered)

    return in_lab(judge)


@cli.command()
@click.argument("protocol", metavar="FILE")
@click.option(
    "--schedules", type=click.IntRange(1), default=100, show_default=True, help="Random ones."
)
@seed_option
@as_json
def check(protocol: str, schedules: int, seed: int | None, as_json: bool) -> int:
    """Holds a protocol to its promises; needs no network.

    FILE is ./file.py or a shipped name.
    """
    from testbed import progress
    from testbed.checking import report

    with progress.shown() as shown:
        found = report.check(protocol, schedules, seed, shown)
    if as_json:
        print_json(report.document(found))
    else:
        report.show(found)
    return 0 if found.ok else 3


@cli.command()
@click.argument("run")
@click.argument("names", nargs=-1, metavar="[PLOT ...]")
@click.option(
    "--with", "further", multiple=True, metavar="RUN", help="Draws its runs, too; repeatable."
)
@results_option
@as_json
def plot(
    run: str, names: tuple[str, ...], further: tuple[str, ...], results: Path, as_json: bool
) -> int:
    """Draws the plots of a run again, from its tables.

    All that apply, or those named. RUN is a run directory, an experiment's name for its latest
    one, or `latest`.
    """
    from testbed import redraw
    from testbed import results as directories

    run_dir = directories.find(run, results)
    others = [directories.find(each, results) for each in further]
    files = {name: str(path) for name, path in redraw.redraw(run_dir, names, others).items()}
    if as_json:
        print_json({"schema": 1, "run_dir": str(run_dir), "plots": files})
    elif files:
        click.echo("\n".join(files.values()))
    else:
        say(f"{run_dir}: its tables hold nothing that a plot shows", 0)
    return 0


@cli.command()
@click.argument("topology")
@click.option("--nodes", type=int, help="Hosts of the network; by default what the topology says.")
@set_option
def shell(topology: str, nodes: int | None, settings: tuple[str, ...]) -> int:
    """Opens Mininet's command line on a topology.

    TOPOLOGY is a name of `testbed list topologies`.
    """
    from testbed import shell as shells

    return shells.main(topology, nodes=nodes, settings=settings)


@cli.command(context_settings={"allow_interspersed_args": False})
@click.option("--run", help="Which network, when several are up: its process or its experiment.")
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def attach(run: str | None, host: str, command: tuple[str, ...]) -> int:
    """Runs a command on a host of a network that is up.

    COMMAND is a shell by default; HOST is its name, h3 say.
    """
    from testbed.lab import attach as attaching

    status = attaching.main(host, command, run)
    return status if status >= 0 else 128 - status  # as a shell words the end by a signal


def exit_code(verdicts: Sequence[Any], *, registered: bool) -> int:
    """0 all supported, 3 some refuted, 4 some inconclusive; 3 beats 4.

    With `registered`, a verdict that is the one its claim expects counts as 0, and a definite one
    that is not counts as 3. Supported by a model counts as supported. What is not run counts as
    nothing, but where nothing was run at all, nothing was concluded.
    """
    judged = [row for row in verdicts if row.verdict != "not run"]
    worst = 4 if verdicts and not judged else 0
    for row in judged:
        wanted = row.expected if registered else "supported"
        if row.verdict == "inconclusive":
            worst = worst or 4
        elif row.verdict != wanted and (row.verdict, wanted) != ("verified (model)", "supported"):
            worst = 3
    return worst


def _pair(option: str, text: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise UsageError(f"{option} {text}: write {option} OLD=NEW")
    return left, right


def _present(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print_json(outcome.document())
    else:
        outcome.show()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    from testbed.lab.world import complete_environment

    complete_environment()
    given = None if arguments is None else list(arguments)
    return worded(lambda: cli.main(given, prog_name="testbed", standalone_mode=False))
