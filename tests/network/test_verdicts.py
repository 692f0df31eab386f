"""From real packets to verdicts: wrong protocols are refuted, starved runs are not judged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed import claims, experiment, results
from testbed.emulation import emulate
from testbed.judging import stats
from testbed.judging.verdict import INCONCLUSIVE, REFUTED, Verdict
from testbed.metrics import per_run
from testbed.progress import Progress
from testbed.tables import RunTables

pytestmark = [pytest.mark.network, pytest.mark.in_lab]

GENTLE = ("run.round_s=1.0", "run.datagrams_per_s=1500")
"""What a machine that is busy with other things can still keep up with."""

UNIFORM = '''"""A topology-aware protocol that forgot the topology: it picks uniformly."""

from agents.parts import targets
from agents.protocols.topology_aware import LocalRumour, TopologyAware


class Forgetful(TopologyAware):
    """Draws every target from everyone."""

    MESSAGES = (LocalRumour,)

    def draw(self):
        me = range(self.view.me, self.view.me + 1)
        return targets.pick_many(self.rng, self.view.everyone, me, self.options.fan_out, True)
'''

SILENT = '''"""A push that falls silent after its first round."""

from agents.protocols.push import Push, PushRumour


class Silent(Push):
    """Sends in its first round only."""

    MESSAGES = (PushRumour,)

    def on_round(self, k, now):
        return super().on_round(k, now) if k == 1 else ()
'''


def run(
    folder: Path, name: str, *settings: str, nice: int = 0, protocol: str = "push"
) -> RunTables:
    loaded = experiment.load(name, settings=settings, protocols=[protocol])
    path = emulate(loaded, seed=1, folder=folder, progress=Progress(), nice=nice)
    return results.load(path)


def verdict_of(tables: RunTables, claim: str, part: str) -> Verdict:
    (row,) = [v for v in claims.judge([claim], [tables]) if v.part == part]
    return row


def test_a_topology_aware_that_picks_uniformly_refutes_c12(tmp_path: Path) -> None:
    wrong = tmp_path / "topology_aware.py"
    wrong.write_text(UNIFORM)
    settings = ("grid.nodes=[8,16,32,64,128]", "run.rounds=20", *GENTLE)
    tables = run(tmp_path, "core_load", *settings, protocol=str(wrong))
    row = verdict_of(tables, "C12", "load: constant")
    assert row.verdict == REFUTED, row.reasons
    assert row.measured > 100


def test_a_push_that_stops_after_one_round_refutes_c1(tmp_path: Path) -> None:
    wrong = tmp_path / "push.py"
    wrong.write_text(SILENT)
    settings = ("grid.nodes=[8,16,32,64,128]", "run.repeats=30", "run.horizon_rounds=4")
    tables = run(tmp_path, "latency", *settings, *GENTLE, protocol=str(wrong))
    row = verdict_of(tables, "C1", "form")
    assert row.verdict == REFUTED, row.reasons
    assert "reach" in row.reasons[0]


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Processes that want a processor each, all the time."""
    command = [sys.executable, "-I", "-S", "-c", "while True: pass"]
    loops = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def core_load(folder: Path, nice: int = 0) -> RunTables:
    settings = ("grid.nodes=[128]", "run.rounds=16", "run.round_s=0.5", "run.concurrent=2")
    return run(folder, "core_load", *settings, nice=nice)


def test_starved_agents_make_the_claim_inconclusive(tmp_path: Path) -> None:
    with busy_loops(4 * len(os.sched_getaffinity(0))):
        tables = core_load(tmp_path, nice=19)
    assert tables.health["ok"] is False
    row = verdict_of(tables, "C11", "constant")
    assert row.verdict == INCONCLUSIVE
    assert "voided" in " ".join(row.reasons)


def test_busy_loops_at_equal_priority_leave_the_runs_judged(tmp_path: Path) -> None:
    with busy_loops(len(os.sched_getaffinity(0))):
        tables = core_load(tmp_path)
    assert tables.health["reasons"] == []
    assert not tables.runs["voided"].any()


def rounds_to_all(folder: Path, concurrent: int, repeats: int) -> Sequence[float]:
    settings = ("grid.nodes=[16]", f"run.repeats={repeats}", f"run.concurrent={concurrent}")
    tables = run(folder, "latency", *settings, "run.round_s=0.2")
    times = per_run(tables)
    return list(times.loc[~times["voided"], "rounds_to_all"])


def test_multicasts_at_once_have_the_times_of_multicasts_alone(tmp_path: Path) -> None:
    """60 against 300 runs: a shift of half a standard deviation is found with probability 0.8."""
    alone = rounds_to_all(tmp_path / "alone", concurrent=1, repeats=60)
    together = rounds_to_all(tmp_path / "together", concurrent=20, repeats=300)
    assert len(alone) > 50 and len(together) > 250
    assert stats.same_distribution(alone, together) > 1e-3
