"""Mininet's command line on a network of ours, in a lab of its own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mininet.cli import CLI

from testbed import lab, shaping
from testbed.errors import LabError, TestbedError, UsageError
from testbed.network import Network
from topologies import catalog
from topologies.graph import Graph


def main(topology: str, *, nodes: int | None = None, settings: Sequence[str] = ()) -> int:
    """Opens the command line on a topology by name, `settings` being `parameter=value` texts.

    Returns an exit status. Raises GraphError or UsageError for arguments that make no network.
    """
    texts = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: write it as parameter=value")
        texts[key] = text
    if nodes is not None:
        texts["hosts"] = str(nodes)
    return open_on(catalog.build(topology, **catalog.parse(topology, texts)))


def open_on(graph: Graph, commands: Sequence[str] = ()) -> int:
    """Brings the network up and asks for commands, or does those given; returns an exit status.

    What goes wrong is one line on stderr: no lab (1), a kernel that cannot do what the graph asks
    for (1), more than a kernel holds (2).
    """
    try:
        return lab.run(lambda: _worded(graph, commands), shell=not commands)
    except LabError as error:
        return _say(graph, error)


def _worded(graph: Graph, commands: Sequence[str]) -> int:
    # Errors don't come out of a lab, so they are worded in it.
    try:
        _serve(graph, commands)
    except TestbedError as error:
        return _say(graph, error)
    return 0


def _say(graph: Graph, error: TestbedError) -> int:
    print(f"{graph.name}: {error}", file=sys.stderr)
    return 2 if isinstance(error, UsageError) else 1


def _serve(graph: Graph, commands: Sequence[str]) -> None:
    shaping.choose(graph)  # refuses here, before there is a network
    with Network(graph) as net, closing(shaping.apply(net, graph)):
        if not commands:
            CLI.readlineInited |= not _history_is_ours()
            about = f"{graph.nodes} hosts, {len(graph.routers)} routers"
            print(f"{graph.name}: {about}; exit with ^D", flush=True)  # before what commands print
            CLI(net)
            return
        with tempfile.NamedTemporaryFile("w", suffix=".mn") as script:
            script.writelines(f"{command}\n" for command in commands)
            script.flush()
            CLI(net, script=script.name)


def _history_is_ours() -> bool:
    """Whether Mininet may write ~/.mininet_history; under sudo, HOME may be somebody else's."""
    try:
        return Path.home().stat().st_uid == os.geteuid()
    except (OSError, RuntimeError):  # no such directory, or no home at all
        return False
