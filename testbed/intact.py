"""Whether what a run directory holds is what its readers were written for.

A directory may be of another version, cut off, edited by hand, or hostile. Each check raises
`RunError` of one line, with the file and the remedy, so that no reader trips over it later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from testbed.errors import UsageError
from testbed.tables import COLUMNS

NUMBERS = frozenset(
    {"run", "cell", "nodes", "loss_ratio", "round_s", "subnets", "survivors", "boot", "start_ns"}
    | {"stop_ns", "time_ns", "host", "peer", "type", "origin", "sequence", "hop", "parent", "round"}
    | {"bytes", "value", "node", "batch", "level", "packets", "runs", "rounds", "core_packets"}
)
"""Columns that are counted with, in whichever table."""

TRUTHS = frozenset({"voided"})


NUMBER, WHOLE, TEXT, TABLE = "a number", "a whole number", "a text", "a JSON object"
OPTIONAL = "a number or null"
_LIMIT = 2**63
"""No number in a manifest comes near; 1e308, or 400 digits, would overflow where it is used."""

KINDS: dict[str, Callable[[Any], bool]] = {
    NUMBER: lambda value: isinstance(value, int | float) and abs(value) < _LIMIT,
    WHOLE: lambda value: isinstance(value, int) and abs(value) < _LIMIT,
    TEXT: lambda value: isinstance(value, str),
    TABLE: lambda value: isinstance(value, dict),
    OPTIONAL: lambda value: value is None or KINDS[NUMBER](value),
}

_STEP = {"do": TEXT, "nodes": [WHOLE]}
_CELL = {
    "index": WHOLE,
    "protocol": TEXT,
    "options": TABLE,
    "topology": TEXT,
    "parameters": TABLE,
    "nodes": WHOLE,
    "loss_ratio": NUMBER,
    "timing": TEXT,
    "run": {"kind": TEXT, "messages": WHOLE, "interval_s": NUMBER},
    "faults": [{"kind": TEXT, "at_s": OPTIONAL, "for_s": OPTIONAL}],
}
MANIFEST = {
    "experiment": {"name": TEXT, "cells": [_CELL]},
    "data_types?": [WHOLE],
    "timelines?": [
        {
            "runs": [WHOLE],
            "steps": [{"at_s": NUMBER, **_STEP}],
            "played?": [{"at_ns": WHOLE, **_STEP}],  # on hosts
        }
    ],
}
"""What readers of a manifest count on: kinds by name, a list with the one kind of its elements;
what has a `?` may be missing."""


class RunError(UsageError):
    """A run directory that cannot be read; the message names the file and the remedy."""


def document(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        found = json.loads(path.read_bytes())
        json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate is no text
    except FileNotFoundError:
        raise RunError(f"{path}: missing; name another run, or run it again") from None
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}; give a run that can be read") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON ({error}); restore it or run again") from error
    if not isinstance(found, dict):
        raise RunError(f"{path}: not a JSON object; restore it or run again")
    return found


def table(path: Path, name: str) -> pd.DataFrame:
    """One of the tables of a run directory, with all its columns."""
    try:
        found = pd.read_parquet(path)
    except FileNotFoundError:
        raise RunError(f"{path}: missing; name another run, or run it again") from None
    except Exception as error:  # of a damaged file, Arrow and pandas may raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise RunError(f"{path}: not a whole Parquet file ({reason}); run again") from error
    for column in COLUMNS[name]:
        if column not in found:
            raise RunError(f"{path}: has no column {column}; run again, or restore it")
        kinds: dict[str, tuple[Callable[[Any], bool], frozenset[str]]] = {
            "numbers": (is_numeric_dtype, NUMBERS),
            "truth values": (is_bool_dtype, TRUTHS),
        }
        for word, (holds, columns) in kinds.items():
            if column in columns and len(found) and not holds(found[column].dtype):
                raise RunError(f"{path}: column {column} holds no {word}; run again, or restore it")
    return found


def manifest(found: Mapping[str, Any], path: Path, version: int) -> None:
    """Checks the manifest of a run of hosts or of a simulation."""
    if found.get("format") != version:
        raise RunError(
            f"{path.parent}: format {repr(found.get('format'))[:20]}, this version reads "
            f"{version}; use the version of the testbed that wrote it (manifest.json, 'commit')"
        )
    experiment = found.get("experiment")
    if not isinstance(experiment, dict) or not isinstance(experiment.get("name"), str):
        raise RunError(f"{path}: names no experiment; restore it or run again")
    for misfit in _misfits(found, MANIFEST):
        raise RunError(f"{path}: {misfit}; restore it or run again")


def _misfits(value: Any, shape: Any, where: str = "") -> Iterator[str]:
    """Each place at which a value is not of its shape, and why."""
    if isinstance(shape, str):
        if not KINDS[shape](value):
            yield f"{where} is {repr(value)[:20]}, not {shape}"
    elif not isinstance(value, type(shape)):
        kind = "a JSON list" if isinstance(shape, list) else TABLE
        yield f"{where} is {repr(value)[:20]}, not {kind}"
    elif isinstance(shape, list):
        for place, each in enumerate(value):
            yield from _misfits(each, shape[0], f"{where}[{place}]")
    else:
        for key, inner in shape.items():
            name = key.rstrip("?")
            path = f"{where}.{name}".lstrip(".")
            if name in value:
                yield from _misfits(value[name], inner, path)
            elif name == key:
                yield f"{path} is missing"


def health(found: Mapping[str, Any], path: Path) -> None:
    """Checks what the gates have said."""
    lists = [found.get("reasons"), found.get("unexplained")]
    texts = all(
        isinstance(each, list) and all(isinstance(text, str) for text in each) for each in lists
    )
    if not isinstance(found.get("ok"), bool) or not texts:
        raise RunError(f"{path}: does not say whether the run is healthy; restore it or run again")
