"""Tests of testbed.redraw: what is said when plots cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from testbed import plots, redraw
from testbed.disk import ResultsError


def test_another_folder_is_no_remedy_for_the_plots_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(redraw, "tables_of", lambda _: [])
    monkeypatch.setattr(plots, "draw", full)
    with pytest.raises(ResultsError, match=r"/plots: No space left .*; make room; the run itself"):
        redraw.redraw(tmp_path)
