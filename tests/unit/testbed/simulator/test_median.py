"""The engine of the median counter does what the protocol objects do, and hardly misses a node."""

from __future__ import annotations

import numpy as np

from agents import registry
from agents.protocols.push_pull import PushPullCall, PushPullItem
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from testbed.simulator.recorder import SEND, What
from testbed.simulator.rounds.median import spread
from topologies.graph import Graph, Router

NODES, RUNS = 64, 40


def transmissions(seed: int) -> int:
    """Copies sent by the protocol objects in one run of synchronous rounds."""
    network = Network(Graph.grow("one", [Router("r0", 0, None)], [("r0", NODES)]))
    plugin = registry.load("push_pull")
    options = {"termination": "median_counter"}
    run = Simulation(network, plugin, options, seed=seed, timing="sync", round_s=1.0)
    run.advance(40 * 10**9)
    assert run.infected == NODES and not run.failures
    told = (PushPullCall.TYPE, PushPullItem.TYPE)
    return sum(
        row[2] == SEND and not isinstance(row[5], What) and row[5].TYPE in told
        for row in run.recorder.rows()
    )


def test_the_engine_sends_as_much_as_the_protocol() -> None:
    agents = np.array([transmissions(seed) for seed in range(RUNS)]) / NODES
    engine = spread(NODES, 400, seed=1).transmissions / NODES
    error = np.hypot(agents.std(ddof=1) / RUNS**0.5, engine.std(ddof=1) / 400**0.5)
    assert abs(agents.mean() - engine.mean()) < 4 * error


def test_the_same_seed_gives_the_same_runs() -> None:
    one, two = spread(NODES, 5, seed=3), spread(NODES, 5, seed=3)
    assert (one.transmissions == two.transmissions).all()


def test_a_limit_of_one_leaves_nodes_out() -> None:
    assert spread(1024, 20, seed=1, most=1).missed.sum() > 0
    assert spread(1024, 20, seed=1).missed.sum() == 0
