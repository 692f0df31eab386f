"""The per-node and the counts engine against the exact chains, and against each other.

G-tests of fixed seeds. With K comparisons in a test the level of each is FAMILY / K, so that a
correct engine with fresh seeds would fail a whole test with probability below FAMILY.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from testbed.errors import UsageError
from testbed.judging.stats import g_test, same_distribution
from testbed.simulator import counts
from testbed.simulator.mixing import Mixing
from testbed.simulator.outcome import Outcome
from testbed.simulator.rounds import uniform
from testbed.theory.branching import crash_extinction, infect_and_die_extinction, reach
from testbed.theory.chain import Chain
from testbed.theory.mean_field import mean_field
from testbed.theory.pull_chain import pull_chain
from testbed.theory.push_chain import push_chain
from testbed.theory.push_pull_chain import push_pull_chain

FAMILY = 1e-3

ENGINES: dict[str, Callable[..., Outcome]] = {"uniform": uniform.spread, "counts": counts.spread}
CHAINS: dict[str, Callable[..., Chain]] = {
    "push": push_chain,
    "pull": pull_chain,
    "push_pull": push_pull_chain,
}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"fan_out": 3},
    {"fan_out": 3, "replacement": True},
    {"loss_ratio": 0.4},
    {"fan_out": 3, "loss_ratio": 0.4, "crashed": 6},
    {"fan_out": 2, "replacement": True, "loss_ratio": 0.4, "crashed": 6},
]


def chain_of(nodes: int, protocol: str, setting: dict[str, Any]) -> Chain:
    return CHAINS[protocol](nodes, **({"fan_out": 1} | setting))


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("protocol", list(CHAINS))
def test_one_round_is_a_step_of_the_exact_chain(engine: str, protocol: str) -> None:
    p_values = []
    for setting in SETTINGS:
        chain = chain_of(24, protocol, setting)
        for sources in (1, 9, 15):
            mixing = Mixing(nodes=24, protocol=protocol, sources=sources, max_rounds=1, **setting)
            infected = ENGINES[engine](mixing, 1000, seed=1).infected[:, 1]
            seen = np.bincount(infected, minlength=chain.alive + 1)
            p_values.append(g_test(seen, chain.kernel[sources]))
    assert min(p_values) > FAMILY / len(p_values)


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("protocol", list(CHAINS))
def test_times_to_all_and_to_half_have_their_exact_distributions(
    engine: str, protocol: str
) -> None:
    p_values = []
    for setting in SETTINGS:
        chain = chain_of(24, protocol, setting)
        outcome = ENGINES[engine](Mixing(nodes=24, protocol=protocol, **setting), 1000, seed=2)
        for times, exact in (
            (outcome.rounds_to_all, chain.rounds_to_all()),
            (outcome.rounds_to_half, chain.rounds_to_half()),
        ):
            length = max(len(exact), int(times.max()) + 1)
            exact = np.pad(exact, (0, length - len(exact)))
            p_values.append(g_test(np.bincount(times.astype(int), minlength=length), exact))
    assert min(p_values) > FAMILY / len(p_values)


@pytest.mark.parametrize("protocol", list(CHAINS))
def test_the_engines_agree_at_a_size_that_no_chain_reaches(protocol: str) -> None:
    p_values = []
    settings: list[dict[str, Any]] = [
        {"fan_out": 2, "loss_ratio": 0.2},
        {"crash_ratio": 0.1, "sources": 3},
        {"crashed": 1000},
    ]
    for setting in settings:
        mixing = Mixing(nodes=5000, protocol=protocol, **setting)
        nodes = uniform.spread(mixing, 150, seed=3)
        sampled = counts.spread(mixing, 150, seed=4)
        for one, other in (
            (nodes.rounds_to_all, sampled.rounds_to_all),
            (nodes.rounds_to_half, sampled.rounds_to_half),
            (nodes.total_sends // 5000, sampled.total_sends // 5000),
        ):
            p_values.append(same_distribution(np.minimum(one, 999), np.minimum(other, 999)))
    assert min(p_values) > FAMILY / len(p_values)


@pytest.mark.parametrize("own_rounds", [1, 3])
def test_the_engines_agree_when_nodes_fall_silent(own_rounds: int) -> None:
    mixing = Mixing(nodes=300, fan_out=2, own_rounds=own_rounds, loss_ratio=0.1)
    nodes = uniform.spread(mixing, 1000, seed=5)
    sampled = counts.spread(mixing, 1000, seed=6)
    assert nodes.residue.max() > 0.0
    assert same_distribution(nodes.infected[:, -1] // 8, sampled.infected[:, -1] // 8) > FAMILY / 2
    assert same_distribution(nodes.total_sends // 40, sampled.total_sends // 40) > FAMILY / 2


@pytest.mark.parametrize("engine", list(ENGINES))
def test_infect_and_die_goes_extinct_as_a_branching_process(engine: str) -> None:
    mixing = Mixing(nodes=8000, fan_out=4, loss_ratio=0.5, own_rounds=1, replacement=True)
    outcome = ENGINES[engine](mixing, 400, seed=7)
    died = int((outcome.infected[:, -1] < 800).sum())
    assert binomtest(died, 400, infect_and_die_extinction(4, 0.5)).pvalue > FAMILY
    survived = 1.0 - outcome.residue[outcome.infected[:, -1] >= 800]
    # The spread of one run is below 0.01; 0.002 is four times the error of the mean.
    assert survived.mean() == pytest.approx(reach(4, 0.5), abs=0.002)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_crashes_end_it_as_a_branching_process(engine: str) -> None:
    mixing = Mixing(nodes=8000, fan_out=2, crash_ratio=0.2)
    outcome = ENGINES[engine](mixing, 400, seed=8)
    died = int((outcome.infected[:, -1] < 800).sum())
    assert binomtest(died, 400, crash_extinction(2, 0.2)).pvalue > FAMILY


def test_every_ipv4_address_is_infected_as_the_mean_field_says() -> None:
    nodes = 2**32
    for protocol in CHAINS:
        mixing = Mixing(nodes=nodes, protocol=protocol, fan_out=2, sources=10**6)
        infected = counts.spread(mixing, 2, seed=9).infected
        expected = mean_field(protocol, nodes, 8, 2, sources=10**6)
        # A million sources leave fluctuations of about 1 in 1000.
        assert infected[:, :9] == pytest.approx(np.stack([expected] * 2), rel=0.01)
        assert (infected[:, -1] == nodes).all()


def test_sends_are_those_of_the_nodes_that_gossip() -> None:
    push = uniform.spread(Mixing(nodes=50, fan_out=3), 20, seed=10)
    going = push.infected[:, :-1] < 50
    assert (np.diff(push.sends) == np.where(going, 3 * push.infected[:, :-1], 0)).all()
    pull = counts.spread(Mixing(nodes=50, fan_out=2, protocol="pull", crashed=10), 20, seed=10)
    going = pull.infected[:, :-1] < 40
    assert (np.diff(pull.sends) == np.where(going, 80, 0)).all()


def test_a_node_gossips_exactly_its_own_rounds() -> None:
    for engine in ENGINES.values():
        outcome = engine(Mixing(nodes=1000, own_rounds=4, loss_ratio=1.0), 3, seed=11)
        assert outcome.total_sends.tolist() == [4, 4, 4]
        assert outcome.rounds_to_all.tolist() == [np.inf] * 3


def test_the_same_seed_gives_the_same_runs_bit_for_bit() -> None:
    mixing = Mixing(nodes=1000, fan_out=2, loss_ratio=0.3)
    for engine in ENGINES.values():
        one, same, other = engine(mixing, 30, 12), engine(mixing, 30, 12), engine(mixing, 30, 13)
        assert (one.infected == same.infected).all()
        assert (one.sends == same.sends).all()
        assert one.infected.shape != other.infected.shape or (one.infected != other.infected).any()


def test_more_runs_repeat_the_fewer_of_the_counts_engine() -> None:
    mixing = Mixing(nodes=1000)
    few, more = counts.spread(mixing, 3, seed=1), counts.spread(mixing, 9, seed=1)
    assert (few.rounds_to_all == more.rounds_to_all[:3]).all()


def test_every_nodes_round_of_infection_adds_up_to_the_curve() -> None:
    outcome = uniform.spread(
        Mixing(nodes=200, crashed=20, protocol="push_pull"), 5, seed=14, keep_nodes=True
    )
    assert outcome.infected_round is not None
    for run in range(5):
        rounds = outcome.infected_round[run]
        assert (rounds == -2).sum() == 20
        for number in range(outcome.infected.shape[1]):
            reached = ((rounds >= 0) & (rounds <= number)).sum()
            assert reached == outcome.infected[run, number]


def test_a_group_in_many_blocks_still_gives_every_run() -> None:
    outcome = uniform.spread(Mixing(nodes=100_000, fan_out=4), 5, seed=15)
    assert outcome.runs == 5
    assert len({tuple(curve) for curve in outcome.infected}) == 5
    assert (outcome.infected[:, -1] == 100_000).all()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"nodes": 1}, r"nodes = 1 is not within 2"),
        ({"nodes": 8, "protocol": "pusj"}, "did you mean push"),
        ({"nodes": 8, "fan_out": 8}, r"fan_out = 8 is not within 1\.\.7"),
        ({"nodes": 8, "loss_ratio": float("nan")}, "loss_ratio = nan"),
        ({"nodes": 8, "loss_ratio": 1.0}, "set max_rounds"),
        ({"nodes": 8, "crashed": 8}, "crashed = 8"),
        ({"nodes": 8, "crashed": 4, "sources": 5}, r"sources = 5 is not within 1\.\.4"),
        ({"nodes": 8, "legs": 3}, "legs = 3"),
        ({"nodes": 8, "own_rounds": 0}, "own_rounds = 0"),
        ({"nodes": 8, "own_rounds": 2, "protocol": "pull"}, "only push falls silent"),
    ],
)
def test_a_setting_outside_its_domain_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Mixing(**setting)


def test_a_group_larger_than_the_memory_is_refused_with_the_size_that_fits() -> None:
    with pytest.raises(UsageError, match=r"nodes = 1099511627776 .*up to \d+ nodes fit.*counts"):
        uniform.spread(Mixing(nodes=2**40))
