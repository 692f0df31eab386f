"""What a loss costs is counted by loss, in delays of the network."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from testbed import metrics
from testbed.judging.naks import losses, lost_by_all, lost_by_chance, most_within
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


def test_a_claim_sees_what_every_receiver_lost() -> None:
    (arm,) = lost_by_all([synthetic.recovery([TWO, TWO])])
    assert arm.values("requests", 4).tolist() == [3, 3]
    assert arm.conditions["topology"] == "two_subnets"


def test_of_losses_by_chance_every_multicast_counts_and_every_copy_heard() -> None:
    tables = synthetic.recovery([TWO, ()], loss_ratio=0.1)
    heard = {"run": 1, "origin": 0, "sequence": 3, "event": "receive"}
    copies = pd.DataFrame([{**heard, "host": 1, "type": kind} for kind in (0x32, 0x33, 0x33, 0x31)])
    (arm,) = lost_by_chance(
        [dataclasses.replace(tables, events=pd.concat([tables.events, copies]))]
    )
    assert arm.values("asked", 4).tolist() == [0, 1, 1, 0]
    assert arm.values("heard", 4).tolist() == [0, 0, 3, 0]


@pytest.mark.parametrize(
    ("columns", "parameters"),
    [
        ({"loss_ratio": 0.0}, {}),
        ({"faults": "loss"}, {}),
        ({}, {"loss": "per_link"}),
        ({}, {"link_loss_ratio": 0.2}),
        ({}, {"core": "loss_ratio=0.2"}),
    ],
)
def test_losses_that_members_share_are_none_by_chance(
    columns: dict[str, Any], parameters: dict[str, Any]
) -> None:
    tables = synthetic.recovery([TWO], **{"loss_ratio": 0.1, **columns})
    cells = {"cells": [{"index": 0, "parameters": parameters}]}
    manifest = {"evidence": "emulated", "experiment": cells}
    assert lost_by_chance([dataclasses.replace(tables, manifest=manifest)]) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("requests_per_loss", 2), ("repairs_per_loss", 1.5), ("request_peak", 1.5)],
)
def test_a_run_has_the_mean_over_its_losses(name: str, value: float) -> None:
    values = metrics.load(name).compute(synthetic.recovery([TWO, ()]))
    assert values.tolist()[:1] == [value] and np.isnan(values.tolist()[1])
