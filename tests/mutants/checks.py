"""What must notice a mutant. Each check returns what it has to say, nothing when all is well.

Verdicts come from the claims' own judges on runs of the event simulator, or on runs recorded from
it before anything was changed; every seed is fixed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from typing import Any
from unittest.mock import patch

import numpy as np

from agents import registry
from agents.api import View
from agents.seeds import derive
from agents.trace import Event
from testbed import claims, experiment, health, replicates, simulation
from testbed.judging import selection, stats, verdict
from testbed.judging.stats import Estimate, Proportion
from testbed.progress import Progress
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from testbed.simulator.recorder import Recorder
from testbed.tables import RunTables
from testbed.theory.chain import Chain
from testbed.theory.pull_chain import pull_chain
from testbed.theory.push_chain import push_chain
from testbed.theory.push_pull_chain import push_pull_chain
from tests.mutants.multicasts import deliveries_of_pbcast, star_of_srm, windows_of_srm
from topologies import two_subnets

LEAST_P = 1e-4
SECOND = 1_000_000_000
LATENCY = ("latency", ("nodes=8,16,32,64,128", "protocol=push"), 60)
LOAD = ("core_load", ("nodes=16,32,64,128,256", "rounds=60", "concurrent=4"), None)


def spoil(tables: RunTables) -> RunTables:
    """What a mutant does to recorded runs; a mutant replaces this function.

    It is given a copy, since metrics are computed once for the same tables.
    """
    return tables


@dataclass(frozen=True)
class Check:
    """`kind`: a verdict, a health reason, or a test; `run` says what is wrong, or nothing."""

    kind: str
    name: str
    run: Callable[[], str]


def simulated(name: str, settings: tuple[str, ...], repeats: int | None) -> RunTables:
    """The tables of a simulated experiment, as a run directory would hold them."""
    loaded = experiment.load(name, settings=settings, repeats=repeats)
    run = simulation.EventSimulation(loaded, 1, Progress())
    run.run()
    tables = run.tables()
    state = health.summarize(tables["runs"], [], {})
    named = {"evidence": "simulated", "experiment": loaded.manifest()}
    return RunTables(manifest=named, health=state, **tables)


@lru_cache(maxsize=4)
def recorded(name: str, settings: tuple[str, ...], repeats: int | None) -> RunTables:
    """The same, once; tests record all before the first mutant."""
    return simulated(name, settings, repeats)


def record() -> None:
    for chosen in (LATENCY, LOAD):
        recorded(*chosen)


def judged(claim: str, tables: RunTables, *, only: str = "") -> str:
    """Parts of a claim that are not verified; with `only`, those of that verdict."""
    found = []
    for row in claims.judge([claim], [tables]):
        wrong = row.verdict == only if only else row.verdict != verdict.VERIFIED
        if wrong and not (only == "" and row.reasons and row.reasons[0].startswith("not run")):
            found.append(f"{row.claim} {row.part}: {row.verdict}")
    return "; ".join(found)


def c1() -> str:
    return judged("C1", simulated(*LATENCY))


def c1_recorded() -> str:
    return judged("C1", spoil(replace(recorded(*LATENCY))))


def c11() -> str:
    return judged("C11", simulated(*LOAD))


def c11_recorded() -> str:
    return judged("C11", spoil(replace(recorded(*LOAD))))


def c12() -> str:
    settings = ("nodes=16,32,64,128,256", "rounds=100", "concurrent=4", "protocol=topology_aware")
    return judged("C12", simulated("core_load", settings, None), only="refuted")


CHAINS: dict[str, Callable[..., Chain]] = {
    "push": push_chain,
    "pull": pull_chain,
    "push_pull": push_pull_chain,
}


def rounds(protocol: str, loss_ratio: float, runs: int = 400, nodes: int = 16) -> list[int]:
    """Synchronous rounds to the last of 16 nodes, fan-out 1, in many runs."""
    network = Network(two_subnets.build(hosts=nodes, loss_ratio=loss_ratio))
    options: dict[str, Any] = {"fan_out": 1, "replacement": False}
    if protocol != "pull":
        options["retention"] = "forever"
    found = []
    for run in range(runs):
        simulation = Simulation(
            network,
            registry.load(protocol),
            options,
            seed=run,
            timing="sync",
            round_s=1.0,
            sources=[run % nodes],
            record=Recorder(),
        )
        simulation.advance(100 * SECOND, until_all=True)
        found.append(round(simulation.now_ns / SECOND))
    return found


def chain(protocol: str, loss_ratio: float = 0.0) -> Callable[[], str]:
    """Holds times in the simulator against the exact Markov chain by a G-test."""

    def check() -> str:
        exact = CHAINS[protocol](16, fan_out=1, replacement=False, loss_ratio=loss_ratio)
        pmf = exact.rounds_to_all()
        observed = np.bincount(rounds(protocol, loss_ratio), minlength=len(pmf))
        if len(observed) > len(pmf):
            return "times that are all but impossible"
        p = stats.g_test(observed, pmf)
        return f"p = {p:.1g}" if p < LEAST_P else ""

    return check


def targets() -> str:
    """Whom node 3 of 16 chooses, two at a time: all others alike, itself never."""
    plugin = registry.load("push")
    options = plugin.protocol.Options(fan_out=2)
    node: Any = plugin.protocol(View(3, (range(16),)), options, derive(1, "targets"))
    draws = [node.draw() for _ in range(8000)]
    chosen = Counter(target for draw in draws for target in draw)
    if 3 in chosen:
        return f"chose itself {chosen[3]} times"
    p = stats.g_test([chosen[i] for i in range(16) if i != 3], [1 / 15] * 15)
    twice = sum(len(set(draw)) == 1 for draw in draws)
    p = min(p, stats.g_test([twice, len(draws) - twice], [1 / 15, 14 / 15]))
    return f"p = {p:.1g}" if p < LEAST_P else ""


def sources() -> str:
    """Where the multicasts of an experiment begin: at any node alike."""
    cell = experiment.load("latency", settings=("nodes=8", "protocol=push")).cells[0]
    runs = replicates.replicates(1, count(1), 0, cell, 2000, 0.5)
    begun = Counter(run.order.sources[0] for run in runs)
    p = stats.g_test([begun[node] for node in range(8)], [1 / 8] * 8)
    return f"p = {p:.1g}" if p < LEAST_P else ""


def gates() -> str:
    """The fidelity gate on the recorded runs, as if hosts had made them."""
    tables = spoil(recorded(*LATENCY))
    runs = health.void_runs(tables.runs.drop(columns=[*health.GATES]), tables.events)
    state = health.summarize(runs, [], {})
    return "" if state["ok"] else state["reasons"][0].partition(",")[2].strip()


def voided_cell() -> str:
    """A cell of which a tenth was voided must not be judged."""
    tables = recorded(*LATENCY)
    runs = tables.runs.assign(voided=tables.runs["run"] % 10 == 0)
    (arm,) = selection.dissemination([replace(tables, runs=runs)], "push")
    return "" if arm.blocks() else "a cell of which 10% were voided is judged"


def incomplete() -> str:
    """Runs of which a third reached every other node only must refute C1."""
    tables = recorded(*LATENCY)
    reached = (tables.deliveries["host"] % 2 == 0) | (tables.deliveries["run"] % 3 != 0)
    said = judged("C1", replace(tables, deliveries=tables.deliveries[reached]), only="refuted")
    return "" if "form" in said else "runs that reached every other node do not refute C1"


def crossed() -> str:
    """Each datagram of a simulated run is sent once and arrives once, but for one in 10^9.

    Without any loss the driver would leave the links out.
    """
    network = Network(two_subnets.build(hosts=16, loss_ratio=1e-9))
    options = {"fan_out": 2, "retention": "forever"}
    simulation = Simulation(
        network,
        registry.load("push"),
        options,
        seed=1,
        timing="free",
        round_s=1.0,
        sources="all",
        record=Recorder(),
    )
    simulation.advance(5 * SECOND)
    records, _ = simulation.recorder.finish()
    sent = np.count_nonzero(records["event"] == Event.send)
    came = np.count_nonzero(np.isin(records["event"], [Event.receive, Event.duplicate]))
    return f"{sent} sent, {came} received" if sent != came else ""


def coverage() -> str:
    """Intervals of 90% for the mean of 4 numbers hold the truth in 90 of 100 cases."""
    drawn = np.random.default_rng(1).normal(size=(4000, 4))
    held = 0
    for sample in drawn:
        low, high = stats.mean(sample).interval(0.9)
        held += low <= 0 <= high
    p = float(stats.Proportion(held, 4000).p_below(0.9))
    p = min(p, float(stats.Proportion(held, 4000).p_above(0.9)))
    return f"{held / 4000:.1%} of intervals at 90% hold the truth" if p < LEAST_P else ""


def rare() -> str:
    """The interval of a proportion holds the truth also where it is small: 1% of 40."""
    drawn = np.bincount(np.random.default_rng(1).binomial(40, 0.01, 4000))
    intervals = [Proportion(successes, 40).interval(0.95) for successes in range(len(drawn))]
    held = sum(n for n, (low, high) in zip(drawn, intervals, strict=True) if low <= 0.01 <= high)
    return f"{held / 4000:.1%} of intervals at 95% hold the truth" if held < 0.94 * 4000 else ""


def familywise() -> str:
    """Of 400 validations in which nothing holds, one in twenty supports something, no more."""
    rng = np.random.default_rng(1)
    wrong = 0
    with patch("gc.collect"):  # statsmodels collects garbage in every call, for 40 ms
        for _ in range(400):
            at_the_bound = [Estimate(1.1 + 0.01 * float(rng.normal()), 0.01) for _ in range(10)]
            steps = stats.holm([each.p_within(0.9, 1.1) for each in at_the_bound], 10)
            wrong += any(step.rejected for step in steps)
    p = Proportion(wrong, 400).p_above(0.05)
    return f"{wrong / 400:.0%} of validations support what is not so" if p < LEAST_P else ""


def uniform_p() -> str:
    """The G-test of fair dice calls one in a hundred unfair."""
    rng = np.random.default_rng(1)
    rolls = rng.multinomial(60, [1 / 6] * 6, 3000)
    small = sum(stats.g_test(roll, [1 / 6] * 6) < 0.01 for roll in rolls)
    p = float(Proportion(small, 3000).p_above(0.02))
    return f"{small / 3000:.1%} of fair dice are called unfair at 1%" if p < LEAST_P else ""


CHECKS = {
    "C1": Check("verdict", "C1 on simulated runs", c1),
    "C1 recorded": Check("verdict", "C1 on recorded runs", c1_recorded),
    "C11": Check("verdict", "C11 on simulated runs", c11),
    "C11 recorded": Check("verdict", "C11 on recorded runs", c11_recorded),
    "C12": Check("verdict", "C12 on simulated runs", c12),
    "push chain": Check("test", "the exact chain of push", chain("push")),
    "push chain, loss": Check("test", "the exact chain of push with 30% loss", chain("push", 0.3)),
    "pull chain": Check("test", "the exact chain of pull", chain("pull")),
    "push_pull chain": Check("test", "the exact chain of push-pull", chain("push_pull")),
    "targets": Check("test", "targets are uniform (G-test)", targets),
    "sources": Check("test", "sources are uniform (G-test)", sources),
    "gates": Check("health", "the fidelity gate", gates),
    "voided": Check("test", "a tenth voided is not judged", voided_cell),
    "incomplete": Check("test", "nodes left out in a third of the runs refute C1", incomplete),
    "SRM star": Check("test", "requests and their delay in an SRM star", star_of_srm),
    "SRM windows": Check("test", "how SRM's adaptive timers move", windows_of_srm),
    "pbcast": Check("test", "the exact distribution of pbcast (G-test)", deliveries_of_pbcast),
    "crossed": Check("test", "what is sent arrives once", crossed),
    "coverage": Check("test", "coverage of Student intervals", coverage),
    "rare": Check("test", "coverage of proportions", rare),
    "familywise": Check("test", "familywise error of a validation", familywise),
    "uniform p": Check("test", "p of the G-test under its null", uniform_p),
}
