"""Sweeps as commands: killed and resumed, several labs at once, and disks that take nothing."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from testbed import lab, results
from testbed.disk import PARTIAL
from testbed.kernel import namespaces

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


def test_emulated_trials_at_once_have_networks_of_their_own(tmp_path: Path) -> None:
    found = sweep(tmp_path, "--workers", "2", "--repeats", "1", "--set", "round_s=0.2")
    assert [row["fan_out"] for row in found["rows"]] == [1, 2, 3]
    assert all(row["runs"] == 1 for row in found["rows"])
    unexplained = [
        json.loads((Path(found["sweep_dir"]) / row["run_dir"] / "health.json").read_text())
        for row in found["rows"]
    ]
    assert [health["unexplained"] for health in unexplained] == [[], [], []]


def said(folder: Path, *more: str) -> tuple[int, str]:
    done = subprocess.run(command(folder, *more), cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stderr


def on_a_disk(of: Path, work: Callable[[], Any]) -> Any:
    """Calls a function with a small disk in place of a folder."""
    of.mkdir()

    def inside() -> Any:
        namespaces.mount("none", str(of), "tmpfs", 0, "size=200k")
        return work()

    return lab.call(inside)


def test_a_full_disk_ends_a_sweep_in_one_line_and_more_room_lets_it_go_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    more = ("--simulate", "--workers", "1", "--repeats", "30")

    def full_then_larger() -> tuple[int, str, list[str], dict[str, Any]]:
        status, words = said(disk, *more)
        left = [str(path) for path in disk.glob(f"sweeps/*/*/{PARTIAL}*")]
        for manifest in results.whole_runs(next(disk.glob("sweeps/*"))):
            results.load(manifest.parent)  # what is there is whole
        remount = 0x20  # MS_REMOUNT
        namespaces.mount("none", str(disk), "tmpfs", remount, "size=20m")
        return status, words, left, sweep(disk, *more)

    status, words, left, later = on_a_disk(disk, full_then_larger)
    assert (status, words.count("\n"), left) == (1, 1, [])
    assert "No space left on device" in words
    assert len(later["rows"]) == 3


@pytest.mark.parametrize("kind", ["run", "simulate", "sweep"])
def test_a_disk_that_is_read_only_is_an_error_of_usage_in_one_line(
    tmp_path: Path, kind: str
) -> None:
    disk = tmp_path / "disk"
    start = [sys.executable, "-m", "testbed", kind, "latency", "--results", str(disk)]
    more = ["--over", "fan_out=1,2"] if kind == "sweep" else []

    def read_only() -> tuple[int, str]:
        namespaces.mount("none", str(disk), "tmpfs", 0x20 | namespaces.MS_RDONLY)
        done = subprocess.run([*start, *more], cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stderr

    status, words = on_a_disk(disk, read_only)
    assert (status, words.count("\n")) == (2, 1)
    assert "Read-only file system; name another one with --results" in words


@pytest.mark.parametrize("kind", ["run", "simulate"])
def test_a_full_disk_ends_a_run_in_one_line_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    disk = tmp_path / "disk"
    words = ["latency", "--results", str(disk), "--protocol", "push", "--set", "nodes=8"]
    more = ["--repeats", "2", "--set", "round_s=0.1"]

    def full() -> tuple[int, str, list[str]]:
        namespaces.mount("none", str(disk), "tmpfs", 0x20, "size=24k")
        done = subprocess.run(
            [sys.executable, "-m", "testbed", kind, *words, *more],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stderr, [p.name for p in disk.glob("*/*")]

    status, said, left = on_a_disk(disk, full)
    assert (status, said.count("\n"), left) == (1, 1, [])
    assert "No space left on device" in said


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
    assert words.endswith("testbed: interrupted; run directories that were whole are kept\n")
    assert not list(tmp_path.glob(f"sweeps/*/*/{PARTIAL}*"))
