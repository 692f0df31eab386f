"""C11 on synthetic counts: supported when true, and each of its rules can fail."""

from __future__ import annotations

import dataclasses

import pytest

from testbed import claims
from testbed.judging.verdict import Verdict
from tests import synthetic


def judged(rounds: int = 100, **given: object) -> dict[str, Verdict]:
    tables = synthetic.core_load(rounds=rounds, **given)  # type: ignore[arg-type]
    return {v.part: v for v in claims.judge(["C11"], [tables])}


def test_uniform_choice_is_supported_in_form_and_constant() -> None:
    found = judged()
    assert {part: v.verdict for part, v in found.items()} == {
        "form": "supported",
        "constant": "supported",
    }
    assert found["form"].predicted == pytest.approx(0.979, abs=0.001)
    assert found["constant"].predicted == 1.0


def test_contacts_to_oneself_refute_neither_but_leave_the_constant_unsupported() -> None:
    found = judged(rounds=300, chances={"push": lambda n: 0.5})
    assert found["form"].verdict == "supported"
    assert found["constant"].measured == pytest.approx(1 - 1 / 80, abs=0.01)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_tenth_more_or_less_refutes_the_constant_alone(factor: float) -> None:
    found = judged(chances={"push": lambda n: factor * synthetic.uniform_chance(n)})
    assert found["constant"].verdict == "refuted"
    assert found["form"].verdict == "supported"


@pytest.mark.parametrize(
    "chance", [synthetic.aware_chance, lambda n: 0.5 / n**0.25, lambda n: 0.4 * (n / 256) ** 0.3]
)
def test_another_power_of_n_refutes_the_form(chance: object) -> None:
    assert judged(rounds=400, chances={"push": chance})["form"].verdict == "refuted"


def test_a_few_rounds_are_inconclusive() -> None:
    tables = synthetic.core_load(rounds=1, sizes=(2, 4, 8, 16, 32), fan_out=1)
    rows = tables.batches.groupby("cell").head(1).assign(rounds=0.1)
    rows["core_packets"] = (rows["core_packets"] * 0.1).astype(int)
    found = claims.judge(["C11"], [dataclasses.replace(tables, batches=rows)])
    assert {v.part: v.verdict for v in found}["constant"] == "inconclusive"


def test_voided_batches_block_both_parts() -> None:
    tables = synthetic.core_load(rounds=100)
    late = tables.batches.assign(voided=tables.batches["cell"] == 0)
    found = claims.judge(["C11"], [dataclasses.replace(tables, batches=late)])
    assert {v.verdict for v in found} == {"inconclusive"}
    assert "push N=16: 100% of 10 voided" in found[0].reasons[0]


def test_four_sizes_are_not_judged() -> None:
    found = judged(sizes=(16, 32, 64, 128))
    assert {v.verdict for v in found.values()} == {"inconclusive"}
