"""Tasks in processes of their own: what they answer, and what is said of those that fail."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from testbed.errors import TestbedError, UsageError
from testbed.workers import side_by_side


def worked(**tasks: Callable[[], Any]) -> dict[str, Any]:
    return side_by_side(tasks, lambda *_: None)


def test_answers_come_by_name() -> None:
    assert worked(one=lambda: 1, two=lambda: [2]) == {"one": 1, "two": [2]}


def _raise(error: BaseException) -> None:
    raise error


def test_an_error_of_the_users_is_raised_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="no such file"):
        worked(one=lambda: _raise(UsageError("no such file")))
    assert capfd.readouterr().err == ""


def test_a_bug_is_named_and_its_traceback_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TestbedError, match=r"^C11: ZeroDivisionError: .* by zero; a bug, with"):
        worked(C11=lambda: 1 / 0)
    said = capfd.readouterr().err
    assert "lambda: 1 / 0" in said and "ZeroDivisionError" in said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "Cannot allocate memory; end programs that hold much memory"),
        (OSError(errno.ENOMEM, ""), "Cannot allocate memory; end programs that hold much memory"),
        (OSError(errno.EMFILE, "", "x"), r"x: Too many open files; allow more open files \(ulim"),
        (OSError(errno.ENOSPC, "", "x"), "x: No space left on device; make room"),
    ],
)
def test_what_the_machine_is_short_of_is_no_bug(
    error: Exception, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TestbedError, match=f"^C11: {words}"):
        worked(C11=lambda: _raise(error))
    assert capfd.readouterr().err == ""


def test_another_refusal_of_the_system_is_a_bug() -> None:
    with pytest.raises(TestbedError, match=r"^C11: PermissionError: .*; a bug, with"):
        worked(C11=lambda: _raise(OSError(errno.EACCES, "Permission denied")))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, r"ended by SIGKILL; is memory short\? run the command again"),
        (signal.SIGTERM, r"ended by SIGTERM; run the command again"),
    ],
)
def test_a_signal_that_ends_a_task_is_named(number: int, words: str) -> None:
    with pytest.raises(TestbedError, match=rf"^C1: its process was {words}$"):
        worked(C1=lambda: os.kill(os.getpid(), number))


def test_a_process_that_ends_without_an_answer_is_told() -> None:
    with pytest.raises(TestbedError, match=r"^C1: its process ended with status 3; run"):
        worked(C1=lambda: os._exit(3))
