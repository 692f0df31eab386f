"""Which losses and multicasts of SRM a claim sees."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest

from testbed.judging.naks import lost_by_all, lost_by_chance
from tests import synthetic

TWO = ((3, (2.0, 2.5, 3.5), 1), (1, (2.1,), 2))


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
