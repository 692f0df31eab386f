"""What makes each topology a script: `sudo python3 topologies/two_subnets.py --hosts 64`.

Runs under whichever Python finds it, so: standard library only, until the project's environment is
entered. The options are those of the topology's `build`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from topologies import catalog
from topologies.elements import GraphError, near
from topologies.graph import Graph

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
USAGE = 2
"""The exit status for arguments that make no network."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise GraphError(f"{message}; --help lists the options")


def ready(file: str, arguments: Sequence[str] | None = None) -> tuple[Graph, list[str]]:
    """The network and the commands that a command line asks for, in the project's environment.

    Leaves with one line on stderr and status 2 when it asks for none that can be, 1 when there is
    no environment. May start the script again, under the environment's Python.
    """
    name = Path(file).stem
    try:
        graph, commands = read(name, sys.argv[1:] if arguments is None else arguments)
    except GraphError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(USAGE)
    _enter_environment(name, file)
    return graph, commands


def read(name: str, arguments: Sequence[str]) -> tuple[Graph, list[str]]:
    """The network and the commands that a command line asks for; GraphError when it is wrong."""
    parser = _Parser(
        prog=f"{name}.py",
        description=f"Opens Mininet's command line on the topology {name}.",
        allow_abbrev=False,
    )
    for parameter in catalog.arguments(name):
        default = "" if parameter.default is None else f"; default {parameter.default}"
        parser.add_argument(
            _option(parameter.name),
            dest=parameter.name,
            default=argparse.SUPPRESS,
            metavar=parameter.unit.upper() or "VALUE",
            help=f"{parameter.help} ({parameter.domain}{default})",
        )
    parser.add_argument(
        *("-c", "--command"),
        action="append",
        default=[],
        help="do this instead of asking, such as 'h1 ping -c1 h2' or pingall; may be repeated",
    )
    texts, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = [_option(parameter.name) for parameter in catalog.arguments(name)]
        raise GraphError(f"unknown argument {unknown[0]!r}; {near(unknown[0], known)}")
    values = vars(texts)
    commands = values.pop("command")
    return catalog.build(name, **catalog.parse(name, values)), commands


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _enter_environment(name: str, file: str) -> None:
    python = VENV / "bin" / "python"
    # Both: a .venv may be a symbolic link, and its Python one of another installation.
    inside = Path(sys.prefix).resolve() == VENV.resolve() or sys.executable == str(python)
    if not inside and python.exists():
        sys.stdout.flush()
        os.execv(python, [str(python), os.path.abspath(file), *sys.argv[1:]])
    if importlib.util.find_spec("mininet") is None:
        print(
            f"{name}: {sys.executable} has no mininet and there is no {VENV}; run `make setup`",
            file=sys.stderr,
        )
        sys.exit(1)
