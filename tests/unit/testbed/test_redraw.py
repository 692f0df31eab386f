"""Tests of testbed.redraw: of which runs, and what is said when plots cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from testbed import claims, plots, redraw
from testbed.disk import ResultsError


def test_another_folder_is_no_remedy_for_the_plots_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(redraw, "tables_of", lambda _: [])
    monkeypatch.setattr(plots, "draw", full)
    with pytest.raises(ResultsError, match=r"/plots: No space left .*; make room; the run itself"):
        redraw.redraw(tmp_path)


@pytest.mark.parametrize(("runs", "own"), [(1, None), (2, claims.experiments())])
def test_each_plot_of_a_validation_shows_the_runs_of_its_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: int, own: object
) -> None:
    asked = []

    def draw(*_: object, of: object) -> dict[str, Path]:
        asked.append(of)
        return {}

    monkeypatch.setattr(redraw, "tables_of", lambda _: [None] * runs)
    monkeypatch.setattr(plots, "draw", draw)
    redraw.redraw(tmp_path)
    assert asked == [own]
