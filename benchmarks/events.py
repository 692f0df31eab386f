"""Times the event engine, and SimPy driving the same protocol objects beside it.

    python benchmarks/events.py [--nodes 1000] [--runs 3] [--hosts 20000] [--json]

Push with fan-out 2 and `free` timing from one source to the last infection. SimPy (pip install -e
'.[bench]') gets the same nodes, seeds, paths and recorder, so that it has to reach the same end by
the same events, which is checked; only what moves the time is its own. Two ways of writing it:

- `simpy`: as its documentation models a network: a process a node for rounds, one that waits at the
  node's `Store`, and one for each message under way ("Process Communication", "Event Latency").
- `simpy, callbacks`: a process a node for rounds, a message being a `Timeout` with a callback: the
  least that SimPy can be asked to do.

An event is a record of the run: a round, a sending, a receipt, a delivery. `ratio` is SimPy's
processor time over ours, in turn in this process, making of the nodes left out (bigger
is better). Bytes a host are those of the resident memory that a run of many hosts adds, without
and with the records of its events, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agents import registry
from agents.api import Actions, Deliver, Message, Send
from agents.wire import HEADER_BYTES
from testbed.simulator.event import Node, Simulation
from testbed.simulator.paths import Network
from testbed.simulator.recorder import DELIVER, DUPLICATE, NOTHING, RECEIVE, SEND, TICK, What
from topologies import star

OPTIONS = {"fan_out": 2, "retention": "forever"}
HORIZON_S = 100
KINDS = (TICK, SEND, RECEIVE, DUPLICATE, DELIVER)


def make(nodes: int, seed: int) -> Simulation:
    network = Network(star.build(hosts=nodes, subnets=max(2, nodes // 500)))
    plugin = registry.load("push")
    return Simulation(network, plugin, OPTIONS, seed=seed, timing="free", round_s=1.0)


class Peer:
    """Moves the nodes of a simulation by SimPy; promises that push does not use are left out."""

    def __init__(self, simulation: Simulation, *, callbacks: bool) -> None:
        import simpy

        self.env = simpy.Environment()
        self.simulation = simulation
        self.write = simulation.recorder.flat.extend
        self.callbacks = callbacks
        self.infected = 0
        self.done = self.env.event()
        if not callbacks:
            self.stores = [simpy.Store(self.env) for _ in simulation.nodes]
            for node in simulation.nodes:
                self.env.process(self.hear(node))
        for node in simulation.nodes:
            self.env.process(self.rounds(node))

    def run(self) -> None:
        source = self.simulation.nodes[0]
        self.act(source, source.protocol.multicast(bytes(64), 0.0), -1, None)
        self.env.run(until=self.done)

    def rounds(self, node: Node) -> Generator[Any, Any, None]:
        env, timing = self.env, node.timing
        while True:
            yield env.timeout(timing.due - env.now)
            k = timing.begin()
            self.write((round(env.now * 1e9), node.me, TICK, -1, k, NOTHING))
            self.act(node, node.protocol.on_round(k, env.now), -1, None)

    def hear(self, node: Node) -> Generator[Any, Any, None]:
        store = self.stores[node.me]
        while True:
            sender, message = yield store.get()
            self.take(node, sender, message)

    def latency(self, delay_s: float, to: int, sender: int, message: Message) -> Any:
        yield self.env.timeout(delay_s)
        self.stores[to].put((sender, message))

    def take(self, node: Node, sender: int, message: Message) -> None:
        now = self.env.now
        again = (message.origin, message.sequence) in node.delivered
        kind = DUPLICATE if again else RECEIVE
        self.write((round(now * 1e9), node.me, kind, sender, 0, message))
        self.act(node, node.protocol.on_message(message, sender, now), sender, message)

    def act(self, node: Node, actions: Actions, sender: int, cause: Message | None) -> None:
        env, simulation = self.env, self.simulation
        for action in actions:
            if isinstance(action, Send):
                self.send(node, action)
            elif isinstance(action, Deliver):
                hop = cause.hop + 1 if cause else 0
                id = action.id
                what = What(origin=id.origin, sequence=id.sequence, hop=hop, parent=sender)
                self.write((round(env.now * 1e9), node.me, DELIVER, -1, node.timing.k, what))
                node.delivered = {id}
                node.timing.infect(env.now)
                self.infected += 1
                if self.infected == len(simulation.nodes):
                    self.done.succeed()

    def send(self, node: Node, action: Send) -> None:
        to, message = action.to, action.message
        assert isinstance(to, int)
        self.write((round(self.env.now * 1e9), node.me, SEND, to, 0, message))
        path = self.simulation.paths[node.row + self.simulation.network.home[to]]
        late_ns = 0
        if path is not None:
            size = HEADER_BYTES + len(message.body)
            (late_ns,) = path.carry(node.me, to, message.TYPE, size)
        if self.callbacks:
            target = self.simulation.nodes[to]
            timeout = self.env.timeout(late_ns / 1e9)
            timeout.callbacks.append(lambda _: self.take(target, node.me, message))
        else:
            self.env.process(self.latency(late_ns / 1e9, to, node.me, message))


def ours(simulation: Simulation) -> None:
    simulation.advance(HORIZON_S * 1_000_000_000, until_all=True)


ENGINES: dict[str, Callable[[Simulation], None]] = {
    "event engine": ours,
    "simpy": lambda simulation: Peer(simulation, callbacks=False).run(),
    "simpy, callbacks": lambda simulation: Peer(simulation, callbacks=True).run(),
}


def timed(nodes: int, runs: int) -> dict[str, dict[str, Any]]:
    """Processor seconds of each engine, in turn run by run, the first left out as a warm-up."""
    spent: dict[str, list[float]] = {name: [] for name in ENGINES}
    events: dict[str, list[int]] = {name: [] for name in ENGINES}
    for seed in range(runs + 1):
        ends = set()
        for name, engine in ENGINES.items():
            simulation = make(nodes, seed)
            begin = time.process_time()
            engine(simulation)
            records, _ = simulation.recorder.finish()
            spent[name].append(time.process_time() - begin)
            # What starts and stops is written by one of the engines only.
            kinds = [records["event"] == kind for kind in KINDS]
            events[name].append(int(sum(kind.sum() for kind in kinds)))
            last_ns = int(records["time_ns"][records["event"] == DELIVER].max())
            ends.add((last_ns, *(int(kind[records["time_ns"] <= last_ns].sum()) for kind in kinds)))
        if len(ends) > 1:
            raise SystemExit(f"the engines come to different ends with seed {seed}: {ends}")
    return {
        name: {
            "cpu_s": statistics.median(spent[name][1:]),
            "events": int(statistics.median(events[name][1:])),
            "events_per_s": sum(events[name][1:]) / sum(spent[name][1:]),
            "ratio": sum(spent[name][1:]) / sum(spent["event engine"][1:]),
        }
        for name in ENGINES
    }


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory(hosts: int) -> dict[str, Any]:
    """Bytes a host of a run, before its first event and at its end."""
    make(100, 1)
    before = resident()
    simulation = make(hosts, 1)
    made = resident()
    ours(simulation)
    simulation.recorder.pack()
    end = resident()
    records, _ = simulation.recorder.finish()
    return {
        "hosts": hosts,
        "bytes_a_host": (made - before) / hosts,
        "bytes_a_host_at_the_end": (end - before) / hosts,
        "events_a_host": len(records) / hosts,
    }


def measure(nodes: int, runs: int, hosts: int) -> dict[str, Any]:
    import simpy

    rows = timed(nodes, runs)
    command = [sys.executable, __file__, "--hosts", str(hosts), "--memory"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "simpy": simpy.__version__,
        "nodes": nodes,
        "runs": runs,
        "engines": rows,
        "memory": json.loads(done.stdout),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=20_000)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(memory(arguments.hosts)))
        return
    found = measure(arguments.nodes, arguments.runs, arguments.hosts)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, row in found["engines"].items():
        print(
            f"{name:17} {row['cpu_s']:7.3f} s of processor, {row['events']:,} events, "
            f"{row['events_per_s']:9,.0f} events/s, ratio {row['ratio']:.2f}"
        )
    print(
        "{hosts:,} hosts: {bytes_a_host:,.0f} bytes each; {bytes_a_host_at_the_end:,.0f} at the "
        "end, with {events_a_host:.1f} events".format(**found["memory"])
    )


if __name__ == "__main__":
    main()
