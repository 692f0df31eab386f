from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from testbed.theory.hits import distinct_hits, missed


@pytest.mark.parametrize(("others", "marked", "fan_out"), [(5, 2, 3), (4, 4, 2), (4, 0, 2)])
def test_hits_are_what_every_choice_of_targets_gives(
    others: int, marked: int, fan_out: int
) -> None:
    success = 0.7
    expected = np.zeros(fan_out + 1)
    choices = list(combinations(range(others), fan_out))
    for targets in choices:
        for arrived in product((True, False), repeat=fan_out):
            weight = float(np.prod([success if a else 1 - success for a in arrived]))
            hits = sum(t < marked and a for t, a in zip(targets, arrived, strict=True))
            expected[hits] += weight / len(choices)
    assert distinct_hits(others, marked, fan_out, success)[0] == pytest.approx(expected, abs=1e-14)


def test_products_stay_exact_at_the_size_of_the_internet() -> None:
    others = 2**32 - 1
    rows = distinct_hits(others, [1, others // 3, others - 1], 3)
    assert rows.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-14)
    assert rows[0, 1] == pytest.approx(3 / others, rel=1e-14)
    assert rows[2, 2] == pytest.approx(3 / others, rel=1e-14)


def test_worked_numbers_of_the_docstrings() -> None:
    assert distinct_hits(3, 2, 2)[0] == pytest.approx([0, 2 / 3, 1 / 3])
    assert missed(63, 31, 1, 0.5)[0] == pytest.approx(0.7540, abs=5e-5)


def test_repeated_targets_may_be_more_than_the_others() -> None:
    assert missed(2, 1, 5, replacement=True)[0] == pytest.approx(1 / 32)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fan_out = 4 is not within 1\.\.3"):
        distinct_hits(3, 1, 4)
    with pytest.raises(ValueError, match="marked"):
        distinct_hits(3, 4, 1)
    with pytest.raises(ValueError, match="success_ratio = nan"):
        distinct_hits(3, 1, 1, float("nan"))
