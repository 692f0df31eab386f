"""Times the engines of synchronous rounds, and the SI models of NDlib and EoN beside them.

    python benchmarks/rounds.py [--peer-python PYTHON] [--peer-nodes 1000] [--repeats 3] [--json]

Push with fan-out 2 from one source to the last infection, every node drawn: 10^6 and 10^7 nodes,
each in a process of its own for its peak memory; the counts engine at 2^32; the same push as a
loop compiled by Numba, which shows what NumPy leaves on the table. `ratio` is a peer's time over
ours at the same size, one run at a time (bigger is better). Peers may live in another
environment: python -m venv peers && peers/bin/pip install ndlib EoN; --peer-python peers/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed.simulator import counts
from testbed.simulator.mixing import Mixing
from testbed.simulator.rounds import uniform

FAN_OUT = 2
SIZES = (10**6, 10**7)


def timed(run: Callable[[], object], repeats: int) -> dict[str, float]:
    """Medians of wall and processor time, after one run to warm up caches and lazy imports."""
    run()
    wall, cpu = [], []
    for _ in range(repeats):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
    return {"wall_s": statistics.median(wall), "cpu_s": statistics.median(cpu)}


def per_node(nodes: int, repeats: int) -> dict[str, Any]:
    seeds = iter(range(1000))
    mixing = Mixing(nodes=nodes, fan_out=FAN_OUT)
    outcomes = []
    times = timed(lambda: outcomes.append(uniform.spread(mixing, seed=next(seeds))), repeats)
    outcome = outcomes[-1]
    return {
        "engine": "per node",
        "nodes": nodes,
        **times,
        "rounds": float(outcome.rounds_to_all[0]),
        "sends": int(outcome.total_sends[0]),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def by_counts(repeats: int) -> dict[str, Any]:
    seeds = iter(range(1000))
    mixing = Mixing(nodes=2**32, fan_out=FAN_OUT)
    times = timed(lambda: counts.spread(mixing, seed=next(seeds)), repeats)
    return {"engine": "counts", "nodes": mixing.nodes, **times}


def push_loop(nodes: int, seed: int) -> int:
    """Push with fan-out 2 for Numba: one splitmix64 number and one look-up a target. Rounds."""
    known = np.zeros(nodes, np.int16)
    order = np.zeros(nodes, np.int64)
    known[0], reached, rounds = 1, 1, 0
    state: Any = np.uint64(seed)
    while reached < nodes:
        rounds += 1
        for sender in range(reached):
            me = order[sender]
            first: Any = -1
            for _ in range(2):
                target: Any = first
                while target == first:
                    state += np.uint64(0x9E3779B97F4A7C15)
                    z = state ^ (state >> np.uint64(30))
                    z *= np.uint64(0xBF58476D1CE4E5B9)
                    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                    z = ((z ^ (z >> np.uint64(31))) >> np.uint64(32)) * np.uint64(nodes - 1)
                    target = np.int64(z >> np.uint64(32))
                    target += target >= me
                first = target
                if known[target] == 0:
                    known[target] = rounds
                    order[reached] = target
                    reached += 1
    return rounds


def compiled(nodes: int, repeats: int) -> dict[str, Any]:
    """The least that a compiled loop does."""
    push: Any = numba.njit(push_loop)
    begin = time.perf_counter()
    push(100, 1)
    ready = time.perf_counter() - begin
    return {
        "engine": "compiled loop",
        "nodes": nodes,
        **timed(lambda: push(nodes, 2), repeats),
        "compile_s": ready,
    }


def peers(python: str, nodes: int, repeats: int) -> list[dict[str, Any]]:
    script = Path(__file__).with_name("si_peers.py")
    done = subprocess.run(
        [python, str(script), str(nodes), str(repeats)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{script.name} failed under {python}:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(options: argparse.Namespace) -> list[dict[str, Any]]:
    found = []
    for size in SIZES:
        child = [sys.executable, __file__, "--only", str(size), "--repeats", str(options.repeats)]
        found.append(json.loads(subprocess.check_output(child, text=True)))
    found.append(by_counts(options.repeats))
    found.append(compiled(SIZES[-1], options.repeats))
    small = per_node(options.peer_nodes, 20)
    found.append(small)
    for peer in peers(options.peer_python, options.peer_nodes, options.repeats):
        if "missing" in peer:
            found.append({"engine": peer["peer"], "missing": peer["missing"]})
            continue
        row = {"engine": peer["peer"], "nodes": peer["nodes"]}
        for unit in ("wall_s", "cpu_s"):
            row[unit] = statistics.median(run[unit] for run in peer["times"])
        row["rounds"] = peer["times"][0]["rounds"]
        row["ratio"] = row["wall_s"] / small["wall_s"]
        row["ratio_cpu"] = row["cpu_s"] / small["cpu_s"]
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer-python", default=sys.executable, help="has ndlib and EoN")
    parser.add_argument("--peer-nodes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(per_node(options.only, options.repeats)))
        return
    found = rows(options)
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0]}
    if options.json:
        print(json.dumps({"schema": 1, "machine": machine, "rows": found}))
        return
    print(f"{machine['cpus']} CPUs, load {machine['load']:.1f}; medians of {options.repeats}")
    for row in found:
        if "missing" in row:
            print(
                f"{row['engine']:>14}  not timed: package {row['missing']} is missing from "
                f"{options.peer_python}; pip install it there, or name another --peer-python"
            )
            continue
        more = " ".join(
            f"{name}={row[name]:.4g}"
            for name in ("rounds", "sends", "peak_mb", "compile_s", "ratio", "ratio_cpu")
            if name in row
        )
        print(
            f"{row['engine']:>14} {row['nodes']:>11} nodes "
            f"{row['wall_s']:9.4f} s ({row['cpu_s']:.4f} s CPU) {more}"
        )


if __name__ == "__main__":
    main()
