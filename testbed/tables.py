"""What a run directory holds, as pandas tables; metrics, claims and plots get nothing else.

A *run* is one multicast, or one stream of them: the replicate of all statistics. A *cell* is one
point of the experiment's grid. A *batch* is a stretch of time in which several runs of one cell
kept the core busy at once. Times are in nanoseconds from the run's start. Missing data is missing,
never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

COLUMNS: dict[str, tuple[str, ...]] = {
    "runs": (
        "run",
        "cell",
        "protocol",
        "topology",
        "nodes",
        "loss_ratio",
        "timing",
        "fan_out",
        "replacement",
        "retention",
        "options",
        "round_s",
        "subnets",
        "kind",
        "sources",
        "messages",
        "interval_s",
        "faults",
        "survivors",
        "faulty",
        "seed",
        "boot",
        "start_ns",
        "stop_ns",
        "voided",
        "reasons",
    ),
    "events": (
        "run",
        "time_ns",
        "host",
        "event",
        "peer",
        "type",
        "origin",
        "sequence",
        "hop",
        "parent",
        "round",
        "bytes",
        "value",
    ),
    "deliveries": ("run", "host", "time_ns", "origin", "sequence", "hop", "parent", "round"),
    "hosts": ("node", "name", "subnet", "address"),
    "counters": (
        "batch",
        "time_ns",
        "router",
        "level",
        "input",
        "output",
        "type",
        "packets",
        "bytes",
    ),
    "batches": ("batch", "cell", "runs", "rounds", "core_packets", "voided"),
}
"""The columns that each table has at least; a run directory may hold more."""

CELL = (
    "protocol",
    "topology",
    "nodes",
    "loss_ratio",
    "timing",
    "fan_out",
    "replacement",
    "retention",
    "options",
    "sources",
    "messages",
    "interval_s",
    "faults",
)
"""The columns of `runs` that tell one cell from another in a table or a plot."""


@dataclass(frozen=True, eq=False)
class RunTables:
    """The tables of one run directory; `COLUMNS` lists what each has at least.

    `runs.faulty` lists the nodes that are dead, stopped or cut off from the source when the run
    ends; the others, `runs.survivors` of them, are correct, and it is they that a run must reach.
    `runs.voided` marks what the health checks refuse to have judged, `runs.reasons` says why.
    `batches.rounds` are the measured periods, `runs` the multicasts that were saturated at once, or
    the streams that were under way together, and `core_packets` what the core router forwarded
    meanwhile, in all directions together. A batch may fill several rows, one a stretch of time:
    their scatter shows whether the count is as steady as independent draws are.
    """

    manifest: Mapping[str, Any]
    health: Mapping[str, Any]
    runs: pd.DataFrame
    events: pd.DataFrame
    deliveries: pd.DataFrame
    hosts: pd.DataFrame
    counters: pd.DataFrame
    batches: pd.DataFrame

    @property
    def evidence(self) -> str:
        """`emulated` or `simulated`: what the numbers come from."""
        return str(self.manifest.get("evidence", "emulated"))

    def healthy(self) -> pd.DataFrame:
        """The rows of `runs` that may be judged."""
        return self.runs[~self.runs["voided"].astype(bool)]
