"""Tasks in processes of their own, some at a time: a crash costs one task, and memory is freed.

Each is forked from the command, so that nothing is imported twice, and dies with it. What a task
answers, or the error that it ends with, comes through a pipe. An exception that is no error of the
user's, and none for want of memory, files or room, is a bug: its traceback goes to standard error,
and the command ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from testbed import disk
from testbed.errors import TestbedError
from testbed.kernel import namespaces
from testbed.lab import GRACE_S

Task = TypeVar("Task")

_fork = multiprocessing.get_context("fork")


@dataclass
class _Worker(Generic[Task]):
    task: Task
    process: Any
    answers: Connection
    began: float
    crowd: int
    """The most workers that there were at once during its life, itself included."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[Task]):
    """What became of a task; raises when it failed."""

    task: Task
    value: Any
    seconds: float
    crowd: int


class Workers(Generic[Task]):
    """A context manager; processes that are left at its end are ended.

    `str` of a task is what errors call it.
    """

    def __init__(self, work: Callable[[Task], Any]) -> None:
        """`work` runs in the worker; what it returns must be picklable."""
        self._work = work
        self._busy: list[_Worker[Task]] = []

    def __enter__(self) -> Workers[Task]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._busy:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE_S
        for worker in self._busy:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.join()

    def __len__(self) -> int:
        return len(self._busy)

    def start(self, task: Task) -> None:
        """Starts on a task."""
        answers, end = _fork.Pipe(duplex=False)
        process = _fork.Process(target=_serve, args=(self._work, task, end, os.getpid()))
        process.start()
        end.close()
        self._busy.append(_Worker(task, process, answers, time.monotonic(), 0))
        for worker in self._busy:
            worker.crowd = max(worker.crowd, len(self._busy))

    def work_off(self, waiting: deque[Task], at_once: Callable[[], int]) -> Iterator[Answer[Task]]:
        """Starts what waits, as many as `at_once` says by then, and yields the answers.

        What is done with an answer may add to `waiting`. Raises as `answers` does.
        """
        while waiting or self._busy:
            while waiting and len(self._busy) < at_once():
                self.start(waiting.popleft())
            yield from self.answers()

    def answers(self) -> Iterator[Answer[Task]]:
        """Waits for a worker to end, and yields what those that have ended answer.

        Raises the error of one that failed, `TestbedError` for one that a bug or a signal ended.
        """
        ready = wait([worker.answers for worker in self._busy])
        for worker in [each for each in self._busy if each.answers in ready]:
            failure, value = None, None
            try:
                failure, value = worker.answers.recv()
                worker.process.join()
            except (EOFError, OSError):  # ended before its answer, or in the midst of it
                worker.process.join()
                failure = TestbedError(f"{worker.task}: {_ended(worker.process.exitcode)}")
            worker.answers.close()
            self._busy.remove(worker)
            if failure is not None:
                raise failure
            yield Answer(worker.task, value, time.monotonic() - worker.began, worker.crowd)


def side_by_side(
    tasks: Mapping[str, Callable[[], Any]], done: Callable[[str, int], None]
) -> dict[str, Any]:
    """What tasks return, by name: one for each processor at a time, the last named first.

    `done` is told of each that ends, and how many are left. Raises what a task raises.
    """
    waiting = deque(reversed(list(tasks)))
    answers: dict[str, Any] = {}
    processors = len(os.sched_getaffinity(0))
    with Workers[str](lambda name: tasks[name]()) as busy:
        for answer in busy.work_off(waiting, lambda: processors):
            answers[answer.task] = answer.value
            done(answer.task, len(waiting) + len(busy))
    return answers


def _ended(status: int) -> str:
    """How a process ended that did not answer; -9 stands for SIGKILL."""
    if status >= 0:
        return f"its process ended with status {status}; run the command again"
    name = signal.Signals(-status).name
    short = " is memory short?" if status == -signal.SIGKILL else ""
    return f"its process was ended by {name};{short} run the command again"


def _serve(work: Callable[[Task], Any], task: Task, answers: Connection, parent: int) -> None:
    # Forked by the only thread of the command: the kernel's word for "with the parent" holds.
    namespaces.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        return
    answer: tuple[TestbedError | None, Any]
    try:
        answer = None, work(task)
    except KeyboardInterrupt:
        return
    except TestbedError as error:
        answer = error, None
    except Exception as error:
        words = disk.shortage(error)
        if not words:
            traceback.print_exc()
            words = f"{type(error).__name__}: {error}; a bug, with its traceback above"
        answer = TestbedError(f"{task}: {words}"), None
    with suppress(BrokenPipeError):
        answers.send(answer)
