"""Lateness and refused sends that a fault has made: no reason to void a run, as a slow machine is.

A node that is stopped serves its rounds late and finds a full queue when it goes on; one that
starts again starts late. What fell due at such a node in that time is left out of the fidelity
gate, and so are the sends of a node whose link is down. Everything else is judged as ever, at this
node and at all others, so a machine that cannot keep up still voids the run.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

GATED = ("start", "tick", "receive", "duplicate")
NO_WAY_OUT = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)


class Window(NamedTuple):
    """When a fault held a node up, the time to catch up included; monotonic, in ns."""

    node: int
    from_ns: int
    until_ns: int


def unexcused(
    events: pd.DataFrame,
    runs: pd.DataFrame,
    windows: Mapping[int, Sequence[Window]],
    unplugged: Mapping[int, frozenset[int]],
) -> pd.DataFrame:
    """The events without those that fell due at a node while a fault held it up, and without the
    sends that had no way out of a node whose link a fault took down.

    `windows` and the nodes `unplugged` are by run; `events.time_ns` counts from the run's start,
    `runs.start_ns` says when that was. The lateness of an event is its `value`.
    """
    held = {run: mine for run, mine in windows.items() if mine}
    keep = np.ones(len(events), dtype=bool)
    # No time is needed: while its link is up, a node is never told that there is no way out.
    stuck = ((events["event"] == "drop") & events["value"].isin(NO_WAY_OUT)).to_numpy()
    keep[stuck] = [
        host not in unplugged.get(run, ())
        for run, host in zip(events["run"][stuck], events["host"][stuck], strict=True)
    ]
    concerned = events["run"].isin(held.keys()) & events["event"].isin(GATED)
    start_ns = dict(zip(runs["run"], runs["start_ns"], strict=True))
    place = np.arange(len(events))
    for key, mine in events[concerned].assign(place=place[concerned]).groupby(["run", "host"]):
        run, host = (int(str(each)) for each in key)
        due_ns = mine["time_ns"].to_numpy() - mine["value"].to_numpy() + start_ns[run]
        excused = np.zeros(len(mine), dtype=bool)
        for window in held[run]:
            if window.node == host:
                excused |= (due_ns >= window.from_ns) & (due_ns <= window.until_ns)
        keep[mine["place"].to_numpy()] &= ~excused
    return events[keep]
