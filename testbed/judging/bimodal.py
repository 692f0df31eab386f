"""Runs of Bimodal Multicast that have an exact distribution of the nodes reached, beside it.

Those that `testbed.theory.pbcast` models: rounds in step, one age for everybody, gossip among all,
no limit on what is sent again, and loss at receivers and at senders that is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.judging import stats
from testbed.tables import RunTables
from testbed.theory import pbcast
from topologies import catalog

Floats = NDArray[np.float64]
PROTOCOL = "pbcast"
OPTIONS = frozenset(
    {"buffer_rounds", "fan_out", "first_phase", "independent_rounds", "multicast_after"}
    | {"neighbours", "retransmission_limit"}
)
"""Those that decide on the law."""


@dataclass(frozen=True)
class Histogram:
    """The runs of one cell: how many nodes each multicast reached, and what theory expects."""

    cell: Mapping[str, Any]
    """Of the manifest."""
    runs: pd.DataFrame
    """Voided ones too; the counts are of the others."""
    loss_ratio: float
    """At a receiver."""
    send_loss_ratio: float
    """Next to whoever sends."""
    counts: NDArray[np.int64]
    """Multicasts that reached 0, 1, ... nodes, the source among them."""
    exact: Floats
    """The probabilities of the same."""

    @property
    def nodes(self) -> int:
        return len(self.exact) - 1

    @property
    def multicasts(self) -> int:
        return int(self.counts.sum())

    @property
    def p(self) -> float:
        """Of a G-test of the counts against the exact distribution."""
        return stats.g_test(self.counts[1:], self.exact[1:])


def histograms(tables: RunTables, protocol: str = PROTOCOL) -> list[Histogram]:
    """A histogram a cell of the protocol that theory models and that has a healthy run."""
    reached = tables.deliveries.groupby("run")["host"].nunique()
    found = []
    for cell in tables.manifest["experiment"].get("cells", ()):
        runs = tables.runs[tables.runs["cell"] == cell["index"]]
        healthy = runs.loc[~runs["voided"].astype(bool), "run"]
        losses = _losses(cell) if len(healthy) and _is_modelled(cell, protocol) else None
        if losses is not None:
            of_each = reached.reindex(healthy).fillna(0).astype(int)
            counts = np.bincount(of_each, minlength=cell["nodes"] + 1)
            found.append(Histogram(cell, runs, *losses, counts, _exact(cell, *losses)))
    return found


def _exact(cell: Mapping[str, Any], loss_ratio: float, send_loss_ratio: float) -> Floats:
    options = cell["options"]
    return pbcast.delivered(
        cell["nodes"],
        options["buffer_rounds"],
        fan_out=options["fan_out"],
        loss_ratio=loss_ratio,
        send_loss_ratio=send_loss_ratio,
        shared_loss_ratio=0.0 if options["first_phase"] == "multicast" else 1.0,
    )


def _is_modelled(cell: Mapping[str, Any], protocol: str) -> bool:
    options = cell["options"]
    return bool(
        cell["protocol"] == protocol
        and options.keys() >= OPTIONS  # of a stand-in without one nobody knows the law
        and cell["timing"] == "sync"
        and cell["run"]["kind"] == "dissemination"
        and cell["run"]["sources"] != "all"
        and not cell.get("faults")
        and not options["independent_rounds"]
        and not options["retransmission_limit"]
        and not (options["neighbours"] or options["multicast_after"])
    )


def _losses(cell: Mapping[str, Any]) -> tuple[float, float] | None:
    """Loss at the receiver and at the sender; None where it is elsewhere, or comes in bursts."""
    graph = catalog.build(
        cell["topology"],
        hosts=cell["nodes"],
        loss_ratio=cell["loss_ratio"],
        **cell["parameters"],
    )
    ends = {(host.receive, host.send) for host in graph.hosts}
    if len(ends) > 1 or any(link.up.loss_ratio or link.down.loss_ratio for link in graph.links):
        return None
    receive, send = ends.pop()
    if receive.burst_packets or send.burst_packets:
        return None
    return receive.loss_ratio, send.loss_ratio
