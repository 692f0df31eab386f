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

import click

from testbed.commands import (
    as_json,
    print_json,
    results_option,
    say,
    seed_option,
    set_option,
    worded,
)
from testbed.commands.run import run
from testbed.commands.simulate import simulate
from testbed.commands.sweep import sweep
from testbed.commands.validate import validate
from testbed.errors import UsageError, near

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


for each in (run, simulate, sweep, validate):
    cli.add_command(each)


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
    """Lists the protocols, topologies and so on that there are, with their options."""
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
@click.argument("protocol", metavar="FILE")
@click.option(
    "--schedules",
    type=click.IntRange(1),
    metavar="N",
    default=100,
    show_default=True,
    help="Number of random schedules.",
)
@seed_option(default=1)
@as_json
def check(protocol: str, schedules: int, seed: int, as_json: bool) -> int:
    """Tests a protocol's promises in random schedules, without a network.

    FILE is ./file.py or a name of `testbed list protocols`.
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
    "--with", "further", multiple=True, metavar="RUN", help="Draw the runs of RUN too; repeatable."
)
@results_option
@as_json
def plot(
    run: str, names: tuple[str, ...], further: tuple[str, ...], results: Path, as_json: bool
) -> int:
    """Draws the plots of a run again, from its tables.

    RUN is a run directory, the name of an experiment (for its newest run), or `latest` (the newest
    of all). PLOT is a name of `testbed list plots`; without one all plots that apply are drawn.
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
@click.option("--nodes", type=int, metavar="N", help="Number of hosts. [default: the topology's]")
@set_option
def shell(topology: str, nodes: int | None, settings: tuple[str, ...]) -> int:
    """Opens Mininet's command line on a topology.

    TOPOLOGY is a name of `testbed list topologies`.
    """
    from testbed import shell as shells

    return shells.main(topology, nodes=nodes, settings=settings)


@cli.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--run",
    "lab",
    metavar="RUN",
    help="Which network, if several are up: its process number or part of its command line.",
)
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def attach(lab: str | None, host: str, command: tuple[str, ...]) -> int:
    """Runs a command on a host of a network that is up.

    HOST is a name such as h3. COMMAND and its arguments follow; without one a shell opens.
    """
    from testbed.lab import attach as attaching

    status = attaching.main(host, command, lab)
    return status if status >= 0 else 128 - status  # as a shell words the end by a signal


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    from testbed.lab.world import complete_environment

    complete_environment()
    given = None if arguments is None else list(arguments)
    return worded(lambda: cli.main(given, prog_name="testbed", standalone_mode=False))
