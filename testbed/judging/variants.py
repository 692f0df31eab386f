"""Tells apart the variants of one protocol that an experiment has side by side.

A variant is a protocol with one set of options, over all sizes and losses. It is called by the
options in which it differs from the other variants of its protocol: `adaptive` and `fixed` of SRM.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from testbed.judging.selection import told_apart

VARYING = ["topology", "timing", "fan_out", "replacement", "retention", "options"]
"""The columns of runs in which variants differ; `options` are those that have none of their own."""
VARIANT = ["protocol", "variant"]


def named(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Rows of runs with a column `variant`: in what each differs, empty where a protocol has one.

    All frames are compared with each other, so that a name means the same in each of them.
    """
    columns = ["protocol", *VARYING]
    whole = pd.concat([frame[columns] for frame in frames], ignore_index=True).drop_duplicates()
    called: dict[str, str] = {}
    for _, alike in whole.groupby("protocol"):
        stated = {_key(row): {**row, "options": json.loads(row["options"])} for row in _rows(alike)}
        called |= {key: told_apart(each, list(stated.values())) for key, each in stated.items()}
    return [frame.assign(variant=[called[_key(row)] for row in _rows(frame)]) for frame in frames]


def of(frame: pd.DataFrame, arm: tuple[str, str]) -> pd.DataFrame:
    """The rows of one (protocol, variant)."""
    return frame[(frame["protocol"] == arm[0]) & (frame["variant"] == arm[1])]


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(name): _plain(value) for name, value in row.items()}
        for row in frame[["protocol", *VARYING]].to_dict("records")
    ]


def _plain(value: Any) -> Any:
    """A value as it was before columns of several directories were put below each other."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return None
    return int(value) if float(value).is_integer() and not isinstance(value, bool) else value


def _key(row: dict[str, Any]) -> str:
    return repr(list(row.values()))
