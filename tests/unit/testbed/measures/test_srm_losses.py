"""What a loss costs is counted by loss, in delays of the network."""

from __future__ import annotations

import numpy as np
import pytest

from testbed import metrics
from testbed.measures.srm_losses import losses, most_within
from tests import synthetic

TWO = ((3, (2.0, 2.5, 3.5), 1), (1, (2.1,), 2))


def test_a_row_a_loss_and_none_for_what_arrived() -> None:
    found = losses(synthetic.recovery([TWO]))
    assert found["sequence"].tolist() == [2, 3]
    assert found["missed"].tolist() == [3, 1]
    assert found["requests"].tolist() == [3, 1]
    assert found["repairs"].tolist() == [1, 2]
    assert found["peak"].tolist() == [2, 1]
    assert found["delay"].tolist() == [2.0, 2.1]


def test_requests_after_a_backoff_are_not_among_the_first() -> None:
    tables = synthetic.recovery([TWO])
    events = tables.events
    third = (events["type"] == 0x32) & (events["host"] == 3)
    events.loc[third, "round"] = 1
    found = losses(tables)
    assert found["requests"].tolist() == [2, 1]


def test_requests_of_later_windows_are_counted_by_themselves() -> None:
    found = losses(synthetic.recovery([((3, (2.0, 13.9, 14.1, 20.0), 1),)]))
    assert found["late"].tolist() == [2]


def test_other_protocols_have_no_losses() -> None:
    assert losses(synthetic.latency((8,), 2)).empty


@pytest.mark.parametrize(("stretch", "most"), [(0, 1), (4, 1), (5, 2), (15, 3), (100, 4)])
def test_the_peak_is_the_most_in_any_stretch(stretch: float, most: int) -> None:
    assert most_within(np.array([0, 30, 40, 45]), stretch) == most


@pytest.mark.parametrize(
    ("name", "value"),
    [("requests_per_loss", 2), ("repairs_per_loss", 1.5), ("request_peak", 1.5)],
)
def test_a_run_has_the_mean_over_its_losses(name: str, value: float) -> None:
    values = metrics.load(name).compute(synthetic.recovery([TWO, ()]))
    assert values.tolist()[:1] == [value] and np.isnan(values.tolist()[1])
