"""What the commands share: options, a lab around their work, and errors as one line.

A command of some length has a file of its own here; `testbed.cli` has the others.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testbed.errors import TestbedError, UsageError

if TYPE_CHECKING:
    from testbed.outcome import Outcome

INTERRUPTED = 130

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else, on stdout."
)
results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder of the run directories.",
)
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one value, such as loss_ratio=0.3; repeatable.",
)


def seed_option(default: int | None = None) -> Callable[[Any], Any]:
    return click.option(
        "--seed",
        type=click.IntRange(0),
        metavar="N",
        default=default,
        show_default="random" if default is None else True,
        help="Seed of all random choices.",
    )


def _variant(ctx: click.Context, option: click.Parameter, chosen: bool) -> None:
    """Two flags, one parameter `variant`; click itself would let the last one win in silence."""
    ctx.params.setdefault("variant", "default")
    if chosen:
        if ctx.params["variant"] != "default":
            raise UsageError("--quick --full: they exclude each other; take one of them")
        ctx.params["variant"] = option.name


def variant_option(name: str, help: str) -> Callable[[Any], Any]:
    return click.option(f"--{name}", is_flag=True, expose_value=False, callback=_variant, help=help)


def experiment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every command that runs an experiment takes.

    EXPERIMENT itself is the parameter `name`; with `variant`, `protocols`, `settings` and `repeats`
    it is what `testbed.experiment.load` takes. `results` and `as_json` are the command's own.
    """
    for option in reversed(
        (
            click.argument("name", metavar="EXPERIMENT"),
            click.option(
                "--protocol",
                "protocols",
                multiple=True,
                metavar="PROTOCOL",
                help="Run this one, a name or ./file.py, in place of the experiment's; repeatable.",
            ),
            set_option,
            click.option("--repeats", type=int, metavar="N", help="Number of runs per cell."),
            variant_option("quick", "Use the experiment's [quick] settings."),
            variant_option("full", "Use the experiment's [full] settings: more sizes and runs."),
            results_option,
            as_json,
        )
    ):
        command = option(command)
    return command


def check_results(results: Path) -> None:
    from testbed import results as directories

    directories.check_writable(results)


def in_lab(work: Callable[[], int]) -> int:
    """Does the work in a private world; its errors are worded there, where they happen.

    Raises LabRefused where there can be none.
    """
    from testbed import lab

    return lab.run(lambda: worded(work))


def present(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print_json(outcome.document())
    else:
        outcome.show()


def print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2, default=str))


def worded(work: Callable[[], Any]) -> int:
    """Does the work; an error meant for the user becomes one line and an exit code."""
    from agents.options import OptionError
    from topologies.graph import GraphError

    try:
        return int(work() or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)  # a page, not a line
        return 2
    except click.ClickException as error:
        return say(error.format_message(), error.exit_code)
    except (UsageError, OptionError, GraphError) as error:
        return say(str(error), 2)
    except TestbedError as error:
        return say(str(error), 1)
    except (click.Abort, KeyboardInterrupt):
        return say("interrupted; run directories that were whole are kept", INTERRUPTED)
    except BrokenPipeError:  # `testbed list protocols | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def say(message: str, status: int) -> int:
    click.echo(f"testbed: {' '.join(message.split())}", err=True)
    return status
