"""Status messages are counted while the source multicasts, and at the source by themselves."""

from __future__ import annotations

import pytest

from testbed import metrics
from tests import synthetic


@pytest.mark.parametrize(("name", "value"), [("status_", 7.0), ("source_status_", 3.0)])
def test_what_comes_before_the_first_and_after_the_last_is_left_out(
    name: str, value: float
) -> None:
    values = metrics.load(f"{name}per_message").compute(synthetic.reporting(nodes=8))
    assert values.tolist() == [value, value]


def test_one_multicast_alone_has_no_span_to_count_in() -> None:
    values = metrics.load("status_per_message").compute(synthetic.reporting(messages=1))
    assert values.isna().all()


def test_other_protocols_have_none() -> None:
    assert metrics.load("status_per_message").compute(synthetic.recovery()).isna().all()
