"""The library gives tables and verdicts, and errors as exceptions."""

from __future__ import annotations

from pathlib import Path

import pytest

import testbed
from testbed.errors import UsageError

SMALL = ("nodes=8", "protocol=push")


def test_a_simulated_experiment_gives_tables_and_a_summary(tmp_path: Path) -> None:
    result = testbed.simulate("latency", settings=SMALL, repeats=3, seed=5, results=tmp_path)
    assert result.run_dir.parent == tmp_path / "latency"
    assert (result.runs["rounds_to_all"] > 0).all()
    assert len(result.deliveries) == 3 * 8
    assert result.summary[0]["runs"] == 3
    assert set(result.hosts["node"]) == set(range(8))


def test_the_same_seed_gives_the_same_deliveries(tmp_path: Path) -> None:
    first, again = (
        testbed.simulate("latency", settings=SMALL, repeats=2, seed=5, results=tmp_path / name)
        for name in ("a", "b")
    )
    assert first.deliveries.equals(again.deliveries)


def test_what_does_not_fit_raises_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean latency"):
        testbed.simulate("latncy", results=tmp_path)
    with pytest.raises(UsageError, match="nodes"):
        testbed.run("latency", settings=["nodes=1"], results=tmp_path)
    assert list(tmp_path.iterdir()) == []
