"""The inside of a lab: how its world is made, and the first process in it.

The command (testbed.lab) forks; the child unshares, forks the lab's PID 1 and is gone; PID 1
mounts what must be private and forks the payload. When PID 1 ends, for whatever reason, the kernel
kills every process of the lab and drops its mounts, interfaces and namespaces. PID 1 ends with the
payload, and when the pipe from the command, the lifeline, has no writer any more.

Left as outside: the files, /tmp, /dev and the terminal. A lab keeps a run from leaving anything on
the machine; it is no fence against a program that means harm.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from testbed.kernel import namespaces as ns

PRIVATE = (
    ns.CLONE_NEWUSER
    | ns.CLONE_NEWNS
    | ns.CLONE_NEWPID
    | ns.CLONE_NEWNET
    | ns.CLONE_NEWIPC
    | ns.CLONE_NEWUTS
)
"""The kinds of namespace that a lab has of its own."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What the command passes on to the payload."""

NAME = "testbed-lab"
"""What the first process of a lab is called; `testbed attach` finds labs by it."""

MARK = "GOSSIP_TESTBED_LAB"
"""In the environment of a lab's processes: the PID namespace of the lab."""

# `timeout` sends one signal to its command and then to its group; sudo and make may pass one on
# that came from the terminal. A person hardly presses Ctrl-C again as fast as this.
_ONE_EVENT_S = 0.5

# A signal of the terminal comes to the command, to PID 1 and to the payload, in any order.
_GROUP_S = 0.05

# Python loses a signal that comes just before a system call that blocks: its handler runs when the
# call returns (seen with read(2), once in some 80 signals). A second one ends the call.
_AGAIN_S = 0.1

# A namespace and its sockets stay open for every host: 8,192 hosts need some 30,000 descriptors.
# No more than that, because each mnexec closes all up to the limit one by one: 0.2 us a number.
_DESCRIPTORS = 65_536

_PLAIN = ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC

# What a command may use of /run: the user's own runtime directory, and removable disks.
_RUN_KEPT = ("user", "media")


GO = b"go"
"""The command's answer to UNSHARED, when the ids are mapped, and to UP."""


class Message:
    """The kinds of message from the lab to the command, one JSON object each."""

    UNSHARED = "unshared"
    UP = "up"
    FAILED = "failed"
    STATUS = "status"


def send(channel: socket.socket, kind: str, value: object = None) -> None:
    channel.send(json.dumps([kind, value]).encode())


def inside() -> bool:
    """True in every process of a lab, one that was started by exec included."""
    return os.environ.get(MARK) == os.readlink("/proc/self/ns/pid")


def enter(
    channel: socket.socket, lifeline: int, main: Callable[[], int], catch_signals: bool, shell: bool
) -> NoReturn:
    """Turns the command's forked child, with the forwarded signals blocked, into the lab."""
    step = "unshare"
    try:
        ns.unshare(PRIVATE)
        send(channel, Message.UNSHARED)
        if channel.recv(16) != GO:
            os._exit(1)
        step = "clone"
        # As the command's own child PID 1 is reaped by it, also where nobody reaps orphans.
        if ns.fork_sibling():
            os._exit(0)
        step = "mounts"
        _mount_private()
        step = "loopback"
        _loopback_up()
        _raise_descriptors()
        send(channel, Message.UP)
        if channel.recv(16) != GO:
            os._exit(1)
        _serve(channel, lifeline, main, catch_signals, shell)
    except OSError as error:
        with contextlib.suppress(OSError):
            send(channel, Message.FAILED, [step, error.errno, str(error)])
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def covers(path: Path) -> bool:
    """Whether a lab has a place of its own there: what is put there inside is gone with it."""
    parts = path.resolve().parts
    return parts[:2] == ("/", "run") and parts[2:3] not in [(name,) for name in _RUN_KEPT]


def _mount_private() -> None:
    # A disk mounted or unmounted outside shows in here; nothing in here shows outside.
    ns.mount("none", "/", "", ns.MS_REC | ns.MS_SLAVE)
    ns.mount("proc", "/proc", "proc", _PLAIN)
    mount_sys()
    old_run = os.open("/run", os.O_PATH | os.O_DIRECTORY)
    ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=755")
    for name in _RUN_KEPT:
        source = f"/proc/self/fd/{old_run}/{name}"
        if os.path.isdir(source):
            os.mkdir(f"/run/{name}")
            ns.mount(source, f"/run/{name}", "", ns.MS_BIND | ns.MS_REC)
    os.close(old_run)
    os.makedirs("/run/lock")


