"""docs/claims.md says what the claim files register, and keeps its verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed import claims, claims_page
from testbed.judging.engines import Engines


def test_the_page_is_what_the_claim_files_register() -> None:
    page = claims_page.PAGE.read_text(encoding="utf-8")
    assert page.partition(claims_page.VERDICTS)[0] == claims_page.registered(), "run `make docs`"


def test_the_page_has_every_claim_with_every_part() -> None:
    text = claims_page.registered()
    for name in claims.names():
        claim = claims.load(name).CLAIM
        assert f"## {claim.id}: {claim.title}\n" in text
        assert all(f"| {part} | " in text for part in claim.parts)


def test_verdicts_are_taken_from_a_run_and_kept_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_page, "PAGE", tmp_path / "claims.md")
    judged = claims.judge(["C4"], [], None, Engines(factor=0.1)) + claims.judge(["C2"], [])
    rows = [row.row() for row in judged]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "verdicts.json").write_text(json.dumps({"verdicts": rows}))
    claims_page.main([str(tmp_path / "run")])
    written = claims_page.PAGE.read_text(encoding="utf-8")
    assert (
        "| C4 | figures |  | 0.003422 | 0.003422 [0.003422, 0.003422] |  | supported |" in written
    )
    assert written.count("| not run |") == 1
    claims_page.main([])
    assert claims_page.PAGE.read_text(encoding="utf-8") == written


def test_a_claim_judged_twice_is_taken_from_the_last_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_page, "PAGE", tmp_path / "claims.md")
    judged = claims.judge(["C4", "C3"], [], None, Engines(factor=0.1))
    for run, rows in (("old", judged), ("new", [row for row in judged if row.claim == "C3"])):
        (tmp_path / run).mkdir()
        document = {"verdicts": [row.row() for row in rows]}
        (tmp_path / run / "verdicts.json").write_text(json.dumps(document))
    assert claims_page.main([str(tmp_path / "old"), str(tmp_path / "new")]) == 0
    written = claims_page.PAGE.read_text(encoding="utf-8")
    assert "- new: C3\n- old: C4\n" in written
    assert written.count("| C3 | bound |") == 1
