"""C1 on synthetic runs: supported when true, and each of its rules can fail."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from testbed import claims
from testbed.claims import push_latency
from testbed.judging import rules
from testbed.judging.selection import Arm, dissemination
from testbed.judging.verdict import Verdict
from testbed.simulator import reference
from tests import synthetic

SIZES = (8, 16, 32, 64, 128)
Floats = NDArray[np.float64]


def judged(**given: object) -> dict[str, Verdict]:
    tables = synthetic.latency(SIZES, 60, **given)  # type: ignore[arg-type]
    return {v.part: v for v in claims.judge(["C1"], [tables])}


@pytest.fixture(scope="module")
def true() -> dict[str, Verdict]:
    return judged(protocols={"push": synthetic.push})


def test_push_is_supported_with_both_oracles_beside_it(true: dict[str, Verdict]) -> None:
    assert {part: v.verdict for part, v in true.items()} == {
        "form": "supported",
        "check: sends": "supported",
        "check: time": "supported",
    }


def test_the_verdict_shows_prediction_interval_and_conditions(true: dict[str, Verdict]) -> None:
    form = true["form"]
    assert isinstance(form.predicted, float)
    assert form.low < form.predicted < form.high
    assert form.conditions["timing"] == "free"
    assert form.conditions["sizes"] == list(SIZES)
    assert form.runs == 300
    assert "300 of 300 runs reached every node" in form.notes


def test_a_push_that_stops_after_one_round_is_refuted() -> None:
    found = judged(protocols={"push": synthetic.push_for_one_round})
    assert found["form"].verdict == "refuted"
    assert "T is infinite" in found["form"].reasons[0]
    assert found["form"].high < 0.95
    assert found["check: time"].verdict == "inconclusive"


def test_a_source_that_sends_to_one_node_after_the_other_is_refuted() -> None:
    found = judged(protocols={"push": synthetic.linear_flood})
    assert found["form"].verdict == "refuted"
    assert found["form"].measured == pytest.approx(1.0, abs=0.05)
    assert "faster than sqrt N" in found["form"].reasons[0]


def test_a_slow_machine_fails_the_time_check_and_c1_is_not_supported() -> None:
    found = judged(protocols={"push": synthetic.push}, stretch=1.25)
    assert found["check: time"].verdict == "inconclusive"
    assert found["check: sends"].verdict == "supported"
    assert found["form"].verdict == "inconclusive"
    assert found["form"].reasons == ("check: time is not passed",)


def test_topology_aware_choice_in_place_of_push_fails_the_sends_check() -> None:
    found = judged(protocols={"push": synthetic.topology_aware})
    assert found["check: sends"].verdict == "inconclusive"
    assert found["form"].verdict == "inconclusive"


def test_a_protocol_of_ones_own_may_stand_in() -> None:
    tables = synthetic.latency(SIZES, 60, protocols={"mine": synthetic.push})
    found = claims.judge(["C1"], [tables], {"push": "mine"})
    assert found[0].verdict == "supported"
    assert found[0].conditions["protocol"] == "mine"


def test_a_stand_in_that_does_not_spread_for_ever_is_named() -> None:
    tables = synthetic.latency(SIZES, 10, retention="rounds", protocols={"mine": synthetic.push})
    (reason,) = claims.judge(["C1"], [tables], {"push": "mine"})[0].reasons
    assert reason == 'not run: no run of mine whose option retention is "forever"'


def test_four_sizes_are_not_judged() -> None:
    tables = synthetic.latency((8, 16, 32, 64), 20, protocols={"push": synthetic.push})
    found = claims.judge(["C1"], [tables])[0]
    assert found.verdict == "inconclusive"
    assert "needs 5 or more" in found.reasons[0]


def test_runs_that_stop_after_some_rounds_are_another_claim() -> None:
    tables = synthetic.latency(SIZES, 10, retention="rounds")
    assert claims.judge(["C1"], [tables])[0].reasons[0].startswith("not run")


# The rule itself, on times of a known law.


def arm_of(law: dict[int, Floats]) -> Arm:
    frames = [
        pd.DataFrame({"nodes": n, "rounds_to_all": times, "voided": False, "unhealthy": ""})
        for n, times in law.items()
    ]
    (arm,) = dissemination([synthetic.latency((8,), 10)], "push")
    return Arm("push", arm.conditions, pd.concat(frames, ignore_index=True))


def times(power: float, runs: int = 60, spread: float = 0.15) -> dict[int, Floats]:
    rng = np.random.default_rng(1)
    return {n: 2 * n**power * rng.normal(1, spread, runs) for n in SIZES}


@pytest.mark.parametrize(
    ("power", "supports", "refutes"), [(0.7, False, True), (0.45, False, False)]
)
def test_rule_on_a_power_law(power: float, supports: bool, refutes: bool) -> None:
    grown = rules.log_growth(arm_of(times(power)))
    assert (grown.p_support < 0.01) == supports
    assert (grown.p_refute < 0.01) == refutes


def test_a_power_law_below_the_bound_still_has_to_lose_against_log_n() -> None:
    law = {n: t + 8 for n, t in times(0.5).items()}
    grown = rules.log_growth(arm_of(law))
    assert grown.p_support < 0.01, "the exponent alone would support it"
    assert any("log N beats sqrt N" in doubt for doubt in grown.doubts)


def test_one_unreached_node_in_three_hundred_runs_does_no_harm() -> None:
    rng = np.random.default_rng(1)
    law = {n: 1 + np.log(n) + rng.normal(0, 0.5, 60) for n in SIZES}
    law[8][0] = math.inf
    grown = rules.log_growth(arm_of(law))
    assert grown.p_support < 0.01
    assert not grown.doubts


def test_one_run_in_ten_unreached_is_not_supported() -> None:
    rng = np.random.default_rng(1)
    law = {n: 1 + np.log(n) + rng.normal(0, 0.5, 60) for n in SIZES}
    for t in law.values():
        t[:6] = math.inf
    assert rules.log_growth(arm_of(law)).p_support > 0.05


def test_other_timings_have_no_time_check_and_no_prediction() -> None:
    tables = synthetic.latency(SIZES, 20, protocols={"push": synthetic.push}, timing="poisson")
    found = {v.part: v for v in claims.judge(["C1"], [tables])}
    assert set(found) == {"form", "check: sends"}
    assert math.isnan(float(found["form"].predicted))  # type: ignore[arg-type]


def test_draws_without_replacement_have_no_sends_check() -> None:
    tables = synthetic.latency(SIZES, 20, protocols={"push": synthetic.push}, replacement=False)
    assert "check: sends" not in {v.part for v in claims.judge(["C1"], [tables])}


def test_prediction_is_the_references_exponent() -> None:
    conditions = {"fan_out": 2, "subnets": 2, "replacement": True, "loss_ratio": 0.0}
    predicted = push_latency.predict({**conditions, "timing": "free", "sizes": SIZES})["form"]
    mean = [reference.sample(n, 2, runs=3000 // n * 10, seed=9).rounds_to_all.mean() for n in SIZES]
    direct = np.polyfit(np.log(SIZES), np.log(mean), 1)[0]
    assert predicted == pytest.approx(direct, abs=0.02)
