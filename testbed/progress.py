"""A progress bar with the time left on stderr; silence when that is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Counts seconds of expected work; this base class shows nothing."""

    def expect(self, seconds: float) -> None:
        """More work is coming, so many seconds of it."""

    def advance(self, seconds: float) -> None:
        """That much of the expected work is done."""

    def note(self, text: str) -> None:
        """What is being done now."""


class _Shown(Progress):
    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=0.0)
        self._total = 0.0

    def expect(self, seconds: float) -> None:
        self._total += seconds
        self._bar.update(self._task, total=self._total)

    def advance(self, seconds: float) -> None:
        self._bar.advance(self._task, seconds)

    def note(self, text: str) -> None:
        self._bar.update(self._task, description=text)


@contextmanager
def shown() -> Iterator[Progress]:
    """A bar while the body runs, gone afterwards."""
    if not sys.stderr.isatty():
        yield Progress()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Shown(bar)
