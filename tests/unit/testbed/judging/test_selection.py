"""Runs are pooled under equal conditions, and kept apart otherwise."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest

from testbed import plotting
from testbed.judging.selection import dissemination, saturated, told_apart
from testbed.tables import RunTables
from tests import synthetic


@pytest.fixture(scope="module")
def tables() -> RunTables:
    return synthetic.latency((8, 16), repeats=20)


def with_runs(tables: RunTables, **columns: Any) -> RunTables:
    return dataclasses.replace(tables, runs=tables.runs.assign(**columns))


def test_an_arm_holds_all_sizes_of_a_protocol(tables: RunTables) -> None:
    (arm,) = dissemination([tables], "push")
    assert (arm.sizes, arm.runs, arm.voided) == ([8, 16], 40, 0)
    assert len(arm.values("rounds_to_all", 8)) == 20


def test_two_run_directories_under_equal_conditions_are_one_arm(tables: RunTables) -> None:
    (arm,) = dissemination([tables, tables], "push")
    assert arm.runs == 80


@pytest.mark.parametrize("column", ["fan_out", "timing", "loss_ratio", "retention"])
def test_other_conditions_are_another_arm(tables: RunTables, column: str) -> None:
    value = 0.5 if column == "loss_ratio" else 4 if column == "fan_out" else "other"
    assert len(dissemination([tables, with_runs(tables, **{column: value})], "push")) == 2


def test_runs_on_another_network_are_another_arm_and_match_no_more(tables: RunTables) -> None:
    def on(delay_ms: int) -> RunTables:
        cells = [
            {"index": cell, "parameters": {"core_delay_ms": delay_ms}}
            for cell in tables.runs["cell"].unique()
        ]
        return dataclasses.replace(tables, manifest={"experiment": {"name": "own", "cells": cells}})

    near, far = dissemination([on(10), on(50), on(10)], "push")
    assert (near.runs, far.runs) == (80, 40)
    assert not near.matches(far)
    assert plotting.names([near, far]) == [
        "uniform push (core_delay_ms = 10)",
        "uniform push (core_delay_ms = 50)",
    ]


def test_arms_of_several_protocols_say_what_their_conditions_do_not_share(
    tables: RunTables,
) -> None:
    (push,) = dissemination([tables], "push")
    (aware,) = dissemination([with_runs(tables, loss_ratio=0.1)], "topology_aware")
    assert plotting.names([push, aware]) == [
        "uniform push (loss = 0.0)",
        "topology-aware (loss = 0.1)",
    ]


def test_simulated_runs_are_never_pooled_with_emulated_ones(tables: RunTables) -> None:
    simulated = dataclasses.replace(tables, manifest={"evidence": "simulated"})
    assert len(dissemination([tables, simulated], "push")) == 2


def test_voided_runs_are_counted_and_not_used(tables: RunTables) -> None:
    (arm,) = dissemination([with_runs(tables, voided=tables.runs["run"] == 1)], "push")
    assert arm.voided == 1
    assert len(arm.values("rounds_to_all", 8)) == 19
    assert arm.blocks() == ()


def test_more_than_a_twentieth_voided_blocks(tables: RunTables) -> None:
    late = tables.runs["run"] <= 2
    (arm,) = dissemination([with_runs(tables, voided=late)], "push")
    assert arm.blocks() == ("push N=8: 10% of 20 voided, more than 5% allows no verdict",)
    reasons = late.map({True: "tick lateness", False: ""})
    (arm,) = dissemination([with_runs(tables, voided=late, reasons=reasons)], "push")
    assert arm.blocks() == ("push N=8: 10% of 20 voided, e.g. tick lateness",)


def test_too_few_runs_block() -> None:
    (arm,) = dissemination([synthetic.latency((8,), 5)], "push")
    assert "5 healthy runs, fewer than 10" in arm.blocks()[0]


def test_an_unexplained_datagram_blocks_every_arm_of_its_directory(tables: RunTables) -> None:
    health = {"ok": False, "unexplained": ["h3: 1 datagram unexplained"]}
    unhealthy = dataclasses.replace(tables, health=health)
    (arm,) = dissemination([unhealthy], "push")
    assert arm.blocks() == ("h3: 1 datagram unexplained",)


def test_saturated_batches_are_no_disseminations() -> None:
    core = synthetic.core_load((16, 32), 100)
    assert dissemination([core], "push") == []
    (arm,) = saturated([core], "push")
    assert isinstance(arm.rows, pd.DataFrame)
    assert arm.sizes == [16, 32]


def test_an_option_of_the_protocols_own_is_another_arm_too(tables: RunTables) -> None:
    few, many = (with_runs(tables, options=f'{{"k": {k}}}') for k in (2, 3))
    arms = dissemination([few, many, few], "push")
    assert [(arm.options, arm.runs) for arm in arms] == [({"k": 2}, 80), ({"k": 3}, 40)]
    assert arms[0].conditions == arms[1].conditions


def test_an_arm_matches_one_that_lacks_its_options_not_one_that_differs(tables: RunTables) -> None:
    (few,) = dissemination([with_runs(tables, options='{"k": 2}')], "push")
    (many,) = dissemination([with_runs(tables, options='{"k": 3}')], "push")
    (other,) = dissemination([with_runs(tables, options='{"c": 1}')], "topology_aware")
    assert few.matches(other)
    assert not few.matches(many)


def test_what_tells_conditions_apart_is_worded() -> None:
    one = {"fan_out": 2, "timing": "free", "options": {"k": 2, "c": 1.0}}
    other = {"fan_out": 1, "timing": "sync", "options": {"k": 3, "c": 1.0}}
    assert told_apart(one, [one, other]) == "b = 2, free, k = 2"
    assert told_apart(one, [one]) == ""
