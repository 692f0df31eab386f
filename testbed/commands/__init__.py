"""What the commands share: options, a lab around their work, and errors as one line.

A command of some length has a file of its own here; `testbed.cli` has the others.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from testbed.errors import TestbedError, UsageError

INTERRUPTED = 130

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder that the run directory goes into.",
)
seed_option = click.option("--seed", type=click.IntRange(0), help="The same choices again.")


def _variant(ctx: click.Context, option: click.Parameter, chosen: bool) -> None:
    """Two flags, one parameter `variant`; click itself would let the last one win in silence."""
    ctx.params.setdefault("variant", None)
    if chosen:
        if ctx.params["variant"] is not None:
            raise UsageError("--quick --full: they exclude each other; take one of them")
        ctx.params["variant"] = option.name


def _variant_option(name: str, help: str) -> Callable[[Any], Any]:
    return click.option(f"--{name}", is_flag=True, expose_value=False, callback=_variant, help=help)


quick_option = _variant_option("quick", "What [quick] of the experiment changes, if it does.")
full_option = _variant_option("full", "What [full] of the experiment changes: more sizes and runs.")
set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Changes one value; repeatable."
)


def check_results(results: Path) -> None:
    from testbed import results as directories

    directories.check_writable(results)


def in_lab(work: Callable[[], int]) -> int:
    """Does the work in a private world; its errors are worded there, where they happen.

    Raises LabRefused where there can be none.
    """
    from testbed import lab

    return lab.run(lambda: worded(work))


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
