"""The library runs on real hosts, from a process that is in no lab."""

from __future__ import annotations

from pathlib import Path

import pytest

import testbed

pytestmark = pytest.mark.network


def test_an_experiment_on_hosts_gives_its_tables(tmp_path: Path) -> None:
    settings = ("nodes=8", "protocol=push", "round_s=0.1")
    result = testbed.run("latency", settings=settings, repeats=2, results=tmp_path)
    assert result.tables.evidence == "emulated"
    assert len(result.deliveries) == 2 * 8
    assert result.summary[0]["runs"] == 2
