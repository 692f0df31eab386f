"""The fidelity gate on small made-up tables."""

from __future__ import annotations

import math
from errno import EAGAIN

import pandas as pd
import pytest

from agents.wire import Reason
from testbed import health

ON_TIME = dict.fromkeys(health.GATES, 0.001)


def events(*rows: tuple[int, str, float], time_ns: int = 0) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["run", "event", "value"])
    return frame.assign(time_ns=time_ns, host=0, reason=0)


def runs(*numbers: int, round_s: float = 0.5) -> pd.DataFrame:
    cell = {"cell": 0, "protocol": "push", "nodes": 16, "loss_ratio": 0.0}
    return pd.DataFrame({"run": numbers, **cell, "round_s": round_s, "reasons": ""})


@pytest.mark.parametrize("kind", ["tick", "receive", "duplicate", "start"])
def test_a_run_is_voided_when_p99_reaches_a_tenth_of_the_round(kind: str) -> None:
    on_time = [(1, "tick", 1e6)] * 200
    late = [(1, kind, 0.0500e9)] * 10
    judged = health.void_runs(runs(1), events(*on_time, *late))
    assert judged["voided"].tolist() == [True]
    assert judged["reasons"][0].endswith("50 ms late at p99, limit 50 ms")


def test_one_late_tick_in_two_hundred_voids_nothing() -> None:
    ticks = [(1, "tick", 1e6)] * 199 + [(1, "tick", 0.4e9)]
    assert not health.void_runs(runs(1), events(*ticks))["voided"].any()


def test_idle_receipts_before_a_stream_do_not_cover_for_late_ones_in_it() -> None:
    idle = events(*[(1, "receive", 0.0)] * 5000, time_ns=-1)
    late = events(*[(1, "receive", 0.1e9)] * 10)
    judged = health.void_runs(runs(1), pd.concat([idle, late]))
    assert judged["reasons"].tolist() == ["receipts 100 ms late at p99, limit 50 ms"]


def test_a_late_start_voids_whenever_it_is() -> None:
    start = events((1, "start", 0.1e9), time_ns=-1)
    judged = health.void_runs(runs(1), pd.concat([start, events((1, "tick", 0.0))]))
    assert judged["reasons"].tolist() == ["starts 100 ms late at p99, limit 50 ms"]


def test_lateness_of_one_run_does_not_void_another() -> None:
    judged = health.void_runs(runs(1, 2), events((1, "tick", 0.1e9), (2, "tick", 1e6)))
    assert judged["voided"].tolist() == [True, False]


def test_a_run_without_a_round_and_a_receipt_is_voided() -> None:
    judged = health.void_runs(runs(1, 2, 3), events((1, "tick", 1e6), (3, "receive", 1e6)))
    reasons = judged["reasons"].tolist()
    assert reasons == ["", "neither a round nor a receipt was recorded", ""]


def test_a_reason_given_before_voids_a_run_that_was_on_time() -> None:
    given = runs(1).assign(reasons="the agent of h3 died (SIGKILL)")
    judged = health.void_runs(given, events((1, "tick", 1e6)))
    assert judged["voided"].all()
    assert judged["reasons"][0] == "the agent of h3 died (SIGKILL)"


@pytest.mark.parametrize(("voided", "ok"), [(0, True), (1, True), (2, False)])
def test_a_cell_is_not_ok_above_five_percent_of_voided_runs(voided: int, ok: bool) -> None:
    table = runs(*range(20)).assign(**ON_TIME)
    table["voided"] = table["run"] < voided
    table["reasons"] = ["late" if each else "" for each in table["voided"]]
    summary = health.summarize(table, [], {})
    assert summary["ok"] is ok
    assert summary["voided"] == voided


def test_an_unexplained_datagram_makes_the_whole_not_ok() -> None:
    table = runs(1).assign(**ON_TIME, voided=False)
    summary = health.summarize(table, ["r1: 3 datagrams vanished"], {})
    assert summary["ok"] is False
    assert summary["reasons"] == ["r1: 3 datagrams vanished"]


