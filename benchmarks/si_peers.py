"""Times the SI model of NDlib and of EoN on a complete graph; prints one JSON line for each.

    PYTHON benchmarks/si_peers.py NODES REPEATS

Run by rounds.py, with an interpreter that has them: they bring dependencies of their own, which
the testbed does not want. Both spread with the rate of push gossip with fan-out 2: each infected
node reaches each other one with chance 2/(N-1) a round (NDlib) or at that rate (EoN). Building
the graph is not timed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

FAN_OUT = 2


def ndlib(graph: Any) -> float:
    """Rounds until all are infected."""
    epidemics = importlib.import_module("ndlib.models.epidemics")
    config = importlib.import_module("ndlib.models.ModelConfig")
    model = epidemics.SIModel(graph)
    settings = config.Configuration()
    settings.add_model_parameter("beta", FAN_OUT / (len(graph) - 1))
    settings.add_model_initial_configuration("Infected", [0])
    model.set_initial_status(settings)
    rounds = 0
    while model.iteration()["node_count"][1] < len(graph):
        rounds += 1
    return rounds


def eon(graph: Any) -> float:
    """Time until all are infected, in rounds."""
    times, *_ = importlib.import_module("EoN").fast_SIR(
        graph, FAN_OUT / (len(graph) - 1), 0.0, initial_infecteds=[0]
    )
    return float(times[-1])


def main() -> None:
    nodes, repeats = int(sys.argv[1]), int(sys.argv[2])
    random.seed(1)
    peers: list[tuple[str, str, Callable[[Any], float]]] = [
        ("NDlib", "ndlib", ndlib),
        ("EoN", "EoN", eon),
    ]
    graph = None
    for package, module, run in peers:
        if importlib.util.find_spec(module) is None:
            print(json.dumps({"peer": package, "missing": module.lower()}), flush=True)
            continue
        if graph is None:
            graph = importlib.import_module("networkx").complete_graph(nodes)
        times = []
        for _ in range(repeats):
            begin, begin_cpu = time.perf_counter(), time.process_time()
            rounds = run(graph)
            times.append(
                {
                    "wall_s": time.perf_counter() - begin,
                    "cpu_s": time.process_time() - begin_cpu,
                    "rounds": rounds,
                }
            )
        print(json.dumps({"peer": package, "nodes": nodes, "times": times}), flush=True)


if __name__ == "__main__":
    main()
