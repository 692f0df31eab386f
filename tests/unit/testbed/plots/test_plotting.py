"""Helpers of the plots."""

from __future__ import annotations

import pytest

from testbed import plotting


def test_texts_at_one_place_are_moved_apart_evenly_and_others_stay() -> None:
    assert plotting.apart([0.0, 0.1, 0.9], 0.2) == pytest.approx([-0.05, 0.15, 0.9])
    assert plotting.apart([0.3, 0.3, 0.3], 0.1) == pytest.approx([0.2, 0.3, 0.4])
    assert plotting.apart([], 0.1) == []
