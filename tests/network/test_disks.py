"""What is short on a machine ends a command in one line, and costs nothing that was finished."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed import emulation, experiment, lab, results
from testbed.disk import PARTIAL
from testbed.errors import TestbedError
from testbed.kernel import namespaces
from testbed.progress import Progress

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
REMOUNT = 0x20  # MS_REMOUNT


def said(*words: str) -> tuple[int, str]:
    """Exit status of a command, and what it says on standard error."""
    command = [sys.executable, "-m", "testbed", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stderr


def on_a_disk(of: Path, size: str, work: Callable[[], Any]) -> Any:
    """Calls a function with a small disk in place of a folder."""
    of.mkdir()

    def inside() -> Any:
        namespaces.mount("none", str(of), "tmpfs", 0, f"size={size}")
        return work()

    return lab.call(inside)


def larger(disk: Path) -> None:
    namespaces.mount("none", str(disk), "tmpfs", REMOUNT, "size=20m")


def test_a_full_disk_ends_a_sweep_in_one_line_and_more_room_lets_it_go_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    start = ["sweep", "latency", "--protocol", "push", "--set", "nodes=8", "--results", str(disk)]
    more = ["--over", "fan_out=1,2,3", "--simulate", "--workers", "1", "--repeats", "30"]

    def full_then_larger() -> tuple[int, str, list[str], int, int]:
        status, words = said(*start, *more)
        left = [str(path) for path in disk.glob(f"sweeps/*/*/{PARTIAL}*")]
        for manifest in results.whole_runs(next(disk.glob("sweeps/*"))):
            results.load(manifest.parent)  # what is there is whole
        larger(disk)
        later, _ = said(*start, *more)
        return status, words, left, later, len(results.whole_runs(next(disk.glob("sweeps/*"))))

    status, words, left, later, trials = on_a_disk(disk, "200k", full_then_larger)
    assert (status, words.count("\n"), left) == (1, 1, [])
    assert "No space left on device" in words
    assert (later, trials) == (0, 3)


@pytest.mark.parametrize("kind", ["run", "simulate", "sweep"])
def test_a_disk_that_is_read_only_is_an_error_of_usage_in_one_line(
    tmp_path: Path, kind: str
) -> None:
    disk = tmp_path / "disk"
    more = ["--over", "fan_out=1,2"] if kind == "sweep" else []

    def read_only() -> tuple[int, str]:
        namespaces.mount("none", str(disk), "tmpfs", REMOUNT | namespaces.MS_RDONLY)
        return said(kind, "latency", "--results", str(disk), *more)

    status, words = on_a_disk(disk, "200k", read_only)
    assert (status, words.count("\n")) == (2, 1)
    assert "Read-only file system; name another one with --results" in words


@pytest.mark.parametrize("kind", ["run", "simulate"])
def test_a_full_disk_ends_a_run_in_one_line_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    disk = tmp_path / "disk"
    words = [kind, "latency", "--results", str(disk), "--protocol", "push", "--set", "nodes=8"]

    def full() -> tuple[int, str, list[str]]:
        status, text = said(*words, "--repeats", "2", "--set", "round_s=0.1")
        return status, text, [path.name for path in disk.glob("*/*")]

    status, text, left = on_a_disk(disk, "24k", full)
    assert (status, text.count("\n"), left) == (1, 1, [])
    assert "No space left on device; make room, or name another folder" in text


def test_a_disk_that_is_full_when_plots_are_drawn_keeps_the_run(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    words = ["--protocol", "push", "--set", "nodes=8,16", "--repeats", "2"]

    def full_then_larger() -> tuple[int, str, list[str], int]:
        status, text = said("simulate", "latency", "--results", str(disk), *words)
        rests = [path.name for path in disk.rglob(f"{PARTIAL}*")]
        larger(disk)
        drawn, _ = said("plot", "latency", "--results", str(disk))
        return status, text, rests, drawn

    status, text, rests, drawn = on_a_disk(disk, "120k", full_then_larger)
    assert (status, text.count("\n"), rests, drawn) == (1, 1, [], 0)
    assert "plots: No space left on device; make room; the run is whole: testbed plot " in text


def test_a_validation_whose_disk_was_full_goes_on_and_runs_nothing_again(tmp_path: Path) -> None:
    """Its plots find no room: 80 kB of a run, or twice that on a busy machine, and 170 of them."""
    disk = tmp_path / "disk"
    words = ["validate", "C11", "--quick", "--results", str(disk), "--set", "protocol=push"]
    words += ["--set", "nodes=8,16", "--set", "rounds=2", "--set", "round_s=0.2"]

    def full_then_larger() -> tuple[int, str, list[str], int]:
        status, text = said(*words)
        larger(disk)
        before = sorted(path.name for path in disk.glob("core_load/2*"))
        later, _ = said(*words, "--resume")
        assert sorted(path.name for path in disk.glob("core_load/2*")) == before
        return status, text, before, later

    status, text, runs, later = on_a_disk(disk, "200k", full_then_larger)
    assert (status, text.count("\n"), later) == (1, 1, 4)
    assert "No space left on device; make room; experiments that were whole are kept: --res" in text
    assert runs


def emulated(folder: Path) -> Path:
    settings = ("protocol=push", "nodes=8", "round_s=0.1")
    # Minutes of runs: what is short ends them long before.
    small = experiment.load("latency", settings=settings, repeats=5000)
    return emulation.emulate(small, seed=1, folder=folder, progress=Progress())


@pytest.mark.parametrize(
    ("room", "words"),
    [
        ("nr_inodes=1", "No space left on device; make room, or ask for fewer nodes"),
        ("size=60k", "no space left for the agents' traces; .* fewer runs or nodes"),
    ],
    ids=["at the start", "in a run"],
)
def test_a_lab_without_room_for_traces_is_said_to_be(tmp_path: Path, room: str, words: str) -> None:
    def full() -> None:
        namespaces.mount("none", "/run", "tmpfs", 0, room)
        emulated(tmp_path)

    with pytest.raises(TestbedError, match=rf"^/run/trace-\w+: {words}"):
        lab.call(full)
    assert list(tmp_path.glob("latency/*")) == []
