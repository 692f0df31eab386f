"""Runs one node by hand, on any machine with Python 3.11: no harness, no namespaces.

python -m agents --node 0 --peers 127.0.0.1,127.0.0.2 --protocol push --multicast hello
python -m agents --node 1 --peers 127.0.0.1,127.0.0.2 --protocol push
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents import registry
from agents.hosts import PORT, Hosts
from agents.options import OptionError, make
from agents.run import RunSpec
from agents.runner import Runner, open_udp
from agents.timing import MODES
from agents.trace import Trace


class Console(Runner):
    """A runner that tells the terminal, not a harness, what happens."""

    def report(self, message: dict[str, Any]) -> None:
        print(json.dumps(message), flush=True)


def main(arguments: list[str] | None = None) -> int:
    given = parse(arguments)
    try:
        play(given)
    except (OptionError, ValueError, OSError) as error:
        print(f"agents: {error}", file=sys.stderr)
        return 2
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m agents", description="Runs one node of a gossip group on this machine."
    )
    add = parser.add_argument
    add("--node", type=int, required=True, help="this node's place among the peers, from 0")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--peers", help="IPv4 addresses of all nodes, comma-separated")
    who.add_argument("--hosts", type=Path, help="a file written by agents.hosts.Hosts.save")
    add("--port", type=int, default=PORT, help=f"UDP port of every node ({PORT})")
    add("--protocol", default="push", help="a name, or a file: " + ", ".join(registry.names()))
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the protocol")
    add("--timing", choices=MODES, default="free")
    add("--round", type=float, default=1.0, metavar="SECONDS", help="gossip period (1.0)")
    add("--run", type=int, default=1, help="number of the run; datagrams of others are dropped")
    add("--seed", type=int, default=1)
    add("--multicast", metavar="BYTES", type=int, help="be the source of a payload of that size")
    add("--trace", default="/dev/null", help="where to append the binary trace (/dev/null)")
    return parser.parse_args(arguments)


def play(given: argparse.Namespace) -> None:
    """Runs the node until SIGINT or SIGTERM. Raises `OptionError` or `OSError`, one line each."""
    hosts = Hosts.load(given.hosts) if given.hosts else Hosts.make(given.peers.split(","))
    if given.port != PORT:
        hosts = replace(hosts, port=given.port)
    if not 0 < hosts.port < 1 << 16:
        raise OptionError(f"port {hosts.port}: choose one in 1..65535")
    if not 0 <= given.node < len(hosts):
        raise OptionError(f"--node {given.node}: choose one of the peers, 0..{len(hosts) - 1}")
    settings = dict(split(text) for text in given.set)
    plugin = registry.load(given.protocol)
    plugin.protocol.check(make(plugin.protocol.Options, settings), len(hosts))
    member_of = hosts.member_of(given.node) if plugin.protocol.GROUPS else ()
    udp = open_udp(hosts.address(given.node), hosts.port, member_of)
    runner = Console(given.node, hosts, udp)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runner.trace = Trace(given.trace)
    runner.start(
        RunSpec(
            run=given.run,
            seed=given.seed,
            protocol=given.protocol,
            at_ns=time.monotonic_ns(),
            options=settings,
            timing=given.timing,
            round_s=given.round,
            sources=[given.node] if given.multicast is not None else [],
            payload_bytes=given.multicast or 0,
        )
    )
    runner.loop(runner.trace)


def split(text: str) -> tuple[str, str]:
    """`fan_out=3` as name and value. Raises `OptionError`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"--set {text!r}: write KEY=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
