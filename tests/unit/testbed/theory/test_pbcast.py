"""The distribution of deliveries against every choice and loss, and against the protocol itself."""

from __future__ import annotations

from itertools import product
from random import Random

import numpy as np
import pytest
from scipy.stats import chisquare

from agents.api import Message, NodeId
from agents.protocols.pbcast import Pbcast, PbcastData
from testbed.theory.pbcast import delivered, first_phase
from tests.groups import Group


def every_outcome(nodes: int, rounds: int, loss_ratio: float, shared: float) -> list[float]:
    """By trying every first copy, every target and each of an exchange's three datagrams."""
    ends = [0.0] * (nodes + 1)
    keeps = 1 - loss_ratio

    def gossip(have: frozenset[int], chance: float, left: int) -> None:
        if not left:
            ends[len(have)] += chance
            return
        senders = sorted(have)
        choices = [[to for to in range(nodes) if to != sender] for sender in senders]
        for targets in product(*choices):
            drawn = chance / (nodes - 1) ** len(senders)
            useful = [to for to in targets if to not in have]
            for arrived in product((True, False), repeat=3 * len(useful)):
                weight = drawn
                for each in arrived:
                    weight *= keeps if each else loss_ratio
                whole = [all(arrived[3 * i : 3 * i + 3]) for i in range(len(useful))]
                new = {to for to, came in zip(useful, whole, strict=True) if came}
                gossip(have | new, weight, left - 1)

    gossip(frozenset({0}), shared, rounds)
    for came in product((True, False), repeat=nodes - 1):
        weight = 1 - shared
        for each in came:
            weight *= keeps if each else loss_ratio
        have = {0, *(node for node, here in enumerate(came, 1) if here)}
        gossip(frozenset(have), weight, rounds)
    return ends


@pytest.mark.parametrize(("nodes", "rounds"), [(2, 3), (3, 2), (4, 1)])
@pytest.mark.parametrize(("loss_ratio", "shared"), [(0.3, 0.0), (0.2, 0.4), (0.1, 1.0)])
def test_the_distribution_is_that_of_every_outcome(
    nodes: int, rounds: int, loss_ratio: float, shared: float
) -> None:
    exact = delivered(nodes, rounds, loss_ratio=loss_ratio, shared_loss_ratio=shared)
    np.testing.assert_allclose(exact, every_outcome(nodes, rounds, loss_ratio, shared), atol=1e-12)


def test_the_first_phase_is_a_distribution() -> None:
    have = first_phase(50, loss_ratio=0.05, shared_loss_ratio=0.1)
    assert have.sum() == pytest.approx(1.0) and have[0] == 0.0
    assert have[1] == pytest.approx(0.1)


def test_loss_next_to_the_sender_is_met_by_all_datagrams_and_by_a_first_copy_once() -> None:
    """Two nodes: the copy arrives, or digest, solicitation and retransmission all do."""
    arrives = 0.8 * 0.7
    (_, alone, both) = delivered(2, 1, loss_ratio=0.2, send_loss_ratio=0.3)
    assert both == pytest.approx(arrives + (1 - arrives) * arrives**3)
    assert alone + both == pytest.approx(1.0)
    three = first_phase(3, 0.2, 0.3)
    np.testing.assert_allclose(
        delivered(3, 0, loss_ratio=0.2, send_loss_ratio=0.3), three, atol=1e-12
    )


def test_almost_all_or_almost_none_get_it() -> None:
    """Bimodal: with the first copy lost now and then, few runs end in between."""
    ends = delivered(50, 5, loss_ratio=0.05, shared_loss_ratio=0.3)
    assert ends[:36].sum() > 0.29 and ends[48:].sum() > 0.69
    assert ends[36:48].sum() < 0.01


RUNS = 600


def run(seed: int, nodes: int, rounds: int, loss_ratio: float, shared: float) -> int:
    """The nodes that have the multicast in the end, in rounds that all take in step."""
    rng = Random(seed)
    nobody = rng.random() < shared

    def drop(sender: NodeId, to: NodeId, message: Message) -> bool:
        return (nobody and isinstance(message, PbcastData)) or rng.random() < loss_ratio

    group = Group(
        Pbcast,
        [nodes],
        delay=lambda a, b: 0.0,
        drop=drop,
        seed=seed,
        buffer_rounds=rounds,
        independent_rounds=False,
    )
    group.multicast(0)
    group.rounds(1.0, rounds + 2)
    group.until(rounds + 2.0)
    return len(group.delivered)


def test_the_protocol_delivers_as_the_exact_distribution_says() -> None:
    nodes, rounds, loss_ratio, shared = 12, 3, 0.2, 0.5
    counts = np.bincount(
        [run(seed, nodes, rounds, loss_ratio, shared) for seed in range(RUNS)], minlength=nodes + 1
    )
    expected = RUNS * delivered(nodes, rounds, loss_ratio=loss_ratio, shared_loss_ratio=shared)
    often = expected >= 5
    observed = [*counts[often], counts[~often].sum()]
    wanted = [*expected[often], expected[~often].sum()]
    assert chisquare(observed, wanted).pvalue > 1e-3  # one test of a fixed seed
