"""The comparison with the twins passes what is alike, and fails what is not."""

from __future__ import annotations

import dataclasses
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest

from testbed import claims
from testbed.claims import twins
from testbed.judging.verdict import INCONCLUSIVE, SUPPORTED, Verdict
from testbed.simulator.reference import Epidemic, draw
from testbed.tables import RunTables
from tests import synthetic

HOSTS, TWINS = 100, 300


@cache
def spread(runs: int, seed: int, *, loss_ratio: float = 0.3, skip: float = 0.0) -> RunTables:
    """Push at 16 and 32 nodes; a share `skip` of the rounds is left out by the agents."""

    def push(nodes: int, fan_out: int, rng: Random) -> Epidemic:
        # A round that is skipped is as one whose datagram is lost, except that nothing is sent.
        drawn = draw(nodes, fan_out, rng=rng, loss_ratio=1 - (1 - loss_ratio) * (1 - skip))
        return drawn._replace(sends=[each for each in drawn.sends if rng.random() >= skip])

    return synthetic.latency(
        (16, 32), runs, protocols={"push": push}, fan_out=1, seed=seed, loss_ratio=0.3
    )


def judged(hosts: RunTables, simulated: RunTables, **columns: Any) -> list[Verdict]:
    hosts = dataclasses.replace(hosts, runs=hosts.runs.assign(**columns))
    twin = dataclasses.replace(simulated, manifest={"evidence": "simulated"})
    return [row for row in claims.judge(["twins"], [hosts, twin]) if row.part.startswith("push:")]


def test_what_is_alike_passes() -> None:
    rows = judged(spread(HOSTS, 1), spread(TWINS, 2))
    assert [row.part for row in rows] == ["push: time", "push: sends", "push: crossings"]
    for row in rows:
        assert row.p_refute > 0.05
        assert row.runs == 2 * HOSTS
        assert [(cell["nodes"], cell["twins"]) for cell in row.details] == [(16, 300), (32, 300)]


def test_enough_runs_that_are_alike_are_shown_to_be() -> None:
    rows = judged(spread(8 * HOSTS, 3), spread(8 * HOSTS, 4))
    assert {row.verdict for row in rows} == {SUPPORTED}


def test_a_simulator_that_applies_loss_twice_fails() -> None:
    rows = judged(spread(HOSTS, 1), spread(TWINS, 2, loss_ratio=0.51))
    time, sends, crossings = rows
    assert time.p_refute < 1e-6 and sends.p_refute < 1e-6
    assert time.verdict == sends.verdict == INCONCLUSIVE
    assert "not the twin's distribution at N=" in time.reasons[0]
    assert crossings.p_refute > 0.05  # as many a round, for more rounds


def test_an_agent_that_skips_rounds_fails() -> None:
    rows = judged(spread(HOSTS, 1, skip=0.15), spread(TWINS, 2))
    time, sends, _ = rows
    assert time.verdict == INCONCLUSIVE
    assert time.p_refute < 0.05
    assert sends.p_refute > 0.05  # as many datagrams as ever, later


def test_times_a_little_longer_are_no_difference() -> None:
    mine, other = (spread(8 * HOSTS, seed) for seed in (3, 4))
    assert judged(mine, other, round_s=synthetic.ROUND_S / 1.02)[0].verdict == SUPPORTED
    assert judged(mine, other, round_s=synthetic.ROUND_S / 1.1)[0].verdict == INCONCLUSIVE


def test_too_few_runs_are_not_judged() -> None:
    rows = judged(spread(5, 1), spread(TWINS, 2))
    assert {row.verdict for row in rows} == {INCONCLUSIVE}
    assert "5 healthy runs" in rows[0].reasons[0]


def test_hosts_alone_are_not_judged() -> None:
    rows = claims.judge(["twins"], [spread(HOSTS, 1)])
    assert {row.verdict for row in rows} == {INCONCLUSIVE}
    assert "no runs of push with simulated twins" in rows[0].reasons[0]


def test_the_g_test_errs_as_seldom_as_it_says() -> None:
    """Of 400 pairs of samples of one distribution, 5% or fewer fall below 0.05."""
    rng = np.random.default_rng(1)
    p = [twins.same(rng.gamma(20, size=60), rng.gamma(20, size=180)) for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) <= 0.05


def test_the_table_has_a_row_for_each_size_and_loss() -> None:
    (title, rows), *_ = claims.tables(judged(spread(HOSTS, 1), spread(TWINS, 2))).items()
    assert "distributions" in title
    head, *cells = rows
    assert head == ["protocol", "nodes", "loss", "runs", "time", "sends", "crossings"]
    assert [row[:4] for row in cells] == [
        ["push", "16", "30%", "100 / 300"],
        ["push", "32", "30%", "100 / 300"],
    ]
    assert all(" / " in text and ", p " in text for text in cells[0][4:])


@pytest.mark.parametrize("part", list(twins.CLAIM.parts))
def test_a_part_is_a_check_within_a_tenth(part: str) -> None:
    registered = twins.CLAIM.parts[part]
    assert registered.check
    assert registered.margin.low >= 0.9 and registered.margin.high <= 1.1
