"""C12 on synthetic runs: supported when true, and each of its rules can fail."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from testbed import claims
from testbed.judging.verdict import Verdict
from testbed.tables import RunTables
from tests import synthetic

SIZES = (8, 16, 32, 64, 128)


def judged(*tables: RunTables) -> dict[str, Verdict]:
    return {v.part: v for v in claims.judge(["C12"], list(tables))}


@pytest.fixture(scope="module")
def spread() -> RunTables:
    return synthetic.latency(SIZES, 80)


@pytest.fixture(scope="module")
def true(spread: RunTables) -> dict[str, Verdict]:
    return judged(synthetic.core_load(), spread, synthetic.latency((256,), 30))


def test_topology_aware_choice_is_supported(true: dict[str, Verdict]) -> None:
    assert {part: v.verdict for part, v in true.items()} == {
        "load: constant": "supported",
        "time: form": "supported",
        "time: constant": "supported",
    }


def test_the_load_is_predicted_as_two_b(true: dict[str, Verdict]) -> None:
    load = true["load: constant"]
    assert load.predicted == 4.0
    assert load.margin == pytest.approx((3.6, 4.4))
    assert 3.6 < load.low < load.high < 4.4


def test_the_slowdown_is_predicted_by_the_reference(true: dict[str, Verdict]) -> None:
    assert true["time: constant"].predicted == pytest.approx(1.19, abs=0.03)


def test_choosing_uniformly_refutes_the_load_and_the_slowdown() -> None:
    always = {"push": synthetic.uniform_chance, "topology_aware": synthetic.uniform_chance}
    wrong = {"push": synthetic.push, "topology_aware": synthetic.push}
    found = judged(
        synthetic.core_load(chances=always), synthetic.latency(SIZES, 120, protocols=wrong)
    )
    assert found["load: constant"].verdict == "refuted"
    assert found["load: constant"].measured > 100
    assert found["time: constant"].verdict == "refuted"


@pytest.mark.parametrize(
    "chance",
    [
        pytest.param(lambda n: 2 / n * math.log(n, 16), id="load grows like log N"),
        pytest.param(lambda n: 2 / n * (1.25 if n == 64 else 1), id="one size is off"),
        pytest.param(lambda n: 4 / n, id="twice too often outside"),
        pytest.param(lambda n: 1 / n, id="half as often outside"),
    ],
)
def test_a_load_that_is_not_two_b_at_every_size_is_refuted(chance: Callable[[int], float]) -> None:
    found = judged(synthetic.core_load(rounds=1500, chances={"topology_aware": chance}))
    assert found["load: constant"].verdict == "refuted"


def test_a_hundred_rounds_are_too_few_to_show_a_constant_load() -> None:
    found = judged(synthetic.core_load(rounds=100))["load: constant"]
    assert found.verdict == "inconclusive"
    assert "more repeats" in found.reasons[0]


def test_one_size_outside_the_interval_is_enough_to_withhold_support() -> None:
    chances = {"topology_aware": lambda n: (1.09 if n == 128 else 1.0) * 2 / n}
    assert judged(synthetic.core_load(chances=chances))["load: constant"].verdict != "supported"


def test_a_topology_aware_push_that_stops_is_refuted() -> None:
    wrong = {"push": synthetic.push, "topology_aware": synthetic.push_for_one_round}
    found = judged(synthetic.latency(SIZES, 60, protocols=wrong))
    assert found["time: form"].verdict == "refuted"
    assert found["time: constant"].verdict == "inconclusive"


def test_a_subnet_that_waits_too_long_is_refuted_in_the_constant() -> None:
    def waits(nodes: int, fan_out: int, rng: object) -> object:
        drawn = synthetic.topology_aware(nodes, fan_out, rng)  # type: ignore[arg-type]
        late = [
            t + (2.0 if host >= nodes // 2 else 0.0) for host, t in enumerate(drawn.infected_at)
        ]
        return drawn._replace(infected_at=late)

    tables = synthetic.latency(
        SIZES,
        80,
        protocols={"push": synthetic.push, "topology_aware": waits},  # type: ignore[dict-item]
    )
    assert judged(tables)["time: constant"].verdict == "refuted"


def test_without_push_there_is_no_slowdown_to_judge() -> None:
    tables = synthetic.latency(SIZES, 20, protocols={"topology_aware": synthetic.topology_aware})
    assert judged(tables)["time: constant"].reasons[0].startswith("not run: no runs of push")


def test_another_topology_is_not_judged() -> None:
    found = judged(synthetic.core_load(rounds=100, topology="hierarchy"))
    assert found["load: constant"].reasons[0].startswith("not run")


def test_the_whole_family_is_judged_together(spread: RunTables) -> None:
    alone = judged(synthetic.core_load())["load: constant"]
    together = {(v.claim, v.part): v for v in claims.judge([], [synthetic.core_load(), spread])}[
        ("C12", "load: constant")
    ]
    assert alone.level >= together.level
