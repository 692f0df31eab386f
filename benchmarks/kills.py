"""Kills a running command with SIGKILL at random instants and looks for what is left of it.

    python benchmarks/kills.py --kills 200 [--seed 1] [--json]

Each process of the chain is killed in its turn: the shell, sudo (a stand-in of that name), make and
its recipe above the command, the command itself, its lab's first process, the payload, the agents'
zygote, an agent, and the process that delays packets, where the kernel cannot; each in every phase
in which there is one: before there is a lab, while it is built, with agents, after them. Clean: no
process, interface, namespace, mount or lock, no file outside of the results folder, and inside it
whole runs and `.partial-*` only. 200 kills take 20 minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.network import kills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the instants (default 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()

    def report(kill: kills.Kill) -> None:
        if not arguments.json:
            state = "; ".join(kill.left) or "clean"
            at = f"{kill.at_s:5.2f} s, {kill.phase:5}"
            print(f"{kill.role:8} {at}  gone after {kill.gone_s:5.2f} s  {state}", flush=True)

    found = kills.series(arguments.kills, arguments.seed, report)
    clean = sum(not kill.left for kill in found)
    tally = Counter((kill.role, kill.phase) for kill in found)
    if arguments.json:
        rows = [{"role": role, "phase": phase, "kills": n} for (role, phase), n in tally.items()]
        print(
            json.dumps(
                {"schema": 1, "clean": clean, "kills": list(map(asdict, found)), "tally": rows}
            )
        )
    else:
        for (role, phase), number in sorted(tally.items()):
            print(f"{role:8} {phase:6} {number}")
        print(f"{clean}/{len(found)} clean")
    return 0 if clean == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
