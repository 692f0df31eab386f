"""The plots of C15 and C16 draw what was counted, and the prediction beside it."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from testbed.plots import nak_backoff, nak_implosion, rmtp_status
from testbed.tables import RunTables
from tests import synthetic
from tests.unit.testbed.claims.test_naks import everybody, joined, run, srm, stormy


def reports() -> RunTables:
    parts = [synthetic.reporting(3, nodes, options="{}") for nodes in (8, 16)]
    return joined(parts)


def test_requests_lie_beside_their_formula() -> None:
    tables = [run(srm, losses=5), run(everybody, losses=5, suppression=False)]
    numbers = nak_implosion.table(tables)
    assert set(numbers["variant"]) == {"SRM", "without suppression"}
    alone = numbers[numbers["variant"] == "without suppression"]
    assert alone["requests"].tolist() == alone["predicted_requests"].tolist() == [5, 11, 23]
    figure = nak_implosion.draw(tables)
    assert figure is not None and len(figure.axes) == 2


def test_requests_over_time_are_those_of_a_loss() -> None:
    tables = [
        run(srm, (16,), losses=4, d1=60.0),
        run(stormy, (16,), losses=4, d1=60.0, backoff=False),
    ]
    numbers = nak_backoff.table(tables)
    storm = numbers[numbers["variant"] == "without backoff"]
    assert storm["requests"].sum() * nak_backoff.BIN == pytest.approx(15 * 8, rel=0.2)
    assert nak_backoff.draw(tables) is not None


def test_one_variant_alone_is_no_comparison() -> None:
    assert nak_backoff.draw([run(srm, (16,), losses=4, d1=60.0)]) is None


def test_status_is_drawn_in_the_network_and_at_the_source() -> None:
    numbers = rmtp_status.table([reports()])
    assert numbers["status_per_message"].tolist() == [7, 15]
    assert numbers["source_status_per_message"].tolist() == [3, 3]
    assert numbers["predicted_source_status_per_message"].tolist() == [4, 8]
    assert rmtp_status.draw([reports()]) is not None


def test_voided_runs_are_not_drawn() -> None:
    tables = reports()
    voided = dataclasses.replace(tables, runs=tables.runs.assign(voided=True))
    assert rmtp_status.draw([voided]) is None
    lost = run(srm, losses=4)
    nothing = dataclasses.replace(lost, runs=pd.DataFrame(lost.runs.assign(voided=True)))
    assert nak_implosion.draw([nothing]) is None
