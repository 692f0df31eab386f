"""The exact chains against the enumeration of every choice and every loss in groups of 3 to 5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from testbed.theory.chain import MAX_NODES, Chain, mean, quantile, sd
from testbed.theory.pull_chain import answered, pull_chain
from testbed.theory.push_chain import push_chain
from testbed.theory.push_pull_chain import push_pull_chain

BUILDERS: dict[str, Callable[..., Chain]] = {
    "push": push_chain,
    "pull": pull_chain,
    "push_pull": push_pull_chain,
}


def one_round(
    protocol: str,
    nodes: int,
    infected: int,
    fan_out: int,
    replacement: bool,
    loss_ratio: float,
    legs: int,
    crashed: int,
) -> np.ndarray:
    """The distribution of the infected after a round, by trying every outcome.

    Nodes 0..infected-1 are infected, the last `crashed` ones are dead.
    """
    alive = nodes - crashed
    pull_success = (1.0 - loss_ratio) ** legs
    callers = [
        node
        for node in range(alive)
        if protocol == "push_pull" or (node < infected) == (protocol == "push")
    ]
    result = np.zeros(alive + 1)
    for calls, chance in every_call(callers, nodes, fan_out, replacement):
        trials = []  # (the node that would be infected, probability)
        for caller, target in calls:
            if target >= alive:
                continue
            if caller < infected <= target and protocol != "pull":
                trials.append((target, 1.0 - loss_ratio))
            if target < infected <= caller and protocol != "push":
                trials.append((caller, pull_success))
        for outcome in product((True, False), repeat=len(trials)):
            weight = chance
            new = set()
            for (node, success), arrived in zip(trials, outcome, strict=True):
                weight *= success if arrived else 1.0 - success
                if arrived:
                    new.add(node)
            result[infected + len(new)] += weight
    return result


def every_call(
    callers: list[int], nodes: int, fan_out: int, replacement: bool
) -> Iterator[tuple[list[tuple[int, int]], float]]:
    choices = []
    for caller in callers:
        others = [node for node in range(nodes) if node != caller]
        drawn = product(others, repeat=fan_out) if replacement else combinations(others, fan_out)
        choices.append([[(caller, target) for target in targets] for targets in drawn])
    total = float(np.prod([len(choice) for choice in choices])) if choices else 1.0
    for picked in product(*choices):
        yield [call for calls in picked for call in calls], 1.0 / total


CASES = [
    (protocol, nodes, fan_out, replacement, loss_ratio, legs, crashed)
    for protocol in BUILDERS
    for nodes, fan_out, replacement, loss_ratio, legs, crashed in [
        (4, 1, False, 0.0, 2, 0),
        (4, 2, False, 0.0, 2, 0),
        (4, 2, True, 0.0, 2, 0),
        (4, 1, False, 0.3, 2, 0),
        (4, 1, False, 0.3, 1, 0),
        (3, 2, False, 0.3, 2, 0),
        (3, 2, True, 0.3, 2, 0),
        (5, 1, False, 0.0, 2, 2),
        (4, 1, True, 0.3, 2, 1),
    ]
]


def build(
    protocol: str,
    nodes: int,
    fan_out: int,
    replacement: bool,
    loss_ratio: float,
    legs: int,
    crashed: int,
) -> Chain:
    keywords: dict[str, Any] = {
        "replacement": replacement,
        "loss_ratio": loss_ratio,
        "crashed": crashed,
    }
    if protocol != "push":
        keywords["legs"] = legs
    return BUILDERS[protocol](nodes, fan_out, **keywords)


@pytest.mark.parametrize(
    ("protocol", "nodes", "fan_out", "replacement", "loss_ratio", "legs", "crashed"), CASES
)
def test_each_step_is_what_trying_every_outcome_gives(
    protocol: str,
    nodes: int,
    fan_out: int,
    replacement: bool,
    loss_ratio: float,
    legs: int,
    crashed: int,
) -> None:
    chain = build(protocol, nodes, fan_out, replacement, loss_ratio, legs, crashed)
    for infected in range(1, chain.alive + 1):
        expected = one_round(
            protocol, nodes, infected, fan_out, replacement, loss_ratio, legs, crashed
        )
        assert chain.kernel[infected] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("protocol", list(BUILDERS))
@pytest.mark.parametrize(("fan_out", "replacement"), [(1, False), (3, False), (3, True)])
def test_rows_are_distributions_that_never_lose_a_node(
    protocol: str, fan_out: int, replacement: bool
) -> None:
    kernel = build(protocol, 40, fan_out, replacement, 0.2, 2, 5).kernel
    assert kernel.sum(axis=1) == pytest.approx(np.ones(len(kernel)), abs=1e-12)
    assert (kernel >= 0.0).all()
    assert np.tril(kernel, -1).max() == 0.0


@pytest.mark.parametrize(("nodes", "fan_out", "loss_ratio"), [(64, 1, 0.0), (33, 3, 0.4)])
def test_push_and_pull_infect_equally_many_on_average_in_every_round(
    nodes: int, fan_out: int, loss_ratio: float
) -> None:
    push = push_chain(nodes, fan_out, loss_ratio=loss_ratio)
    pull = pull_chain(nodes, fan_out, loss_ratio=loss_ratio, legs=1)
    assert push.mean_infected(20) == pytest.approx(pull.mean_infected(20), abs=1e-10)


def test_worked_numbers_of_the_docstrings() -> None:
    assert mean(push_chain(64).rounds_to_all()) == pytest.approx(11.16, abs=0.005)
    assert mean(push_chain(64).rounds_to_half()) == pytest.approx(6.07, abs=0.005)
    assert mean(pull_chain(64).rounds_to_all()) == pytest.approx(8.96, abs=0.005)
    assert mean(pull_chain(64).rounds_to_half()) == pytest.approx(6.29, abs=0.005)
    assert mean(push_pull_chain(64).rounds_to_all()) == pytest.approx(5.99, abs=0.005)
    assert answered(0.5, 2) == 0.25
    pmf = np.array([0.0, 0.5, 0.5])
    assert (mean(pmf), sd(pmf), quantile(pmf, 0.9)) == (1.5, 0.5, 2)


def test_two_nodes_wait_a_geometric_time() -> None:
    pmf = push_chain(2, loss_ratio=0.75).rounds_to_all()
    assert pmf[1:4] == pytest.approx([0.25, 0.25 * 0.75, 0.25 * 0.75**2], rel=1e-9)
    assert mean(pmf) == pytest.approx(4.0, rel=1e-9)
    assert sd(pmf) == pytest.approx(np.sqrt(0.75) / 0.25, rel=1e-6)


def test_more_sources_start_ahead() -> None:
    chain = push_chain(16)
    assert chain.rounds_to_all(sources=16).tolist() == [1.0]
    assert mean(chain.rounds_to_all(sources=4)) < mean(chain.rounds_to_all()) - 1.0


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"nodes = 1 .*2\.\.2048"):
        push_chain(1)
    with pytest.raises(ValueError, match="counts"):
        pull_chain(MAX_NODES + 1)
    with pytest.raises(ValueError, match="crashed = 8"):
        push_chain(8, crashed=8)
    with pytest.raises(ValueError, match="fan_out = 8"):
        push_chain(8, 8)
    with pytest.raises(ValueError, match="legs = 3"):
        pull_chain(8, legs=3)
    with pytest.raises(ValueError, match="loss_ratio"):
        push_pull_chain(8, loss_ratio=1.1)
    with pytest.raises(ValueError, match="never reached"):
        push_chain(8, loss_ratio=1.0).rounds_to_all()
    with pytest.raises(ValueError, match="target = 9"):
        push_chain(8).rounds_to(9)
    with pytest.raises(ValueError, match="sources = 0"):
        push_chain(8).infected(3, sources=0)
