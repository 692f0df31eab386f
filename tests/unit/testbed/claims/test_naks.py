"""C15 and C16 on runs: SRM as it is gives the registered verdicts, other laws do not."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest

from testbed import claims, experiment, results, simulation
from testbed.claims.nak_storm import relieved
from testbed.judging import naks
from testbed.judging.verdict import INCONCLUSIVE, REFUTED, SUPPORTED, VERIFIED, Verdict
from testbed.progress import Progress
from testbed.tables import RunTables
from testbed.theory import srm_star
from tests import synthetic

OPTIONS = {
    "timers": "fixed",
    "c1": 2.0,
    "c2": 2.0,
    "d1": 1.0,
    "log_repair": False,
    "backoff": True,
    "suppression": True,
    "randomness": True,
}
SIZES = (6, 12, 24)
Times = Callable[[int, Random], list[float]]


def srm(nodes: int, rng: Random) -> list[float]:
    """When a star asks, in delays: timers on [2, 4], silenced one delay after the first."""
    timers = sorted(2 + 2 * rng.random() for _ in range(nodes - 1))
    return [timer for timer in timers if timer <= timers[0] + 1]


def everybody(nodes: int, rng: Random) -> list[float]:
    return sorted(2 + 2 * rng.random() for _ in range(nodes - 1))


def together(nodes: int, rng: Random) -> list[float]:
    return [2.0] * (nodes - 1)


def hesitant(nodes: int, rng: Random) -> list[float]:
    """As many as SRM, a fifth later."""
    return [1.2 * timer for timer in srm(nodes, rng)]


def half_spread(nodes: int, rng: Random) -> list[float]:
    """Timers from the first half of their window."""
    return sorted(2 + rng.random() for _ in range(nodes - 1))


def few(nodes: int, rng: Random) -> list[float]:
    """As many as SRM at 12 nodes, and growing like the square root of the group."""
    return srm(12, rng)[: round(6.5 * sqrt((nodes - 1) / 11) + rng.uniform(-1, 1))]


def backed_off(nodes: int, rng: Random) -> list[float]:
    """First requests, and in windows of 8 and 16 delays afterwards."""
    late = [8 + 16 * rng.random() for _ in range(nodes // 4)]
    return srm(nodes, rng) + late + [24 + 32 * rng.random() for _ in range(nodes // 8)]


def stormy(nodes: int, rng: Random) -> list[float]:
    return [at + 4 * window for window in range(15) for at in srm(nodes, rng)]


def run(times: Times, sizes: Iterable[int] = SIZES, losses: int = 40, **off: Any) -> RunTables:
    """Two runs a size with some losses each, whatever the size."""
    rng = Random(3)
    parts = []
    for nodes in sizes:
        drawn = [[(nodes - 1, times(nodes, rng), 1) for _ in range(losses)] for _ in range(2)]
        parts.append(
            synthetic.recovery(
                drawn, nodes, options=json.dumps({**OPTIONS, **off}), fan_out=math.nan
            )
        )
    return joined(parts)


def joined(parts: Iterable[RunTables]) -> RunTables:
    """One run directory of several, its runs numbered through."""
    runs, events = [], []
    for place, part in enumerate(parts):
        runs.append(part.runs.assign(run=part.runs["run"] + 100 * place, cell=place))
        events.append(part.events.assign(run=part.events["run"] + 100 * place))
    return dataclasses.replace(
        synthetic.tables(),
        runs=pd.concat(runs, ignore_index=True),
        events=pd.concat(events, ignore_index=True),
    )


def judged(claim: str, *tables: RunTables) -> dict[str, Verdict]:
    """The rows on runs: those of the engines are left out."""
    return {row.part: row for row in claims.judge([claim], tables) if row.part != "all"}


def test_requests_as_of_the_formula_support_that_they_grow_with_the_group() -> None:
    row = judged("C15", run(srm))["requests: each size"]
    assert row.verdict == SUPPORTED and row.predicted == 1.0
    assert "N=24" in row.notes[0]


@pytest.mark.parametrize("law", [few, everybody])
def test_another_law_refutes_it(law: Times) -> None:
    assert judged("C15", run(law))["requests: each size"].verdict == REFUTED


def test_one_size_is_no_growth() -> None:
    row = judged("C15", run(srm, sizes=(24,)))["requests: each size"]
    assert row.verdict == INCONCLUSIVE and "needs 3 or more" in row.reasons[0]


def test_runs_with_something_switched_off_are_no_runs_of_the_claim() -> None:
    row = judged("C15", run(everybody, suppression=False))["requests: each size"]
    assert row.reasons[0].startswith("not run: ")


def lossy(share: Callable[[int], float], **columns: Any) -> RunTables:
    """Streams of which that share of the multicasts, evenly spread, is lost by one member, asked
    for once and repaired."""
    parts = []
    for nodes in (8, 16, 32):
        chance = share(nodes)
        lost = [int((k + 1) * chance) > int(k * chance) for k in range(80)]
        drawn = [(1, (2.0,), 1) if each else (0, (), 0) for each in lost]
        given = {"options": json.dumps(OPTIONS), "loss_ratio": 0.1, **columns}
        parts.append(synthetic.recovery([drawn] * 3, nodes, **given))
    return joined(parts)


def provoked(nodes: int) -> float:
    return srm_star.provoked(nodes, 0.1)


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(provoked, SUPPORTED), (lambda nodes: provoked(16), REFUTED)],
)
def test_the_share_of_multicasts_that_are_asked_for_grows_with_the_group(
    share: Callable[[int], float], verdict: str
) -> None:
    row = judged("C15", lossy(share))["control"]
    assert row.verdict == verdict and row.predicted == 1.0
    assert "all members, per multicast: N=8: " in row.notes[1]


def test_losses_that_were_injected_are_none_of_chance() -> None:
    row = judged("C15", lossy(provoked, faults="loss"))["control"]
    assert row.reasons[0].startswith("not run: ")


@pytest.mark.parametrize(("power", "verdict"), [(1.0, SUPPORTED), (0.5, REFUTED)])
def test_status_messages_grow_with_the_group(power: float, verdict: str) -> None:
    parts = [
        synthetic.reporting(12, 1 + max(3, round((nodes - 1) ** power)), options="{}")
        for nodes in (8, 16, 32, 64)
    ]
    for part, nodes in zip(parts, (8, 16, 32, 64), strict=True):
        part.runs["nodes"] = nodes
    row = judged("C15", joined(parts))["RMTP"]
    assert row.verdict == verdict
    assert "at the source: N=8: 3.0" in row.notes[1]


def test_switched_off_one_by_one_each_does_what_the_claim_says() -> None:
    rows = judged(
        "C16",
        run(srm),
        run(together, randomness=False),
        run(everybody, suppression=False),
        run(backed_off, sizes=(16,), d1=60.0),
        run(stormy, sizes=(16,), d1=60.0, backoff=False),
    )
    assert len(rows) == 5
    assert {row.verdict for row in rows.values()} == {SUPPORTED}, rows


@pytest.mark.parametrize(
    ("part", "tables"),
    [
        ("storm: runs", [run(srm, randomness=False)]),
        ("random delays: runs", [run(together)]),
        ("delay: runs", [run(together)]),
        ("delay: runs", [run(hesitant)]),
        ("delay: runs", [run(half_spread)]),
        ("suppression: runs", [run(srm), run(srm, suppression=False)]),
        (
            "backoff: runs",
            [run(stormy, (16,), d1=60.0), run(stormy, (16,), d1=60.0, backoff=False)],
        ),
    ],
)
def test_a_switch_without_its_effect_refutes_the_part(part: str, tables: list[RunTables]) -> None:
    assert judged("C16", *tables)[part].verdict == REFUTED


def test_the_worked_number_of_backoff() -> None:
    assert relieved(16) == pytest.approx(0.047, abs=5e-4)


def test_a_voided_run_is_not_judged() -> None:
    tables = run(srm)
    tables.runs["voided"] = True
    rows = judged("C16", tables)
    assert rows["random delays: runs"].verdict == INCONCLUSIVE


def test_the_experiment_simulated_loses_and_backs_off_as_the_claim_says(tmp_path: Path) -> None:
    """A stream under faults: four losses a run that all receivers share."""
    loaded = experiment.load("nak_backoff", settings=["nodes=12", "repeats=4"])
    path = simulation.simulate(loaded, seed=1, folder=tmp_path, progress=Progress())
    tables = results.load(path)
    assert tables.manifest["timelines"]
    arms = naks.lost_by_all([tables])
    assert [len(arm.healthy) for arm in arms] == [16, 16]
    assert judged("C16", tables)["backoff: runs"].verdict == VERIFIED
