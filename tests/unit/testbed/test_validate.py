"""Validations that need no network."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from testbed import claims
from testbed.judging.engines import Engines
from testbed.judging.verdict import NOT_RUN, SUPPORTED
from testbed.outcome import Outcome
from testbed.progress import Progress
from testbed.validate import validate
from tests import synthetic


class Counted(Progress):
    def __init__(self) -> None:
        self.expected, self.done = 0.0, 0.0

    def expect(self, seconds: float) -> None:
        self.expected += seconds

    def advance(self, seconds: float) -> None:
        self.done += seconds


def judged(folder: Path, seed: int = 3) -> Outcome:
    return validate(
        ["C4", "C13", "C16"], folder=folder, progress=Progress(), variant="quick", seed=seed
    )


def test_a_validation_by_the_engines_lists_what_was_drawn(tmp_path: Path) -> None:
    outcome = judged(tmp_path)
    manifest = json.loads((outcome.run_dir / "manifest.json").read_text())
    assert {row["engine"] for row in manifest["engines"]} == {"counts", "srm_star"}
    written = json.loads((outcome.run_dir / "verdicts.json").read_text())["verdicts"]
    assert [row["claim"] for row in written].count("C13") == 1


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    rows = [[row.row() for row in judged(tmp_path, seed).verdicts] for seed in (3, 3, 4)]
    assert rows[0] == rows[1] != rows[2]


def test_claims_judged_in_processes_of_their_own_find_what_they_find_in_one(
    tmp_path: Path,
) -> None:
    rows = claims.judge(["C4", "C13", "C16"], [], None, Engines(3), left_out=["ack_implosion"])
    apart = {(row.claim, row.part): row for row in judged(tmp_path).verdicts}
    together = {(row.claim, row.part): row for row in rows if row.evidence != "emulated"}
    assert together and together == {key: apart[key] for key in together}


def test_what_only_a_longer_validation_runs_is_no_failure_of_a_short_one() -> None:
    (row,) = claims.judge(["C1"], [], left_out=["latency"])
    assert row.verdict == NOT_RUN
    assert "take longer" in row.reasons[0]
    loads = synthetic.core_load()
    rows = claims.judge(["C12"], [loads], left_out=["latency"])
    found = {row.part: row.verdict for row in rows}
    assert found == {"load: constant": SUPPORTED, "time: form": NOT_RUN, "time: constant": NOT_RUN}


def test_a_claim_sees_the_runs_of_its_own_experiments_alone() -> None:
    own, other = (
        dataclasses.replace(
            synthetic.latency(repeats=40, seed=seed), manifest={"experiment": {"name": name}}
        )
        for seed, name in enumerate(("latency", "another"))
    )
    rows = claims.judge(["C1"], [own, other])
    assert {row.runs for row in rows} == {5 * 40}
    assert {row.runs for row in claims.judge(["C1"], [other])} == {5 * 40}


def test_progress_is_told_what_was_expected(tmp_path: Path) -> None:
    counted = Counted()
    validate(["C4", "C16"], folder=tmp_path, progress=counted, variant="quick", seed=1)
    assert counted.done == counted.expected > 0
