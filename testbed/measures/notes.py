"""What protocols note of themselves in their traces (`agents.api.Note`), by name."""

from __future__ import annotations

from struct import Struct

import pandas as pd

from testbed.tables import RunTables

OVER = Struct("<IiiiI")
COLUMNS = ("sequence", "peer", "origin", "parent", "round")
"""The columns of `events` over which the name of a note lies (`agents.trace`)."""


def named(events: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of `events` that are notes of that name, of 20 bytes at most."""
    notes = events[events["event"] == "note"]
    for column, value in fields(name).items() if len(notes) else ():
        notes = notes[notes[column] == value]
    return notes


def fields(name: str) -> dict[str, int]:
    """What a note of that name has in each of its `COLUMNS`."""
    return dict(zip(COLUMNS, OVER.unpack(name.encode().ljust(OVER.size, b"\0")), strict=True))


def mean(tables: RunTables, name: str) -> pd.Series[float]:
    """The mean value of the notes of that name in each run; NaN in a run that has none."""
    found = _values(tables, name).groupby("run")["value"].mean()
    return found.reindex(tables.runs["run"]).astype(float)


def total(tables: RunTables, name: str) -> pd.Series[float]:
    """The sum of the notes of that name in each run; 0 in a run that has none."""
    found = _values(tables, name).groupby("run")["value"].sum()
    return found.reindex(tables.runs["run"], fill_value=0).astype(float)


def _values(tables: RunTables, name: str) -> pd.DataFrame:
    # Events without a note need not have a note's columns.
    return named(tables.events, name).reindex(columns=["run", "value"])
