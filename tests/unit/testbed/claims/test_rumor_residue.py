"""C17 on runs in free timing: the equations' fractions hold, and other rules' do not."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from testbed import claims, experiment, results, simulation
from testbed.judging.verdict import INCONCLUSIVE, REFUTED, VERIFIED, Verdict
from testbed.progress import Progress
from testbed.tables import RunTables

FREE = ("free: form", "free: constant", "free: traffic")


@cache
def runs(*settings: str) -> RunTables:
    """The experiment, simulated."""
    small = ("nodes=128", "repeats=80", "horizon_rounds=24", "linger_rounds=24")
    loaded = experiment.load("rumor_residue", settings=[*small, *settings])
    with TemporaryDirectory() as name:
        progress = Progress()
        path = simulation.simulate(loaded, seed=2, folder=Path(name), progress=progress, thin=True)
        return results.load(path)


def judged(tables: RunTables) -> dict[str, Verdict]:
    return {row.part: row for row in claims.judge(["C17"], [tables]) if row.part in FREE}


def test_the_fractions_of_the_equations_hold_in_free_timing() -> None:
    rows = judged(runs())
    assert {part: row.verdict for part, row in rows.items()} == dict.fromkeys(FREE, VERIFIED)
    assert all(row.runs == 240 for row in rows.values())


def test_spreaders_that_need_no_feedback_are_another_rule() -> None:
    """Blind spreaders are no runs of the claim, and under its name they refute it."""
    blind = runs("protocol.rumor.feedback=false")
    assert {row.verdict for row in judged(blind).values()} == {INCONCLUSIVE}
    options = blind.runs["options"].str.replace('"feedback": false', '"feedback": true')
    disguised = dataclasses.replace(blind, runs=blind.runs.assign(options=options))
    rows = judged(disguised)
    assert rows["free: constant"].verdict == rows["free: form"].verdict == REFUTED


def test_messages_that_are_no_updates_would_refute_the_traffic() -> None:
    tables = runs()
    all_of_them = tables.runs.assign(updates=tables.runs["traffic"])
    assert judged(dataclasses.replace(tables, runs=all_of_them))["free: traffic"].verdict == REFUTED


@pytest.mark.parametrize("patience", ["1", "1,2"])
def test_each_patience_is_needed(patience: str) -> None:
    tables = runs()
    kept = tables.runs["options"].str.extract(r'"k_counter": (\d)')[0].isin(patience.split(","))
    rows = judged(dataclasses.replace(tables, runs=tables.runs[kept]))
    assert {row.verdict for row in rows.values()} == {INCONCLUSIVE}
    assert "no runs of push, feedback and coin" in rows["free: form"].reasons[0]
