"""Helpers of the plots."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from testbed import plotting


def test_texts_at_one_place_are_moved_apart_evenly_and_others_stay() -> None:
    assert plotting.apart([0.0, 0.1, 0.9], 0.2) == pytest.approx([-0.05, 0.15, 0.9])
    assert plotting.apart([0.3, 0.3, 0.3], 0.1) == pytest.approx([0.2, 0.3, 0.4])
    assert plotting.apart([], 0.1) == []


def test_a_plot_that_finds_no_room_leaves_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "core_load.svg"
    file.write_text("before")

    def full(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        plotting.write_whole(file, full)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]
