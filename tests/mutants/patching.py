"""How a mutant is made: one function of the project is replaced, or something is put around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Patch = Callable[[pytest.MonkeyPatch], None]


def put(owner: Any, name: str, value: Any) -> Patch:
    """A mutant that replaces one function."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def wrapped(owner: Any, name: str, around: Callable[[Any], Any]) -> Patch:
    """A mutant that puts something around one function; `around` gets the true one."""
    return put(owner, name, around(getattr(owner, name)))
