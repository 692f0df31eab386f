"""What a reader is shown of verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import claims
from testbed.judging.engines import Engines
from testbed.judging.verdict import Verdict
from testbed.outcome import Outcome
from testbed.tables import CELL


def shown(verdicts: list[Verdict], capsys: pytest.CaptureFixture[str]) -> str:
    health = {"ok": True, "reasons": []}
    Outcome(Path("results"), "validation", 1, health, [], verdicts, brief=True).show()
    return " ".join(capsys.readouterr().out.split())


def test_rows_of_one_part_name_what_tells_them_apart(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(claims.judge(["C2"], [], None, Engines()), capsys)
    assert "C2 constant (b = 1): the constant of the exponent is 2.4" in text
    assert "C2 constant (b = 2): the constant of the exponent is 2.8" in text
    assert "free (" not in text  # the only one of its kind


def test_an_exact_number_has_no_interval(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(claims.judge(["C4"], [], None, Engines(factor=0.1)), capsys)
    assert "C4 figures 0.00342 0.00342 supported" in text


def test_a_claim_that_was_not_run_is_one_line_and_a_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    left_out = claims.experiments()["C13"]
    text = shown(claims.judge(["C13"], [], None, Engines(), left_out=left_out), capsys)
    assert text.count("not run") == 2
    assert "C13 all: not run: its runs on hosts take longer than this: ack_implosion" in text


def summary_row(**values: object) -> dict[str, object]:
    about = {"protocol": "push", "nodes": 8, "loss_ratio": 0.3, "options": {}, "fan_out": 1}
    return {**dict.fromkeys(CELL, "same"), **about, "runs": 20, "voided": 0, **values}


def test_cells_are_told_apart_and_means_have_their_half_width(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mean = {"mean": 5.123, "sd": 1.0, "low": 4.891, "high": 5.355}
    rows = [summary_row(rounds_to_all=mean), summary_row(fan_out=2, voided=3, traffic=mean)]
    Outcome(Path("results"), "latency", 1, {"ok": True, "reasons": []}, rows).show()
    first, second = [line.split() for line in capsys.readouterr().out.splitlines() if "(b" in line]
    assert first == ["push", "(b", "=", "1)", "8", "0.3", "20", "5.1±0.2"]
    assert second == ["push", "(b", "=", "2)", "8", "0.3", "17", "of", "20", "5.1±0.2"]
