"""TOML from the user, with whole numbers of 64 bits, as its standard has them (toml.io, v1.0.0).

tomllib takes longer ones, in base 16 of any length; Python refuses to print over 4,300 digits, so
that the error which is to name the value would raise another.
"""

from __future__ import annotations

import tomllib
from typing import Any

_LOW, _HIGH = -(2**63), 2**63 - 1
_TOO_LONG = "a whole number beyond 64 bits"


def loads(text: str) -> dict[str, Any]:
    """The tables of a document. Raises `ValueError` for what is none."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # int() of over 4,300 digits
        raise ValueError(_TOO_LONG) from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    inner: list[Any] = [tables]
    while inner:
        value = inner.pop()
        if isinstance(value, dict):
            inner += value.values()
        elif isinstance(value, list):
            inner += value
        elif isinstance(value, int) and not _LOW <= value <= _HIGH:
            raise ValueError(_TOO_LONG)
    return tables
