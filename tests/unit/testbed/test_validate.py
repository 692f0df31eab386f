"""Validations that need no network."""

from __future__ import annotations

import json
from pathlib import Path

from testbed.outcome import Outcome
from testbed.progress import Progress
from testbed.validate import validate


class Counted(Progress):
    def __init__(self) -> None:
        self.expected, self.done = 0.0, 0.0

    def expect(self, seconds: float) -> None:
        self.expected += seconds

    def advance(self, seconds: float) -> None:
        self.done += seconds


def judged(folder: Path, seed: int = 3) -> Outcome:
    return validate(["C4", "C13", "C16"], folder=folder, progress=Progress(), seed=seed)


def test_a_validation_by_the_engines_lists_what_was_drawn(tmp_path: Path) -> None:
    outcome = judged(tmp_path)
    manifest = json.loads((outcome.run_dir / "manifest.json").read_text())
    assert {row["engine"] for row in manifest["engines"]} == {"counts", "srm_star"}
    written = json.loads((outcome.run_dir / "verdicts.json").read_text())["verdicts"]
    assert [row["claim"] for row in written].count("C13") == 1


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    rows = [[row.row() for row in judged(tmp_path, seed).verdicts] for seed in (3, 3, 4)]
    assert rows[0] == rows[1] != rows[2]


def test_progress_is_told_what_was_expected(tmp_path: Path) -> None:
    counted = Counted()
    validate(["C4", "C16"], folder=tmp_path, progress=counted, seed=1)
    assert counted.done == counted.expected > 0
