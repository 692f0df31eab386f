"""Loads every host's agent at once and shows what it costs: lateness, memory, datagrams lost.

    python benchmarks/agents.py --agents 1024 --round 0.5 --fan-out 2 [--seconds 15] [--json]

All agents of two subnets gossip one multicast for `--seconds`. Beside them, on a network of its own
in the same run, the floor: as many bare processes that send and read as many datagrams
(benchmarks/bare_agents.py). Wanted: no datagram unexplained, p99 tick lateness under 10%
of the round, at most 2 MB PSS an agent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agents.trace import Event
from testbed import lab
from testbed.collector import agent_terms, read_traces
from testbed.network import Network
from testbed.orders import Order
from testbed.session import Session
from topologies import two_subnets

PAYLOAD_BYTES = 64
DATAGRAM_BYTES = 106  # what one payload makes: envelope 40, age 2
LEAD_S = 3.0


def ours(agents: int, round_s: float, fan_out: int, seconds: float) -> dict[str, Any]:
    """The testbed's session: routers, counters, agents and their traces."""
    options = {"fan_out": fan_out, "retention": "forever"}
    order = Order(1, 1, "push", options, "free", round_s, "all", PAYLOAD_BYTES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Session(two_subnets.build(hosts=agents), ["push"], folder) as session:
            start_ns = session.start([order])
            session.wait_until(start_ns / 1e9 + seconds)
            session.stop([1])
            cost = costs(session.zygote.pid)
            report = session.finish()
        records, _, _ = read_traces(folder)
        terms = agent_terms(folder, {}).values()
    kinds = records["event"]
    lag_ns = records["value"][np.isin(kinds, [Event.receive, Event.duplicate])]
    return {
        **lateness(records["value"][kinds == Event.tick], round_s),
        "receive_lag_p99_ms": round(float(np.percentile(lag_ns, 99)) / 1e6, 3),
        **cost,
        "datagrams_sent": sum(agent.sent for agent in terms),
        "datagrams_received": sum(agent.received for agent in terms),
        "complaints": report.complaints,
    }


def bare(agents: int, round_s: float, fan_out: int, seconds: float) -> dict[str, Any]:
    """The floor; see benchmarks.bare_agents."""
    graph = two_subnets.build(hosts=agents)
    with tempfile.TemporaryDirectory() as name, Network(graph) as net:
        folder = Path(name)
        namespaces = [host.netns for host in net.hosts]
        at_s = time.monotonic() + LEAD_S
        spec = {
            "namespaces": namespaces,
            "addresses": [str(host.address) for host in graph.hosts],
            "round_s": round_s,
            "fan_out": fan_out,
            "at_s": at_s,
            "end_s": at_s + seconds,
            "datagram_bytes": DATAGRAM_BYTES,
            "folder": name,
        }
        (folder / "spec").write_text(json.dumps(spec))
        script = Path(__file__).with_name("bare_agents.py")
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(script), str(folder / "spec")],
            pass_fds=namespaces,
        )
        time.sleep(LEAD_S + seconds)
        cost = costs(process.pid)
        process.wait()
        reports = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {
        **lateness(np.concatenate([report["late_ns"] for report in reports]), round_s),
        **cost,
        "datagrams_sent": sum(report["sent"] for report in reports),
        "datagrams_received": sum(report["read"] for report in reports),
    }


def lateness(late_ns: np.ndarray[Any, Any], round_s: float) -> dict[str, Any]:
    p99_ms = float(np.percentile(late_ns, 99)) / 1e6
    return {
        "ticks": len(late_ns),
        "tick_lateness_p99_ms": round(p99_ms, 3),
        "tick_lateness_p99_of_round": round(p99_ms / 1e3 / round_s, 4),
    }


def costs(parent: int) -> dict[str, Any]:
    """Of a process's children: mean proportional set size, and processor time of all together."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    pss_kb, cpu_ns = 0, 0
    for child in children:
        for line in Path(f"/proc/{child}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                pss_kb += int(line.split()[1])
        cpu_ns += int(Path(f"/proc/{child}/schedstat").read_text().split()[0])
    return {"pss_kb": round(pss_kb / len(children)), "cpu_s": round(cpu_ns / 1e9, 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--agents", type=int, default=1024, help="4..2046 (default 1024)")
    parser.add_argument("--round", type=float, default=0.5, help="seconds (default 0.5)")
    parser.add_argument("--fan-out", type=int, default=2, help="targets a round (default 2)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of gossip (default 15)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    if not 4 <= given.agents <= 2046:
        parser.error(f"--agents {given.agents}: give a number in 4..2046")
    if not 0 < given.round < given.seconds:
        parser.error(f"--round {given.round}: give a number in 0..{given.seconds}")
    if not 1 <= given.fan_out < given.agents:
        parser.error(f"--fan-out {given.fan_out}: give a number in 1..{given.agents - 1}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    load = (given.agents, given.round, given.fan_out, given.seconds)
    floor = lab.call(partial(bare, *load))
    found = lab.call(partial(ours, *load))
    result = {
        "schema": 1,
        "agents": given.agents,
        "round_s": given.round,
        "fan_out": given.fan_out,
        **found,
        "unexplained": found["datagrams_sent"] - found["datagrams_received"],
        "floor": floor,
        "pss_ratio_to_floor": round(found["pss_kb"] / floor["pss_kb"], 2),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
    }
    if given.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:26} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
