"""Runs drawn from the exact law of Bimodal Multicast pass; those of other agents do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from testbed import claims, experiment
from testbed.claims.pbcast_histogram import BETWEEN, DISTRIBUTION
from testbed.judging.bimodal import Histogram
from testbed.judging.verdict import INCONCLUSIVE, REFUTED, SUPPORTED, Verdict
from testbed.tables import RunTables
from testbed.theory import pbcast
from tests import synthetic

RUNS = 600
LOSS = {"loss_ratio": 0.1, "send_loss_ratio": 0.1}


@cache
def shipped() -> tuple[dict[str, Any], ...]:
    """The cells of the experiment: 32 nodes, 1 and 3 rounds of gossip."""
    return tuple(experiment.load("pbcast_histogram").manifest()["cells"])


@cache
def law(rounds: int, **changes: Any) -> np.ndarray[Any, Any]:
    return pbcast.delivered(32, rounds, **{**LOSS, **changes})


def ran(
    laws: Sequence[np.ndarray[Any, Any]], seed: int = 1, runs: int = RUNS, **cell: Any
) -> RunTables:
    """Runs on hosts of the shipped cells, whose numbers of nodes reached are drawn from laws."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    deliveries: list[tuple[int, int]] = []
    for place, chances in enumerate(laws):
        for number in rng.choice(len(chances), size=runs, p=chances):
            run = len(rows) + 1
            rows.append(synthetic._run(run, place, "pbcast", 32, 1, "one"))
            deliveries += [(run, host) for host in range(number)]
    made = synthetic.tables(
        runs=pd.DataFrame(rows), deliveries=pd.DataFrame(deliveries, columns=["run", "host"])
    )
    stated = {"name": "pbcast_histogram", "cells": [{**each, **cell} for each in shipped()]}
    return dataclasses.replace(made, manifest={"experiment": stated})


def judged(tables: RunTables) -> dict[str, Verdict]:
    return {row.part: row for row in claims.judge(["pbcast"], [tables])}


def test_the_shipped_experiment_is_what_the_law_is_of() -> None:
    rows = judged(ran([law(1), law(3)]))
    assert {row.verdict for row in rows.values()} == {SUPPORTED}
    for row in rows.values():
        assert row.runs == 2 * RUNS
        assert row.conditions["buffer_rounds"] == [1, 3]
        assert row.conditions["loss_ratio"] == row.conditions["send_loss_ratio"] == 0.1
    share = rows[BETWEEN]
    assert isinstance(share.predicted, float)
    assert share.high < 0.01 and share.low < share.predicted < share.high


def test_a_protocol_that_stands_in_is_judged_by_its_own_name() -> None:
    tables = ran([law(1), law(3)], protocol="mine")
    rows = claims.judge(["pbcast"], [tables], {"pbcast": "mine"})
    assert {row.verdict for row in rows} == {SUPPORTED}
    rows = claims.judge(["pbcast"], [tables], {"pbcast": "another"})
    assert all("no runs of another in step" in row.reasons[0] for row in rows)


def test_agents_that_answer_no_solicitation_fail() -> None:
    rows = judged(ran([law(0), law(0)]))
    check, claim = rows[DISTRIBUTION], rows[BETWEEN]
    assert check.verdict == claim.verdict == INCONCLUSIVE and check.p_refute < 1e-6
    assert "not the exact distribution at " in check.reasons[0]
    assert any("not the exact distribution" in reason for reason in claim.reasons)


@pytest.mark.parametrize(
    "wrong", [{"loss_ratio": 0.15}, {"send_loss_ratio": 0.05}, {"fan_out": 2}], ids=str
)
def test_another_loss_or_fan_out_is_not_the_law(wrong: dict[str, Any]) -> None:
    row = judged(ran([law(1, **wrong), law(3, **wrong)]))[DISTRIBUTION]
    assert row.verdict == INCONCLUSIVE and row.p_refute < 0.01


def test_a_multicast_that_reaches_half_of_the_nodes_refutes_the_claim() -> None:
    alone = law(4, shared_loss_ratio=1.0, send_loss_ratio=0.0)
    assert judged(ran([alone, alone]))[BETWEEN].verdict == REFUTED


def test_the_check_errs_as_seldom_as_it_says() -> None:
    """In 5% of the validations of right agents: in 5.2% of 16,000; here 2,000, so +- 1%."""
    rng = np.random.default_rng(7)

    def p(chances: np.ndarray[Any, Any]) -> float:
        counts = rng.multinomial(RUNS, chances)
        return Histogram({}, pd.DataFrame(), **LOSS, counts=counts, exact=chances).p

    least = [min(p(law(rounds)) for rounds in (1, 3)) for _ in range(2000)]
    assert np.mean(2 * np.array(least) <= 0.05) <= 0.06


def test_runs_out_of_step_and_few_runs_have_no_verdict() -> None:
    row = judged(ran([law(1), law(3)], timing="free"))[BETWEEN]
    assert row.verdict == INCONCLUSIVE and "no runs of pbcast in step" in row.reasons[0]
    row = judged(ran([law(1), law(3)], runs=5))[BETWEEN]
    assert row.verdict == INCONCLUSIVE and "5 healthy runs, fewer than 10" in row.reasons[0]
