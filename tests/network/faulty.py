"""Runs of eight hosts under faults, and what was done and heard in them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from testbed import experiment, health, results
from testbed.emulation import emulate
from testbed.progress import Progress
from testbed.tables import RunTables

FILE = """
[grid]
nodes = 8
[protocol.push]
fan_out = 2
retention = "forever"
[run]
repeats = 6
concurrent = 6
round_s = 0.4
horizon_rounds = 15
linger_rounds = {linger}
{faults}
"""


def run(folder: Path, faults: str, *settings: str, linger: int = 0) -> RunTables:
    path = folder / "mine.toml"
    path.write_text(FILE.format(faults=faults, linger=linger))
    loaded = experiment.load(str(path), settings=settings)
    return results.load(emulate(loaded, seed=3, folder=folder, progress=Progress()))


def fault(**fields: object) -> str:
    lines = (
        f"{key} = {str(value).lower() if isinstance(value, bool) else value!r}"
        for key, value in fields.items()
    )
    return "[[faults]]\n" + "\n".join(lines) + "\n"


def steps(tables: RunTables) -> list[dict[str, object]]:
    """What was done, in the order of time."""
    return [step for timeline in tables.manifest["timelines"] for step in timeline["played"]]


def span(step: dict[str, object]) -> tuple[int, int]:
    """When a step began to be done and was done, in ns since the start."""
    began_ns = int(str(step["at_ns"]))
    return began_ns, began_ns + int(str(step["took_ns"]))


def signalled(step: dict[str, object]) -> int:
    """When the signal of a step has arrived: the zygote sends it, and has a tenth of a round."""
    return span(step)[1] + 40_000_000


def voided_for(tables: RunTables, hit: Collection[int]) -> set[int]:
    """The runs that are voided though all was on time but the nodes that were hit.

    A machine that holds up everybody voids a run rightly, which says nothing of excuses.
    """
    late = tables.runs["reasons"].str.contains(r"(?:^|; )(?:step|packets) .* late")
    others = tables.events[~tables.events["host"].isin(hit)]
    anyway = health.void_runs(tables.runs.assign(reasons=""), others)
    return set(tables.runs.loc[tables.runs["voided"] & ~anyway["voided"] & ~late, "run"])


def busy(tables: RunTables, host: int, from_s: float, until_s: float) -> pd.DataFrame:
    """What a host recorded between two times of its runs, but for the driver's own."""
    events = tables.events[(tables.events["host"] == host) & (tables.events["run"] > 0)]
    events = events[events["event"].isin(["tick", "send", "receive", "duplicate", "deliver"])]
    return events[events["time_ns"].between(from_s * 1e9, until_s * 1e9)]


def heard(tables: RunTables) -> pd.DataFrame:
    """What agents got from others, with `came_ns`, when the kernel took it in.

    That is on the clock that steps are played by; an agent may read it later.
    """
    found = tables.events[tables.events["event"].isin(["receive", "duplicate"])]
    return found.assign(came_ns=found["time_ns"] - found["value"])
