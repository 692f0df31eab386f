"""SRM and Bimodal Multicast on simulated links, against what is known of them without the code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from agents import registry
from agents.protocols.srm import SrmRepair, SrmRequest
from agents.trace import Event
from testbed.judging import stats
from testbed.judging.stats import Estimate
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from testbed.theory import pbcast, srm_star
from topologies import chain, star
from topologies.graph import Graph

SECOND = 1_000_000_000
D_MS = 50.0
INTERVAL_S = 5.0
C1 = 2.0
LEAST_P = 1e-4
BASIC: dict[str, Any] = {"log_repair": False, "d1": 1.0, "d2": 1.0}
"""The repair comes after the first window of requests and before the second one."""


def records(graph: Graph, port: str, messages: int, seed: int, **options: Any) -> NDArray[Any]:
    """A stream of which all but the first multicast is lost at a port, and nothing else is."""
    simulation = Simulation(
        Network(graph),
        registry.load("srm"),
        options,
        seed=seed,
        sources=(0,),
        messages=messages,
        interval_s=INTERVAL_S,
    )
    whole = graph.host(0).send if port.startswith("h") else graph.links[0].down
    broken = replace(whole, loss_ratio=1.0)
    for number in range(1, messages):
        at_ns = round(number * INTERVAL_S * SECOND)
        simulation.at(at_ns - 1, lambda: simulation.paths.impair(port, broken))
        simulation.at(at_ns + SECOND // 2, lambda: simulation.paths.impair(port, whole))
    simulation.advance(round((messages + 1) * INTERVAL_S * SECOND))
    found, _ = simulation.recorder.finish()
    assert np.count_nonzero(found["event"] == Event.deliver) == graph.nodes * messages
    return found


def sent(found: NDArray[Any], kind: type[Any], sequence: int) -> NDArray[Any]:
    mine = (found["event"] == Event.send) & (found["type"] == kind.TYPE)
    return np.asarray(found[mine & (found["sequence"] == sequence)])


def srm_star_of(nodes: int, c2: float, seeds: int) -> dict[str, tuple[Estimate, float]]:
    """Requests for a packet that all lose, and the delay of the first: measured, and expected."""
    graph = star.build(hosts=nodes, access_delay_ms=D_MS / 2)
    requests, delays = [], []
    for seed in range(seeds):
        found = records(graph, "h1>", 9, seed, c1=C1, c2=c2, **BASIC)
        for sequence in range(2, 10):
            asked = sent(found, SrmRequest, sequence)
            requests.append(len(asked))
            delays.append(first_delay(found, asked[0]))
    return {
        "requests": (stats.mean(requests), srm_star.requests(nodes, c2)),
        "delay": (stats.mean(delays), srm_star.request_delay(nodes, C1, c2)),
    }


@pytest.mark.parametrize(("nodes", "c2"), [(8, 2.0), (24, 2.0), (24, 6.0)])
def test_the_requests_and_the_delay_of_a_star_are_those_of_the_formulas(
    nodes: int, c2: float
) -> None:
    """All lose it: 1 + (G-1)/C2 - C2^-(G-1) requests, the first after C1 + C2/G distances."""
    measured = srm_star_of(nodes, c2, seeds=6)
    for name, widest in (("requests", 0.5 * srm_star.requests(nodes, c2)), ("delay", c2)):
        mean, expected = measured[name]
        low, high = mean.interval(1 - LEAST_P)
        assert low <= expected <= high, name
        assert high - low < widest, name


def first_delay(found: NDArray[Any], request: Any) -> float:
    """What the requester noted of its delay, in distances."""
    noted = found[(found["event"] == Event.note) & (found["time_ns"] == request["time_ns"])]
    return float(noted["value"].max())


@pytest.mark.parametrize(("link", "requests"), [(1, 2), (2, 1), (4, 1), (7, 1)])
def test_in_a_chain_one_asks_and_one_answers(link: int, requests: int) -> None:
    """Next to the source it asks again: a repair takes 3 d there, its backoff is over in 2 d."""
    graph = chain.build(hosts=8, subnets=8, core_delay_ms=10)
    options = {**BASIC, "c1": 1.0, "c2": 0.0, "d2": 0.0}
    found = records(graph, f"r{link - 1}>r{link}", 3, 1, **options)
    for sequence in (2, 3):
        assert len(sent(found, SrmRequest, sequence)) == requests
        assert len(sent(found, SrmRepair, sequence)) == 1


def pbcast_ends(nodes: int, rounds: int, loss_ratio: float, runs: int = 500) -> list[int]:
    """How many nodes of a lossy star had a multicast at the end of each run."""
    network = Network(star.build(hosts=nodes, loss_ratio=loss_ratio))
    plugin = registry.load("pbcast")
    options = {"buffer_rounds": rounds, "independent_rounds": False, "retransmission_limit": 0}
    ends = []
    for seed in range(runs):
        simulation = Simulation(network, plugin, options, seed=seed, timing="sync", round_s=1.0)
        simulation.advance((rounds + 2) * SECOND)
        ends.append(simulation.infected)
    return ends


def test_bimodal_multicast_delivers_as_the_exact_distribution_says() -> None:
    ends = pbcast_ends(nodes=12, rounds=3, loss_ratio=0.2)
    assert fits(ends, pbcast.delivered(12, 3, loss_ratio=0.2))


def fits(ends: Sequence[int], expected: NDArray[np.float64]) -> bool:
    """Whether numbers are a sample of a distribution, rare ones taken together."""
    counts, wanted = np.bincount(ends, minlength=len(expected)), len(ends) * expected
    often = wanted >= 5
    observed = [*counts[often], counts[~often].sum()]
    return bool(chisquare(observed, [*wanted[often], wanted[~often].sum()]).pvalue > 1e-3)
