"""Sweeps as commands: killed and resumed, and several labs at once."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from testbed import results
from testbed.disk import PARTIAL

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
SMALL = ("--protocol", "push", "--set", "nodes=8", "--over", "fan_out=1,2,3", "--json")


def command(folder: Path, *more: str) -> list[str]:
    start = [sys.executable, "-m", "testbed", "sweep", "latency", "--results", str(folder)]
    return [*start, *SMALL, *more]


def sweep(folder: Path, *more: str) -> dict[str, Any]:
    out = subprocess.run(command(folder, *more), cwd=ROOT, stdout=subprocess.PIPE, check=True)
    document: dict[str, Any] = json.loads(out.stdout)
    return document


def answers(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "run_dir"} for row in document["rows"]]


def test_a_sweep_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    more = ("--simulate", "--workers", "2", "--repeats", "20")
    undisturbed = sweep(tmp_path / "undisturbed", *more)
    rng, folder, kills, wholes = Random(1), tmp_path / "killed", 0, [0]
    while kills < 5:
        process = subprocess.Popen(
            command(folder, *more), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            assert process.wait(1.0 + 1.5 * rng.random()) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            wholes.append(len(results.whole_runs(next((folder / "sweeps").glob("*"), folder))))
    assert kills and wholes == sorted(wholes), "what was whole has stayed"
    again = sweep(folder, *more)
    assert answers(again) == answers(undisturbed)
    found = Path(again["sweep_dir"])
    assert len(results.whole_runs(found)) == 3
    assert not list(found.glob(f"**/{PARTIAL}*"))


def test_a_sweep_on_hosts_that_is_killed_twice_keeps_each_trial_that_was_whole(
    tmp_path: Path,
) -> None:
    more = ("--workers", "1", "--repeats", "1", "--set", "round_s=0.1")
    kept: set[Path] = set()
    for wanted in (1, 2):
        process = subprocess.Popen(command(tmp_path, *more), cwd=ROOT, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(found := whole(tmp_path)) < wanted:
            assert process.poll() is None and time.monotonic() < deadline
            select.select([], [], [], 0.01)
        process.kill()
        process.wait()
        assert kept <= found
        kept = found
    document = sweep(tmp_path, *more)
    assert kept <= whole(tmp_path)
    assert document["resumed"] >= 2
    assert len(whole(tmp_path)) == len(document["rows"]) == 3


def whole(folder: Path) -> set[Path]:
    return {path for sweep in folder.glob("sweeps/*") for path in results.whole_runs(sweep)}


def test_emulated_trials_at_once_have_networks_of_their_own(tmp_path: Path) -> None:
    found = sweep(tmp_path, "--workers", "2", "--repeats", "1", "--set", "round_s=0.2")
    assert [row["fan_out"] for row in found["rows"]] == [1, 2, 3]
    assert all(row["runs"] == 1 for row in found["rows"])
    unexplained = [
        json.loads((Path(found["sweep_dir"]) / row["run_dir"] / "health.json").read_text())
        for row in found["rows"]
    ]
    assert [health["unexplained"] for health in unexplained] == [[], [], []]


def test_a_sweep_that_is_interrupted_keeps_what_is_whole(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path, "--workers", "2", "--repeats", "500"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(f"sweeps/*/*/{PARTIAL}*")):
        assert process.poll() is None and time.monotonic() < deadline
        select.select([], [], [], 0.05)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 130
    kept = "trials that were whole are kept; the same command goes on"
    assert words == f"testbed: interrupted; {kept}\n"
    assert not list(tmp_path.glob(f"sweeps/*/*/{PARTIAL}*"))
