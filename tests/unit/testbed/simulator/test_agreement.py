"""The agents in virtual time against everything that is known without them.

The exact chains (sync), the independent reference (free), the coupon collector (any timer), the
duality of push and pull, crossings of the core, and the rounds engine of rumor mongering. All
seeds are fixed; some 60 tests at a level of 1e-4 leave a false alarm less likely than 1%.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from agents import registry
from agents.timing import MODES
from agents.trace import Event
from testbed.judging import stats
from testbed.simulator.event import Simulation
from testbed.simulator.paths import Network
from testbed.simulator.recorder import Recorder
from testbed.simulator.reference import sample
from testbed.simulator.rounds import rumor as rounds
from testbed.theory import coupon_collector
from testbed.theory.chain import Chain
from testbed.theory.pull_chain import pull_chain
from testbed.theory.push_chain import push_chain
from testbed.theory.push_pull_chain import push_pull_chain
from testbed.theory.topology_aware_crossings import topology_aware_crossings
from testbed.theory.uniform_crossings import uniform_crossings
from topologies import two_subnets

SECOND = 1_000_000_000
LEAST_P = 1e-4
HORIZON = 200
NODES = 16
CHAINS = {"push": push_chain, "pull": pull_chain, "push_pull": push_pull_chain}


class Spread(NamedTuple):
    """Many runs of one protocol, times in rounds."""

    at: NDArray[np.float64]
    """(runs, nodes) infection times in ascending order, inf for never."""
    sends: NDArray[np.float64]
    """Of the type that is counted, up to the last infection."""
    total: NDArray[np.float64]
    """The same to the end of the run."""
    receipts: NDArray[np.float64]
    """Datagrams that arrived, one after the other, up to that which infected the last node."""

    def rounds_to(self, nodes: int) -> NDArray[np.float64]:
        return np.asarray(self.at[:, nodes - 1])


@lru_cache(maxsize=64)
def network(nodes: int, loss_ratio: float) -> Network:
    return Network(two_subnets.build(hosts=nodes, loss_ratio=loss_ratio))


def spread(
    protocol: str,
    runs: int,
    nodes: int = NODES,
    *,
    loss_ratio: float = 0.0,
    timing: str = "sync",
    until: int = HORIZON,
    until_all: bool = True,
    counted: int | None = None,
    **options: Any,
) -> Spread:
    plugin = registry.load(protocol)
    at, sends, total, receipts = np.full((runs, nodes), math.inf), [], [], []
    for run in range(runs):
        simulation = Simulation(
            network(nodes, loss_ratio),
            plugin,
            options,
            seed=run,
            timing=timing,
            round_s=1.0,
            sources=[run % nodes],
            record=Recorder(),
        )
        simulation.advance(until * SECOND, until_all=until_all)
        assert not simulation.failures
        records, _ = simulation.recorder.finish()
        found = records["time_ns"][records["event"] == Event.deliver] / SECOND
        at[run, : len(found)] = np.sort(found)
        sent = records[records["event"] == Event.send]
        if counted is not None:
            sent = sent[sent["type"] == counted]
        sends.append(np.count_nonzero(sent["time_ns"] / SECOND <= found.max()))
        total.append(len(sent))
        before = records["event"][: np.flatnonzero(records["event"] == Event.deliver)[-1]]
        receipts.append(np.isin(before, [Event.receive, Event.duplicate]).sum())
    return Spread(at, *(np.array(each, float) for each in (sends, total, receipts)))


def forever(protocol: str) -> dict[str, Any]:
    return {} if protocol == "pull" else {"retention": "forever"}


@pytest.mark.parametrize("loss_ratio", [0.0, 0.3])
@pytest.mark.parametrize(
    ("protocol", "fan_out", "replacement"),
    [
        ("push", 1, False),
        ("push", 2, True),
        ("pull", 1, False),
        ("pull", 2, True),
        ("push_pull", 1, False),
        ("push_pull", 2, False),
    ],
)
def test_synchronous_times_follow_the_exact_chain(
    protocol: str, fan_out: int, replacement: bool, loss_ratio: float
) -> None:
    chosen: dict[str, Any] = {"fan_out": fan_out, "replacement": replacement}
    chain: Chain = CHAINS[protocol](NODES, **chosen, loss_ratio=loss_ratio)
    drawn = spread(protocol, 400, loss_ratio=loss_ratio, **forever(protocol), **chosen)
    for times, pmf in (
        (drawn.rounds_to(NODES), chain.rounds_to_all()),
        (drawn.rounds_to(NODES // 2), chain.rounds_to_half()),
    ):
        observed = np.bincount(times.astype(int), minlength=len(pmf))
        assert len(observed) == len(pmf)
        assert stats.g_test(observed, pmf) > LEAST_P


@pytest.mark.parametrize("protocol", ["push", "topology_aware"])
@pytest.mark.parametrize(("fan_out", "loss_ratio"), [(1, 0.0), (2, 0.0), (2, 0.4)])
def test_free_running_times_follow_the_reference(
    protocol: str, fan_out: int, loss_ratio: float
) -> None:
    chosen: dict[str, Any] = {"fan_out": fan_out, "loss_ratio": loss_ratio}
    drawn = spread(protocol, 300, timing="free", **forever(protocol), **chosen)
    known = sample(NODES, runs=2000, topology_aware=protocol == "topology_aware", **chosen)
    assert stats.same_distribution(drawn.rounds_to(NODES), known.rounds_to_all) > LEAST_P
    half = known.infected_at[:, NODES // 2 - 1]
    assert stats.same_distribution(drawn.rounds_to(NODES // 2), half) > LEAST_P
    assert stats.same_distribution(drawn.sends, known.sends) > LEAST_P


@pytest.mark.parametrize("loss_ratio", [0.0, 0.5])
@pytest.mark.parametrize("timing", MODES)
def test_sends_to_the_last_infection_are_a_coupon_collectors(
    timing: str, loss_ratio: float
) -> None:
    """Those that arrive, whatever the timer; all of them where no two nodes tick at one instant.

    Without delays `restart` and `immediate` tick at whole rounds like `sync`: a round's sends are
    under way together there.
    """
    runs = 300
    chosen: dict[str, Any] = {"timing": timing, "loss_ratio": loss_ratio, "retention": "forever"}
    drawn = spread("push", runs, fan_out=1, **chosen)
    counts = [(drawn.receipts, 0.0)]
    if timing in ("free", "poisson"):
        counts.append((drawn.sends, loss_ratio))
    for count, loss in counts:
        sd = coupon_collector.sd_sends(NODES, loss)
        assert abs(count.mean() - coupon_collector.mean_sends(NODES, loss)) < 4 * sd / runs**0.5
        assert count.std() == pytest.approx(sd, rel=0.25)


@pytest.mark.parametrize("loss_ratio", [0.0, 0.3])
def test_push_and_pull_have_one_mean_curve(loss_ratio: float) -> None:
    """A pull crosses the network twice, so push gets the loss of both ways [CLAIMS section 2]."""
    runs, ends = 400, 12
    both = 1 - (1 - loss_ratio) ** 2
    expected = push_chain(NODES, loss_ratio=both).mean_infected(ends)
    assert expected == pytest.approx(
        pull_chain(NODES, loss_ratio=loss_ratio).mean_infected(ends), abs=1e-9
    )
    for protocol, loss in (("push", both), ("pull", loss_ratio)):
        options = {**forever(protocol), "fan_out": 1}
        drawn = spread(protocol, runs, loss_ratio=loss, until=ends, until_all=False, **options)
        curves = np.array([(drawn.at <= t).sum(axis=1) for t in range(ends + 1)])
        errors = curves.std(axis=1, ddof=1) / math.sqrt(runs)
        assert (abs(curves.mean(axis=1) - expected) <= 4.5 * errors + 0.02).all()


@pytest.mark.parametrize(
    ("protocol", "fan_out", "expected"),
    [
        ("topology_aware", 1, topology_aware_crossings([16, 16], 1)),
        ("topology_aware", 2, topology_aware_crossings([16, 16], 2)),
        ("push", 1, uniform_crossings([16, 16], 1)),
    ],
)
@pytest.mark.parametrize("timing", ["free", "sync"])
def test_crossings_at_saturation(protocol: str, fan_out: int, expected: float, timing: str) -> None:
    """2b a round for topology-aware, bN^2/(2(N-1)) for uniform choice."""
    periods = 400
    simulation = Simulation(
        network(32, 0.0),
        registry.load(protocol),
        {"fan_out": fan_out, "retention": "forever"},
        seed=1,
        timing=timing,
        round_s=1.0,
        sources="all",
    )
    simulation.advance(periods * SECOND)
    crossed = sum(sum(crossing.packets.values()) for crossing in simulation.crossings)
    sends = periods * 32 * fan_out
    chance = expected / (32 * fan_out)
    assert abs(crossed - sends * chance) < 4 * math.sqrt(sends * chance * (1 - chance))
    if protocol == "topology_aware":
        assert expected == pytest.approx(2 * fan_out)


RUMORS: list[dict[str, Any]] = [
    {"direction": "push", "k_counter": 1},
    {"direction": "push", "k_counter": 2},
    {"direction": "push", "k_counter": 2, "feedback": False, "interest": "coin"},
    {"direction": "push", "k_counter": 2, "interest": "coin"},
    {"direction": "pull", "k_counter": 1},
    {"direction": "pull", "k_counter": 2, "feedback": False},
    {"direction": "push_pull", "k_counter": 1},
    {"direction": "push_pull", "k_counter": 2, "minimization": True},
]


@pytest.mark.parametrize(
    "options", RUMORS, ids=lambda options: "-".join(map(str, options.values()))
)
def test_synchronous_rumors_follow_the_engine_of_rounds(options: dict[str, Any]) -> None:
    """Residue, updates sent and the last infection, where no connection limit is at work."""
    nodes, update = 24, 0x17
    setting = rounds.Rumor(
        nodes=nodes,
        protocol=options["direction"],
        k=options["k_counter"],
        feedback=options.get("feedback", True),
        coin=options.get("interest") == "coin",
        minimization=options.get("minimization", False),
    )
    known = rounds.spread(setting, runs=2000, seed=1)
    drawn = spread("rumor", 200, nodes, until=30, until_all=False, counted=update, **options)
    missed = np.isinf(drawn.at).sum(axis=1)
    last = np.where(np.isfinite(drawn.at), drawn.at, 0.0).max(axis=1)
    # Whole numbers again: ratios that are equal may differ in their last bit.
    assert stats.same_distribution(missed, np.rint(known.residue * nodes)) > LEAST_P
    assert stats.same_distribution(drawn.total, np.rint(known.traffic * nodes)) > LEAST_P
    assert stats.same_distribution(last, known.t_last) > LEAST_P
