"""Lateness made by a fault is left out of the gate; all other lateness is judged."""

from __future__ import annotations

from errno import EAGAIN, ENETUNREACH

import pandas as pd

from testbed import health
from testbed.faults.excuses import Window, unexcused

MS = 1_000_000
START = 5_000 * MS


def events(*rows: tuple[int, int, str, float, float]) -> pd.DataFrame:
    """(run, host, event, time, lateness), times in ms since the start."""
    frame = pd.DataFrame(rows, columns=["run", "host", "event", "time_ns", "value"])
    return frame.assign(time_ns=frame["time_ns"] * MS, value=frame["value"] * MS, reason=0)


def runs(*numbers: int) -> pd.DataFrame:
    return pd.DataFrame({"run": list(numbers), "start_ns": START, "round_s": 0.2, "reasons": ""})


def test_what_fell_due_while_the_node_was_held_up_is_excused() -> None:
    late = events((1, 3, "tick", 900, 400), (1, 3, "receive", 900, 300), (1, 3, "tick", 905, 1))
    window = Window(3, START + 450 * MS, START + 902 * MS)
    assert unexcused(late, runs(1), {1: [window]}, {})["time_ns"].tolist() == [905 * MS]


def test_lateness_elsewhere_and_at_other_times_is_judged() -> None:
    late = events(
        (1, 3, "tick", 440, 100),  # due before the window
        (1, 3, "tick", 1000, 90),  # due after it
        (1, 4, "tick", 900, 400),  # at another node
        (2, 3, "tick", 900, 400),  # in another run
        (1, 3, "send", 700, 0),  # nothing that is gated
    )
    window = Window(3, START + 450 * MS, START + 902 * MS)
    assert len(unexcused(late, runs(1, 2), {1: [window]}, {})) == 5


def test_a_run_with_a_held_node_is_voided_by_real_lateness_only() -> None:
    held = [(1, 3, "tick", 900.0 + k, 400.0) for k in range(30)]
    good = [(1, node, "tick", 200.0 * k, 1.0) for node in range(4) for k in range(1, 10)]
    window = {1: [Window(3, START + 450 * MS, START + 930 * MS)]}
    start = [(1, node, "start", 0.0, 0.0) for node in range(4)]

    def voided(*rows: tuple[int, int, str, float, float]) -> bool:
        judged = unexcused(events(*rows), runs(1), window, {})
        return bool(health.void_runs(runs(1), judged)["voided"].iloc[0])

    assert not voided(*start, *good, *held)
    assert voided(*start, *good, *held, (1, 2, "tick", 900, 80), (1, 2, "tick", 905, 80))


def test_sends_are_excused_where_a_fault_took_the_way_out_and_nowhere_else() -> None:
    sends = [(1, 3, ENETUNREACH), (1, 3, EAGAIN), (1, 4, ENETUNREACH), (2, 3, ENETUNREACH)]
    refused = pd.DataFrame(sends, columns=["run", "host", "value"])
    refused = refused.assign(event="drop", time_ns=900 * MS)
    kept = unexcused(refused, runs(1, 2), {}, {1: frozenset({3})})
    assert [*kept[["run", "host", "value"]].itertuples(index=False, name=None)] == sends[1:]
