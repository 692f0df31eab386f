"""The outer end of a lab: the loop of the command that waits for it.

The keeper forks the lab (testbed.lab.world), writes its user and group maps, which only a process
outside may do, forwards signals, watches the command's ancestors, and returns when the kernel has
ended every process of the lab.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from testbed.errors import LabError, LabRefused
from testbed.lab import ancestors, obstacles, world
from testbed.lab.world import FORWARDED, Message

_CREDENTIALS = struct.Struct("3i")  # struct ucred: process, user, group

_KILLED = 128 + signal.SIGKILL


class Keeper:
    """Runs one function in one lab, once."""

    def __init__(self, shell: bool, grace_s: float) -> None:
        self._shell = shell
        self._grace_s = grace_s
        self._catch_signals = threading.current_thread() is threading.main_thread()
        self._stack = contextlib.ExitStack()
        self._poller = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._lifeline, self._lab_lifeline = -1, -1
        self._channel, self._lab_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # The kernel adds the sender's process number, as seen from here, to each message.
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._child = 0
        self._init = 0
        self._ended = False
        self._silent = False
        self._failure: LabError | None = None
        self._status: int | None = None
        self._asked = 0  # the last signal forwarded
        self._deadline: float | None = None

    def run(self, main: Callable[[], int]) -> int:
        with self._stack:
            self._stack.enter_context(
                _terminal_kept(lambda: self._status is None or self._status < 0)
            )
            self._start(main)
            while not self._ended:
                self._turn()
            self._drain()
        if self._failure:
            raise self._failure
        if self._status is not None:
            return self._status if self._status >= 0 else 128 - self._status
        return 128 + self._asked if self._asked else _KILLED

    def _start(self, main: Callable[[], int]) -> None:
        self._lab_lifeline, self._lifeline = os.pipe()
        self._stack.callback(self._channel.close)
        self._stack.callback(self._reap)
        self._stack.callback(self._cut)
        if self._catch_signals:
            wake = self._stack.enter_context(_signals_caught())
            self._watch(wake, lambda: self._on_signals(os.read(wake, 512)))
        for ancestor in ancestors.held():
            self._stack.callback(os.close, ancestor)
            self._watch(ancestor, self._orphaned(ancestor))
        sys.stdout.flush()
        sys.stderr.flush()
        # Until the payload has its handlers, a signal must not end one half of a lab.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of any fork beside threads; see lab.run on threads.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._child = os.fork()
            if not self._child:
                os.close(self._lifeline)
                self._channel.close()
                world.enter(
                    self._lab_channel, self._lab_lifeline, main, self._catch_signals, self._shell
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(self._lab_lifeline)
        self._lab_channel.close()
        self._watch(self._channel.fileno(), self._on_message)

    def _watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._poller.register(descriptor, select.POLLIN)
        self._handlers[descriptor] = handler

    def _turn(self) -> None:
        left_ms = None
        if self._deadline is not None:
            left_ms = max(0.0, self._deadline - time.monotonic()) * 1000
        ready = self._poller.poll(left_ms)
        for descriptor, _ in ready:
            self._handlers[descriptor]()
        if not ready:
            self._deadline = None
            name = signal.Signals(self._asked).name
            print(f"lab: not over {self._grace_s:g} s after {name}; ending it", file=sys.stderr)
            self._cut()

    def _on_message(self) -> None:
        """Takes one message; raises BlockingIOError when there is none."""
        message: bytes = b""
        extra: list[tuple[int, int, bytes]] = []
        with contextlib.suppress(ConnectionResetError):  # the lab died before it read an answer
            space = socket.CMSG_SPACE(_CREDENTIALS.size)
            message, extra, _, _ = self._channel.recvmsg(65536, space)
        if not message:
            self._poller.unregister(self._channel)
            # Without a first process there is nothing else to wait for.
            self._ended = self._ended or not self._init
            self._silent = True
            return
        sender, _, _ = _CREDENTIALS.unpack(extra[0][2])
        if sender != self._child and not self._init:
            self._adopt(sender)
        self._take(*json.loads(message))

    def _adopt(self, init: int) -> None:
        self._reap()  # the child has done its part
        self._init = init
        descriptor = os.pidfd_open(init)
        self._stack.callback(os.close, descriptor)
        self._watch(descriptor, self._on_end)

    def _take(self, kind: str, value: Any) -> None:
        if kind == Message.UNSHARED:
            try:
                _write_maps(self._child)
            except OSError as error:
                text = obstacles.explain("maps", error.errno or 0, str(error))
                self._failure = LabRefused(text)
                self._channel.shutdown(socket.SHUT_WR)
            else:
                self._go()
        elif kind == Message.UP:
            self._go()
        elif kind == Message.FAILED:
            step, number, text = value
            self._failure = LabRefused(obstacles.explain(step, number, text))
        elif kind == Message.STATUS:
            self._status = value

    def _go(self) -> None:
        with contextlib.suppress(OSError):  # the lab has just been killed
            self._channel.send(world.GO)

    def _on_end(self) -> None:
        self._ended = True

    def _on_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number in FORWARDED:
                self._ask(number)

    def _orphaned(self, ancestor: int) -> Callable[[], None]:
        def handler() -> None:
            self._poller.unregister(ancestor)
            self._ask(signal.SIGHUP)

        return handler

    def _ask(self, number: int) -> None:
        """Has the payload end itself; the lab is ended when it takes too long."""
        if self._lifeline < 0:
            return
        self._asked = number
        with contextlib.suppress(BrokenPipeError):  # it has just ended
            os.write(self._lifeline, bytes([number]))
        if self._deadline is None and not (self._shell and number == signal.SIGINT):
            self._deadline = time.monotonic() + self._grace_s

    def _cut(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _drain(self) -> None:
        """Takes what the lab said before its end; there may be nothing."""
        self._channel.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while not self._silent:
                self._on_message()
        if self._status is None and not self._init:
            killed = "the lab was killed while it was made; run it again"
            self._failure = self._failure or LabError(killed)

    def _reap(self) -> None:
        for child in (self._child, self._init):
            if child:
                with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored
                    os.waitpid(child, 0)
        self._child = 0


def _write_maps(child: int) -> None:
    """Maps root's users and groups to themselves, a plain user's own to root.

    Root keeps all of its ids, so that results can be given to the user behind sudo.
    """
    directory = Path(f"/proc/{child}")
    if os.geteuid() == 0:
        for kind in ("gid_map", "uid_map"):
            extents = [line.split() for line in Path(f"/proc/self/{kind}").read_text().splitlines()]
            same = "".join(f"{first} {first} {count}\n" for first, _, count in extents)
            (directory / kind).write_text(same)
        return
    # A group map by a plain user wants this: setgroups could drop a group that forbids access.
    (directory / "setgroups").write_text("deny")
    (directory / "gid_map").write_text(f"0 {os.getegid()} 1")
    (directory / "uid_map").write_text(f"0 {os.geteuid()} 1")


@contextlib.contextmanager
def _signals_caught() -> Iterator[int]:
    """Yields a pipe that receives the number of each forwarded signal instead of its effect."""
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    wakeup = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    before = {
        number: signal.signal(number, lambda *_: None)
        for number in FORWARDED
        # Ignored means nohup, or a job in the background: it stays so, also in the lab.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield wake
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(wake)
        os.close(waker)


@contextlib.contextmanager
def _terminal_kept(broken: Callable[[], bool]) -> Iterator[None]:
    """Puts the terminal's modes back if, at the end, the lab was `broken` off.

    A payload that is killed at a prompt leaves the terminal without echo.
    """
    try:
        modes = termios.tcgetattr(0)
        foreground = os.tcgetpgrp(0) == os.getpgrp()
    except (OSError, termios.error):
        modes, foreground = None, False
    try:
        yield
    finally:
        if modes and foreground and broken():
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(0, termios.TCSADRAIN, modes)
