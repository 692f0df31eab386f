"""Notes of protocols are found in the tables by their names, and metrics of buffers count them."""

from __future__ import annotations

from math import isnan

import numpy as np
import pandas as pd
import pytest

from agents.parts.buffer import AGE_AT_LOSS, DUPLICATES, INVERSIONS
from testbed import collector, metrics
from testbed.measures import notes
from testbed.simulator.recorder import NOTE, Recorder, note
from tests.synthetic import noted

NOTED = ((AGE_AT_LOSS, 4.0), (AGE_AT_LOSS, 7.0), (INVERSIONS, 0.0), (INVERSIONS, 3.0), ("x", 9.0))


def test_a_note_of_a_trace_is_found_by_its_name_with_host_and_value() -> None:
    recorder = Recorder(run=1)
    for name, value in NOTED:
        recorder.flat.extend((5, 2, NOTE, -1, 0, note(name, value)))
    events = collector.frame(*recorder.finish(), pd.Series([0], index=[1]))
    found = notes.named(events, AGE_AT_LOSS)
    assert found[["run", "host", "value"]].to_numpy().tolist() == [[1, 2, 4.0], [1, 2, 7.0]]


def test_a_name_that_only_begins_alike_is_another() -> None:
    assert notes.named(noted(("age_at_loss_too", 1.0)).events, AGE_AT_LOSS).empty


@pytest.mark.parametrize(("name", "value"), [("age_at_loss", 5.5), ("priority_inversions", 1.5)])
def test_metrics_of_buffers_are_means_over_their_notes(name: str, value: float) -> None:
    assert metrics.load(name).compute(noted(*NOTED))[1] == value


@pytest.mark.parametrize("name", ["age_at_loss", "priority_inversions"])
def test_a_protocol_without_a_buffer_has_none_of_them(name: str) -> None:
    assert isnan(metrics.load(name).compute(noted())[1])


def test_rumours_that_came_again_in_bundles_are_duplicates() -> None:
    load = metrics.load("duplicates_per_message")
    without = load.compute(noted(*NOTED))
    known = load.compute(noted((DUPLICATES, 4.0), (DUPLICATES, 2.0)))
    assert np.isfinite(without[1])
    assert known[1] - without[1] == 6 / 3
