"""Run directories: whole or not there."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from pathlib import Path

import pandas as pd
import pytest

from testbed import disk, results
from testbed.disk import PARTIAL
from testbed.errors import TestbedError, UsageError
from testbed.intact import RunError
from testbed.lab import world
from testbed.tables import COLUMNS


def write_whole(folder: Path, experiment: str = "latency", seed: int = 7) -> Path:
    with results.new_run(folder, experiment, seed) as directory:
        for name in results.TABLES:
            directory.write_table(name, pd.DataFrame(columns=list(COLUMNS[name])))
        named = {"experiment": {"name": experiment, "cells": []}, "seed": seed}
        directory.write_json("manifest.json", {"format": results.FORMAT, **named})
        directory.write_json("health.json", {"ok": True, "reasons": [], "unexplained": []})
        return directory.finish()


def test_a_whole_run_is_read_back(tmp_path: Path) -> None:
    tables = results.load(write_whole(tmp_path))
    assert tables.manifest["seed"] == 7
    assert list(tables.runs) == list(COLUMNS["runs"])


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    write_whole(tmp_path, seed=1)
    newest = write_whole(tmp_path, seed=2)
    assert results.find("latency", tmp_path) == newest


def test_latest_alone_is_the_newest_run_of_all_experiments(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run 'latest': no such run directory"):
        results.find("latest", tmp_path)
    write_whole(tmp_path, seed=1)
    with results.new_run(tmp_path, "core_load", 2) as directory:
        directory.write_json("manifest.json", {})
        newest = directory.finish()
    assert results.find("latest", tmp_path) == newest


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_is_broken_off_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), results.new_run(tmp_path, "latency", 7) as directory:
        directory.write_json("manifest.json", {})
        raise error
    assert list((tmp_path / "latency").iterdir()) == []


def test_a_partial_run_is_not_read(tmp_path: Path) -> None:
    partial = tmp_path / "latency" / f"{PARTIAL}x"
    partial.mkdir(parents=True)
    (partial / "manifest.json").write_text(json.dumps({"format": results.FORMAT}))
    with pytest.raises(RunError, match="never finished"):
        results.load(partial)
    assert results.whole_runs(tmp_path) == []


def test_an_abandoned_partial_run_is_removed_and_a_live_one_stays(tmp_path: Path) -> None:
    dead, live = (tmp_path / "latency" / f"{PARTIAL}{name}" for name in ("dead", "live"))
    dead.mkdir(parents=True)
    live.mkdir()
    lock = os.open(live, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert results.remove_abandoned(tmp_path) == [dead]
    assert live.is_dir()
    os.close(lock)
    assert results.remove_abandoned(tmp_path) == [live]


def test_the_run_under_way_is_not_taken_for_an_abandoned_one(tmp_path: Path) -> None:
    with results.new_run(tmp_path, "latency", 7) as directory:
        assert results.remove_abandoned(tmp_path) == []
        assert directory.partial.is_dir()


def test_another_format_is_refused_by_number(tmp_path: Path) -> None:
    run = write_whole(tmp_path)
    (run / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match=r"format 99, this version reads 2"):
        results.load(run)


@pytest.mark.parametrize("name", ["health.json", "manifest.json", "events.parquet"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    run = write_whole(tmp_path)
    (run / name).unlink()
    with pytest.raises(RunError, match=rf"{name}: missing"):
        results.load(run)


def test_a_truncated_table_is_named(tmp_path: Path) -> None:
    run = write_whole(tmp_path)
    table = run / "events.parquet"
    table.write_bytes(table.read_bytes()[:-10])
    with pytest.raises(RunError, match=r"events.parquet: not a whole Parquet file"):
        results.load(run)


def test_the_disk_knows_that_a_run_was_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "latency" / "one"
    run_dir.mkdir(parents=True)
    told: list[Path] = []
    monkeypatch.setattr(disk, "fsync", told.append)
    results.discard(run_dir)
    assert told == [run_dir.parent] and not any(run_dir.parent.iterdir())


def test_an_unknown_run_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    write_whole(tmp_path)
    with pytest.raises(UsageError, match=r"run 'latencie': no such run.*latency"):
        results.find("latencie", tmp_path)


def test_a_results_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"results folder .*file/x: Not a directory; name another"):
        results.check_writable(tmp_path / "file" / "x")


def test_the_disk_knows_of_a_new_results_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Path] = []
    monkeypatch.setattr(disk, "fsync", told.append)
    results.check_writable(tmp_path / "results")
    assert told == [tmp_path]


@pytest.mark.parametrize("folder", ["/run/results", "/run", "/run/lock/../results"])
def test_a_results_folder_that_a_lab_covers_is_a_usage_error(folder: str) -> None:
    with pytest.raises(UsageError, match=r"a lab has a /run of its own"):
        results.check_writable(Path(folder))
    assert not Path("/run/results").exists()
    assert not world.covers(Path("/run/user/0/results"))
    assert not world.covers(Path("/runs"))


def test_who_has_the_lock_of_a_removed_directory_leaves_its_successor_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command removes what was abandoned, and a run begins, between open and lock."""
    abandoned = tmp_path / "latency" / f"{PARTIAL}1"
    abandoned.mkdir(parents=True)
    lock = fcntl.flock

    def late(descriptor: int, flags: int) -> None:
        if abandoned.exists():
            abandoned.rmdir()
        abandoned.mkdir()
        lock(descriptor, flags)

    monkeypatch.setattr(fcntl, "flock", late)
    assert results.remove_abandoned(tmp_path) == []
    assert abandoned.is_dir()


def test_runs_that_begin_and_clear_up_at_once_do_no_harm(tmp_path: Path) -> None:
    """As several commands in one results folder: no run loses its directory to another."""
    end = threading.Event()

    def clear() -> None:
        while not end.is_set():
            results.remove_abandoned(tmp_path)

    threads = [threading.Thread(target=clear) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for seed in range(100):
            with results.new_run(tmp_path, "latency", seed) as directory:
                directory.write_json("manifest.json", {"format": results.FORMAT})
                directory.finish()
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert len(results.whole_runs(tmp_path)) == 100
    assert not list((tmp_path / "latest").glob(".*"))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EMFILE, r"latency: Too many open files; allow more open files \(ulimit -n\)"),
        (errno.ENOSPC, "/run/trace-1: No space left on device; make room"),
    ],
)
def test_what_is_short_while_a_run_is_made_is_not_laid_to_its_folder(
    tmp_path: Path, number: int, words: str
) -> None:
    name = "/run/trace-1" if number == errno.ENOSPC else None
    words = f"^{words}, or ask for fewer nodes$"
    with pytest.raises(TestbedError, match=words), results.new_run(tmp_path, "latency", 7):
        raise OSError(number, os.strerror(number), name)
    assert list((tmp_path / "latency").iterdir()) == []


def test_a_bug_while_a_run_is_made_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ProcessLookupError), results.new_run(tmp_path, "latency", 7):
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))


def test_under_sudo_all_that_was_made_belongs_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, tuple[int, int]] = {}
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "567")
    monkeypatch.setattr(os, "lchown", lambda path, *to: given.update({str(path): to}))
    run = write_whole(tmp_path)
    made = {tmp_path, run.parent, run.parent / "latest", run, *run.rglob("*")}
    assert given == dict.fromkeys(map(str, made), (1234, 567))