def mount_sys() -> None:
    """Mounts a /sys with the interfaces of the caller's network namespace."""
    try:
        ns.mount("sysfs", "/sys", "sysfs", _PLAIN)
    except PermissionError:
        # Where the outer /sys is read-only, as in many containers, a new one must be so too.
        ns.mount("sysfs", "/sys", "sysfs", _PLAIN | ns.MS_RDONLY)


def _loopback_up() -> None:
    get_flags, set_flags, up = 0x8913, 0x8914, 0x1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = fcntl.ioctl(probe, get_flags, struct.pack("16sH14x", b"lo", 0))
        (flags,) = struct.unpack_from("H", request, 16)
        fcntl.ioctl(probe, set_flags, struct.pack("16sH14x", b"lo", flags | up))


def _raise_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _serve(
    channel: socket.socket, lifeline: int, main: Callable[[], int], catch_signals: bool, shell: bool
) -> NoReturn:
    """PID 1: forwards the command's signals, reaps orphans, and ends when it must."""
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    early = [number for number in FORWARDED if _taken(number, 0.0)]
    comm = Path("/proc/self/comm")
    command = comm.read_text()
    comm.write_text(NAME)
    payload = os.fork()
    if not payload:
        comm.write_text(command)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (wake, waker, lifeline):
            os.close(descriptor)
        channel.close()
        _run_payload(main, catch_signals, shell)
    for missed in early:
        os.kill(payload, missed)
    poller = select.poll()
    poller.register(lifeline, select.POLLIN)
    poller.register(wake, select.POLLIN)
    again: tuple[float, int] | None = None
    while True:
        left_ms = max(0.0, again[0] - time.monotonic()) * 1000 if again else None
        for descriptor, _ in poller.poll(left_ms):
            received = os.read(descriptor, 512)
            if descriptor != lifeline:
                continue
            if not received:
                os._exit(0)
            for number in received:
                if not _taken(number, _GROUP_S):
                    os.kill(payload, number)
                    again = time.monotonic() + _AGAIN_S, number
        if again and time.monotonic() >= again[0]:
            os.kill(payload, again[1])
            again = None
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == payload:
                send(channel, Message.STATUS, os.waitstatus_to_exitcode(ended[1]))
                os._exit(0)


def _taken(number: int, timeout_s: float) -> bool:
    """Takes a blocked signal of PID 1: what it got, the payload got too, being of its group.

    A second KeyboardInterrupt beside the first harms: in Python 3.11 `input` answers two signals
    at once with a SystemError.
    """
    return signal.sigtimedwait([number], timeout_s) is not None


def _run_payload(main: Callable[[], int], catch_signals: bool, shell: bool) -> NoReturn:
    atexit._clear()  # the command runs its own; those registered from here on run at the end
    os.environ[MARK] = os.readlink("/proc/self/ns/pid")
    complete_environment()
    endings = _Endings(shell)
    if catch_signals:
        for number in FORWARDED:
            # Ignored from the start means nohup, or a job in the background: it stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, endings.receive)
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        status = main()
    except SystemExit as end:
        status = _exit_status(end)
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    if status == 128 + signal.SIGINT and endings.last:
        status = 128 + endings.last  # as a shell would have it: 143 after SIGTERM
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status if 0 <= status <= 255 else 1)


def complete_environment() -> None:
    """Adds what programs of a lab rely on and not every caller has."""
    # Mininet's popen(shell=True) takes the shell from here; cron, systemd and CI set none.
    os.environ.setdefault("SHELL", "/bin/sh")
    # nft, tc and brctl live where a plain user's PATH does not look.
    path = os.environ.get("PATH", os.defpath).split(":")
    missing = [folder for folder in ("/usr/sbin", "/sbin") if folder not in path]
    os.environ["PATH"] = ":".join([*path, *missing])


class _Endings:
    """Turns the signals that ask the payload to end into exceptions, one for each event."""

    def __init__(self, shell: bool) -> None:
        self.last = 0
        self._shell = shell
        self._at = -_ONE_EVENT_S

    def receive(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        fresh = now - self._at >= _ONE_EVENT_S
        self._at = now
        if not fresh:
            return
        self.last = number
        if self._shell and number != signal.SIGINT:
            # A command line takes KeyboardInterrupt as the end of a command, not of itself.
            raise SystemExit(128 + number)
        raise KeyboardInterrupt


def _exit_status(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1
