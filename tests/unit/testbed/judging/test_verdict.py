"""From findings to verdicts: levels, reasons, and what is never said."""

from __future__ import annotations

import json
import math

import pytest

from testbed.judging import verdict
from testbed.judging.stats import Estimate, Interval
from testbed.judging.verdict import Finding, settle


def finding(**given: object) -> Finding:
    base: dict[str, object] = {
        "claim": "C1",
        "part": "form",
        "statement": "it holds",
        "source": "a lecture",
        "expected": "supported",
        "measured": Estimate(1.0, 0.01),
        "margin": Interval(0.9, 1.1),
        "p_support": 1e-6,
    }
    return Finding(**{**base, **given})  # type: ignore[arg-type]


def one(**given: object) -> verdict.Verdict:
    return settle([finding(**given)], {"C1": 1})[0]


def test_a_small_p_supports() -> None:
    assert one().verdict == "supported"
    assert one().reasons == ()


def test_a_large_p_is_inconclusive_with_the_remedy() -> None:
    found = one(p_support=0.3)
    assert found.verdict == "inconclusive"
    assert "more repeats" in found.reasons[0]


def test_a_small_p_against_refutes() -> None:
    assert one(p_support=1.0, p_refute=1e-6).verdict == "refuted"


def test_a_block_forbids_both_verdicts() -> None:
    assert one(blocks=("busy machine",)).verdict == "inconclusive"
    found = one(p_support=1.0, p_refute=1e-9, blocks=("busy machine",))
    assert (found.verdict, found.reasons) == ("inconclusive", ("busy machine",))


def test_a_doubt_forbids_support_but_not_refutation() -> None:
    assert one(doubts=("a check failed",)).verdict == "inconclusive"
    assert one(p_support=1.0, p_refute=1e-9, doubts=("a check failed",)).verdict == "refuted"


def test_simulated_support_is_verified_by_the_model_only() -> None:
    assert one(evidence="simulated").verdict == "verified (model)"
    assert one(evidence="simulated", p_support=1.0, p_refute=1e-9).verdict == "refuted"


def test_a_failed_check_is_inconclusive_and_never_refuted() -> None:
    found = one(check=True, p_support=1.0, p_refute=1e-9)
    assert found.verdict == "inconclusive"
    assert "cannot support the claim" in found.reasons[0]


def test_checks_are_no_part_of_the_family() -> None:
    claims = [finding(p_support=0.04), finding(check=True, part="check", p_support=0.04)]
    assert [v.verdict for v in settle(claims, {"C1": 1})] == ["supported", "supported"]


def test_the_family_is_what_is_registered_not_what_was_run() -> None:
    assert settle([finding(p_support=0.02)], {"C1": 1})[0].verdict == "supported"
    assert settle([finding(p_support=0.02)], {"C1": 1, "C2": 2})[0].verdict == "inconclusive"


def test_claims_of_another_family_leave_the_level_alone() -> None:
    families = {"C1": "one", "C2": "another"}
    assert settle([finding(p_support=0.02)], {"C1": 1, "C2": 9}, families)[0].level == 0.9
    both = [finding(p_support=0.04), finding(claim="C2", p_support=0.04)]
    held = settle(both, {"C1": 1, "C2": 2}, families)
    assert [v.verdict for v in held] == ["supported", "inconclusive"]


def test_what_was_skipped_has_no_verdict_but_a_reason() -> None:
    found = one(skipped="no protocol", measured=None, p_support=1.0)
    assert (found.verdict, found.reasons) == ("not run", ("not run: no protocol",))


@pytest.mark.parametrize(
    ("evidence", "word"),
    [("arithmetic", "supported"), ("computed", "verified (model)"), ("emulated", "supported")],
)
def test_what_follows_from_a_model_is_verified_and_arithmetic_supported(
    evidence: str, word: str
) -> None:
    assert one(evidence=evidence).verdict == word


def test_further_conditions_enlarge_the_family() -> None:
    both = [finding(p_support=0.03), finding(p_support=0.04, conditions={"fan_out": 4})]
    assert [v.verdict for v in settle(both, {"C1": 1})] == ["inconclusive", "inconclusive"]


def test_the_interval_is_at_the_level_that_was_tested() -> None:
    estimate = Estimate(1.0, 0.05)
    found = settle([finding(measured=estimate)], {"C1": 1, "C2": 4})[0]
    assert found.level == pytest.approx(1 - 2 * 0.05 / 5)
    assert (found.low, found.high) == pytest.approx(estimate.interval(found.level))


@pytest.mark.parametrize("value", [0.93, 0.96, 1.0, 1.06, 1.2])
def test_support_means_that_the_interval_lies_within_the_margin(value: float) -> None:
    estimate = Estimate(value, 0.02)
    found = one(
        measured=estimate,
        p_support=estimate.p_within(0.9, 1.1),
        p_refute=estimate.p_outside(0.9, 1.1),
    )
    assert (found.verdict == "supported") == (found.low > 0.9 and found.high < 1.1)
    assert (found.verdict == "refuted") <= (found.low > 1.1 or found.high < 0.9)


def test_a_row_is_plain_json_without_infinities() -> None:
    row = one(margin=Interval(-math.inf, 0.4), predicted=math.nan).row()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert row["margin"] == [None, 0.4]
    assert row["predicted"] is None


def test_a_row_has_every_field_of_the_contract() -> None:
    fields = "claim part conditions statement source predicted measured low high level margin p"
    fields += " unit runs voided evidence verdict reasons expected"
    assert set(fields.split()) <= set(one().row())
