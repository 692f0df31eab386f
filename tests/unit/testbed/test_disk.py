"""Files and folders: whole or not there, and in plain words why not."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from testbed import disk
from testbed.disk import ResultsError


def refused(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "verdicts.json"
    disk.write_whole(path, "old")

    def full(_: int) -> None:
        raise refused(errno.ENOSPC)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultsError, match=r"verdicts\.json: No space left"):
        disk.write_whole(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["verdicts.json"]


def test_the_disk_knows_of_each_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Path] = []
    monkeypatch.setattr(disk, "fsync", told.append)
    disk.make(tmp_path / "sweeps" / "latency-1" / "latency")
    assert set(told) == {tmp_path, tmp_path / "sweeps", tmp_path / "sweeps" / "latency-1"}
    told.clear()
    disk.make(tmp_path / "sweeps")
    assert told == []


def test_a_folder_is_made_where_one_may_write_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def open_(path: Path, flags: int) -> int:
        if path == tmp_path:  # mode 0733; the tests' user may be root, who may read all
            raise refused(errno.EACCES)
        return opened(path, flags)

    monkeypatch.setattr(os, "open", open_)
    disk.make(tmp_path / "results" / "latency")
    assert (tmp_path / "results" / "latency").is_dir()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room, or name another folder with --results DIR"),
        (errno.EDQUOT, "make room, or name another folder with --results DIR"),
        (errno.EACCES, "name another folder with --results DIR"),
        (errno.EROFS, "name another folder with --results DIR"),
        (errno.EMFILE, r"allow more open files \(ulimit -n\)"),
        (errno.ENOMEM, "end programs that hold much memory"),
    ],
)
def test_the_remedy_fits_what_was_refused(tmp_path: Path, number: int, remedy: str) -> None:
    words = rf"/x: {os.strerror(number)}; {remedy}$"
    with pytest.raises(ResultsError, match=words), disk.writing(tmp_path / "x"):
        raise refused(number)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "; make room"),
        (errno.EACCES, ""),
        (errno.EMFILE, "; allow more open files (ulimit -n)"),
    ],
)
def test_another_folder_is_no_remedy_once_something_is_kept(
    tmp_path: Path, number: int, remedy: str
) -> None:
    with pytest.raises(ResultsError) as refusal, disk.writing(tmp_path / "x"):
        raise refused(number)
    across = pickle.loads(pickle.dumps(refusal.value))  # as from a worker
    said = str(across.keeping("trials are kept"))
    assert said == f"{tmp_path}/x: {os.strerror(number)}{remedy}; trials are kept"