def test_what_voids_all_runs_of_a_network_is_said_once() -> None:
    table = pd.concat([runs(1), runs(2).assign(cell=1)]).assign(**ON_TIME, voided=True)
    table["reasons"] = ["r1: 3 datagrams vanished", f"{LATE}; r1: 3 datagrams vanished"]
    summary = health.summarize(table, ["star of 16: r1: 3 datagrams vanished"], {})
    assert summary["reasons"] == ["star of 16: r1: 3 datagrams vanished"]
    assert summary["voided"] == 2


def test_pressure_is_a_difference_of_totals() -> None:
    delta = health.Pressure(5.0, 2.5).since(health.Pressure(4.0, 2.0))
    assert delta == {"cpu_waiting_s": 1.0, "cpu_steal_s": 0.5}


def test_pressure_of_this_machine_can_be_read() -> None:
    now = health.Pressure.now()
    assert now.steal_s >= 0
    assert math.isnan(now.waiting_s) or now.waiting_s >= 0


def test_a_protocol_that_fails_is_to_be_mended() -> None:
    why = "the agent of h1 failed: KeyError: 3"
    table = runs(0).assign(**ON_TIME, voided=True, reasons=why)
    (reason,) = health.summarize(table, [], {})["reasons"]
    assert "KeyError: 3; the remedy is to mend the protocol" in reason
    assert "longer round" not in reason


def test_sends_that_the_sender_s_kernel_refused_void_their_run_alone() -> None:
    """An EAGAIN is a loss that no gate but this one sees: nothing was sent, so nothing vanished."""
    refused = events(*[(1, "drop", EAGAIN)] * 3, (2, "drop", 0.0), (0, "drop", EAGAIN))
    refused["reason"] = [Reason.send_error] * 3 + [Reason.corrupt, Reason.send_error]
    ticks = events((1, "tick", 1e6), (2, "tick", 1e6))
    judged = health.void_runs(runs(1, 2), pd.concat([ticks, refused.assign(host=5)]))
    assert judged["reasons"].tolist() == ["3 sends refused, mostly at node 5 (EAGAIN)", ""]
    assert not health.spoilt(health.summarize(judged, [], {}), judged), "it is no lateness"


def test_a_step_that_came_late_spoils_its_runs_as_all_lateness_does() -> None:
    reason = health.late("step kill of fault 0", 0.2, 0.5, at="")
    assert reason == "step kill of fault 0 200 ms late, limit 50 ms"
    assert health.late("packets", 0.04999, 0.5) == "", "below a tenth of the round"
    judged = health.void_runs(runs(1).assign(reasons=reason), events((1, "tick", 1e9)))
    assert health.spoilt(health.summarize(judged, [], {}), judged)


LATE = "rounds 218 ms late at p99, limit 120 ms; receipts 265 ms late at p99, limit 120 ms"


@pytest.mark.parametrize(
    ("voided", "reasons", "unexplained", "spoilt"),
    [
        (2, LATE, [], True),
        (2, "starts 60 ms late at p99, limit 50 ms", [], True),
        (1, LATE, [], False),  # few enough: the cell is judged without it
        (2, "the agent of h3 died (SIGKILL)", [], False),
        (2, f"the agent of h3 died (SIGKILL); {LATE}", [], False),
        (2, LATE, ["r1: 3 datagrams vanished"], False),
    ],
)
def test_only_lateness_alone_spoils_runs(
    voided: int, reasons: str, unexplained: list[str], spoilt: bool
) -> None:
    table = runs(*range(20)).assign(**ON_TIME)
    table["voided"] = table["run"] < voided
    table["reasons"] = [reasons if each else "" for each in table["voided"]]
    assert health.spoilt(health.summarize(table, unexplained, {}), table) is spoilt


def test_reasons_are_recognised_as_they_are_worded() -> None:
    judged = health.void_runs(runs(1), events((1, "tick", 1e9), (1, "receive", 1e9)))
    assert health.spoilt(health.summarize(judged, [], {}), judged)
