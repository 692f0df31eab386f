"""Picks from run directories the runs that belong together, for claims and plots.

An *arm* is one protocol under one set of conditions, over all its sizes. Runs of several run
directories under the same conditions are one arm; emulated and simulated ones never are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed import metrics
from testbed.health import MAX_VOIDED_SHARE
from testbed.judging import cells
from testbed.tables import RunTables

CONDITIONS = (
    "evidence",
    "topology",
    "subnets",
    "timing",
    "fan_out",
    "replacement",
    "retention",
    "loss_ratio",
    "faults",
)
"""What the right answer depends on beside the size [CLAIMS section 4]."""

LEAST_RUNS = 10
"""Runs that a cell needs: below, its own standard deviation is too rough to weigh it by."""


@dataclass(frozen=True)
class Arm:
    """The rows, voided ones too, of one protocol under one set of conditions.

    `rows.directory` is the place, in the list given, of the run directory that a row is from.
    """

    protocol: str
    conditions: dict[str, Any]
    rows: pd.DataFrame
    options: dict[str, Any] = field(default_factory=dict)
    """Those of the protocol's own, which have no column each: `k_counter` of rumor, say."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Those of the topology."""

    @property
    def sizes(self) -> list[int]:
        return sorted(int(n) for n in self.rows["nodes"].unique())

    @property
    def healthy(self) -> pd.DataFrame:
        return self.rows[~self.rows["voided"].astype(bool)]

    @property
    def runs(self) -> int:
        """Multicasts, voided ones too; a row of batches holds several."""
        return int(self.rows["runs"].sum()) if "runs" in self.rows else len(self.rows)

    @property
    def voided(self) -> int:
        return int(self.rows["voided"].sum())

    def values(self, column: str, nodes: int) -> NDArray[np.float64]:
        """One number for each healthy row of a size."""
        return self.healthy.loc[self.healthy["nodes"] == nodes, column].to_numpy(dtype=float)

    def matches(self, other: Arm) -> bool:
        """Whether the two differ in nothing but the protocol, what it alone has, and the sizes."""
        shared = self.options.keys() & other.options.keys()
        alike = all(self.options[name] == other.options[name] for name in shared)
        same = self.parameters == other.parameters and self.conditions == other.conditions
        return alike and same

    def blocks(self, least: int = LEAST_RUNS) -> tuple[str, ...]:
        """Reasons why the arm must not be judged either way."""
        found = list(dict.fromkeys(text for text in self.rows["unhealthy"] if text))
        for nodes, cell in self.rows.groupby("nodes"):
            share = cell["voided"].mean()
            name = f"{self.protocol} N={nodes}"
            if share > MAX_VOIDED_SHARE:
                found.append(f"{name}: {share:.0%} of {len(cell)} voided{_example(cell)}")
            elif (left := int((~cell["voided"].astype(bool)).sum())) < least:
                found.append(f"{name}: {left} healthy runs, fewer than {least}; raise the repeats")
        return tuple(found)


def _example(cell: pd.DataFrame) -> str:
    """The first reason for which a row was voided, when the rows have any."""
    reasons = [text for text in cell.get("reasons", ()) if text]
    return f", e.g. {reasons[0]}" if reasons else ", more than 5% allows no verdict"


def dissemination(tables: Sequence[RunTables], protocol: str) -> list[Arm]:
    """Arms of runs that start at one node, a row a run, with the metrics of a run."""
    frames = [marked(metrics.per_run(t), t, i) for i, t in enumerate(tables)]
    return arms([f[(f["sources"] != "all") & (f["kind"] != "stream")] for f in frames], protocol)


def saturated(tables: Sequence[RunTables], protocol: str) -> list[Arm]:
    """Arms of batches in which every node spreads, a row a stretch, with a batch's metrics."""
    frames = [marked(metrics.per_batch(t), t, i) for i, t in enumerate(tables) if len(t.batches)]
    return arms([f[(f["sources"] == "all") & (f["kind"] != "stream")] for f in frames], protocol)


def marked(frame: pd.DataFrame, tables: RunTables, place: int) -> pd.DataFrame:
    """Rows of one run directory, the one at a place of the list, with what an arm needs of it."""
    # What is unexplained concerns every run; the voided ones each cell counts for itself.
    unhealthy = "; ".join(tables.health.get("unexplained", ()))
    parameters = cells.parameters(tables)
    return frame.assign(
        evidence=tables.evidence,
        unhealthy=unhealthy,
        directory=place,
        parameters=[json.dumps(parameters.get(cell, {}), sort_keys=True) for cell in frame["cell"]],
    )


def arms(frames: Sequence[pd.DataFrame], protocol: str) -> list[Arm]:
    """The arms of a protocol among `marked` rows."""
    chosen = [f[f["protocol"] == protocol] for f in frames]
    chosen = [f for f in chosen if len(f)]
    if not chosen:
        return []
    rows = pd.concat(chosen, ignore_index=True)
    keys = [*CONDITIONS, "options", "parameters"]
    return [
        Arm(protocol, _conditions(key), group, *(json.loads(str(text)) for text in key[-2:]))
        for key, group in rows.groupby(keys, dropna=False, sort=True)
    ]


def _conditions(key: Sequence[Any]) -> dict[str, Any]:
    """By name; None, which equals itself, for those that the protocol lacks."""
    named = zip(CONDITIONS, key, strict=False)
    return {name: None if _missing(value) else value for name, value in named}


def told_apart(mine: Mapping[str, Any], all_of_them: Sequence[Mapping[str, Any]]) -> str:
    """The conditions in which the others are not like these, in words; options among them.

    A parameter that another's network lacks tells nothing: the name of its topology does.
    """
    own = _flat(mine)
    others = [{**(mine.get("parameters") or {}), **_flat(each)} for each in all_of_them]
    return ", ".join(
        str(value) if isinstance(value, str) else f"{SHORT.get(key, key)} = {value}"
        for key, value in own.items()
        if value != "" and any(other.get(key) != value for other in others)
    )


NESTED = ("options", "parameters")
SHORT = {"fan_out": "b", "loss_ratio": "loss"}
"""What the lecture calls them."""


def _flat(conditions: Mapping[str, Any]) -> dict[str, Any]:
    stated = {key: value for key, value in conditions.items() if key not in NESTED}
    for nest in NESTED:
        stated |= conditions.get(nest) or {}
    return {key: value for key, value in stated.items() if not _missing(value)}


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
