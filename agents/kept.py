"""What protocols store: values that survive the death of their agent, one line of JSON each.

One write(2) a value, so that a SIGKILL tears the last line at worst, which a reader passes over. A
value that did not get there whole was not stored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


class Kept:
    """The stored values of one node; without a path they die with it, as on a run by hand."""

    def __init__(self, path: Path | str | None = None) -> None:
        self._path = path
        self._fd = -1

    def store(self, run: int, key: str, value: bytes) -> None:
        """Keeps a value, which replaces an older one of that key."""
        if self._path is None:
            return
        if self._fd < 0:
            mode = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._fd = os.open(self._path, mode, 0o644)
        # The line feed goes first: so a torn line spoils nothing but itself.
        os.write(self._fd, b"\n" + json.dumps([run, key, value.hex()]).encode())

    def of(self, run: int) -> Mapping[str, bytes]:
        """The latest value of each key of a run, in the order of their first storing."""
        found: dict[str, bytes] = {}
        if self._path is None or not os.path.exists(self._path):
            return found
        for line in Path(self._path).read_bytes().split(b"\n"):
            try:
                number, key, value = json.loads(line)
                if number == run:
                    found[key] = bytes.fromhex(value)
            except ValueError:
                continue  # torn
        return found
