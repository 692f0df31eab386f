"""Enters a host of a running lab from a second terminal, as Mininet's `m` does.

The command of each lab leaves a note of it in a directory of its user; the payload leaves the
names of its hosts in the lab's own /run. A host need not have a process: what is entered is the
network namespace that the payload holds open. Labs of another user stay closed; those started with
sudo want sudo.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from testbed.errors import LabError, TestbedError, UsageError, near
from testbed.kernel import namespaces as ns
from testbed.lab import world

_HOSTS = Path("/run/testbed/hosts.json")


@dataclass(frozen=True, slots=True)
class Lab:
    """A running lab, as the note of its command describes it."""

    command: int
    """Process number of the command; what a user calls the lab by."""
    init: int
    """Process number of the lab's first process, as seen from outside."""
    started: str
    """When `init` started, in the kernel's ticks: tells it from a later process of that number."""
    arguments: str

    def __str__(self) -> str:
        return f"{self.command} ({self.arguments})"


def register(hosts: Mapping[str, int]) -> None:
    """Makes hosts known to `main`, by the descriptors of their network namespaces.

    They must stay open in the calling process, the payload of a lab. A second call replaces the
    first. Outside of a lab (--no-lab) there is nothing to attach to, and it does nothing.
    """
    if not world.inside():
        return
    _HOSTS.parent.mkdir(exist_ok=True)
    whole = _HOSTS.with_suffix(".new")
    whole.write_text(json.dumps({"pid": os.getpid(), "hosts": dict(hosts)}))
    whole.rename(_HOSTS)


def main(host: str, command: Sequence[str] = (), run: str | None = None) -> int:
    """Runs a command, by default the user's shell, in a host; returns its exit status.

    `run` is the number of a lab's command or a part of its command line; None: the only lab.
    Raises UsageError for an unknown host or lab, LabError when the kernel does not let us in.
    """
    lab = _find(labs(), run)
    arguments = [*command] or [_shell()]
    if not shutil.which(arguments[0]):
        raise UsageError(f"attach: no command {arguments[0]}; give one that exists")
    if not command and sys.stdin.isatty():
        print(f"{host} of lab {lab}; exit leaves it running", file=sys.stderr)
    refusal, refuse = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of any fork beside threads; this one takes no lock before exec.
        warnings.simplefilter("ignore", DeprecationWarning)
        sys.stdout.flush()
        child = os.fork()
    if not child:
        os.close(refusal)
        _enter(lab, host, arguments, refuse)
    os.close(refuse)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _KEYS}
    try:
        with open(refusal) as reasons:
            kind, _, text = reasons.read().partition(" ")
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if text:
        raise UsageError(text) if kind == UsageError.__name__ else LabError(text)
    return os.waitstatus_to_exitcode(status)


# The keys for these are meant for the attached command.
_KEYS = (signal.SIGINT, signal.SIGQUIT)


def _enter(lab: Lab, host: str, command: list[str], refuse: int) -> NoReturn:
    """Runs in a child with one thread, which the kernel wants for a user namespace."""
    try:
        try:
            _enter_lab(lab)
            harness, descriptor = _known_host(lab, host)
            ns.die_with_parent(signal.SIGKILL)
            attached = os.fork()
            if not attached:
                ns.die_with_parent(signal.SIGHUP)
                _enter_host(harness, descriptor)
                os.environ[world.MARK] = os.readlink("/proc/self/ns/pid")
                for number in _KEYS:
                    signal.signal(number, signal.SIG_DFL)
                os.execvp(command[0], command)
        except OSError as error:
            raise LabError(f"attach: lab {lab}: {error}; try again with sudo") from error
        os.close(refuse)
        for number in _KEYS:
            signal.signal(number, signal.SIG_IGN)
        _, status = os.waitpid(attached, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
    except TestbedError as error:
        os.write(refuse, f"{type(error).__name__} {error}".encode())
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _enter_lab(lab: Lab) -> None:
    directory = os.getcwd()
    process = os.pidfd_open(lab.init)
    if _started(lab.init) != lab.started:
        raise ProcessLookupError("it has ended")
    ns.setns(process, ns.CLONE_NEWUSER)
    ns.setns(process, world.PRIVATE & ~ns.CLONE_NEWUSER)
    os.close(process)
    # The lab sees the same files: only the root of its mounts is another.
    with contextlib.suppress(OSError):
        os.chdir(directory)


def _known_host(lab: Lab, host: str) -> tuple[int, int]:
    try:
        table = json.loads(_HOSTS.read_text())
    except FileNotFoundError:
        raise LabError(
            f"attach: lab {lab} has no hosts yet; wait until its network is up"
        ) from None
    hosts: dict[str, int] = table["hosts"]
    if host not in hosts:
        raise UsageError(f"attach: unknown host {host}; {near(host, hosts)}")
    return table["pid"], hosts[host]


def _enter_host(harness: int, descriptor: int) -> None:
    network = os.open(f"/proc/{harness}/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    ns.setns(network, ns.CLONE_NEWNET)
    os.close(network)
    # As mnexec does, so that /sys/class/net has the host's interfaces and not the lab's.
    ns.unshare(ns.CLONE_NEWNS)
    world.mount_sys()


def _find(running: Sequence[Lab], run: str | None) -> Lab:
    listed = ", ".join(str(lab) for lab in running)
    if not running:
        raise UsageError("attach: no lab of this user is running; one started with sudo wants sudo")
    if run is None:
        if len(running) > 1:
            raise UsageError(f"attach: several labs are running; name one of {listed}")
        return running[0]
    exact = [lab for lab in running if str(lab.command) == run]
    found = exact or [lab for lab in running if run in lab.arguments]
    if len(found) != 1:
        several = "several labs match" if found else "no lab matches"
        raise UsageError(f"attach: {several} {run}; there are {listed}")
    return found[0]


def _shell() -> str:
    return os.environ.get("SHELL") or pwd.getpwuid(os.geteuid()).pw_shell or "/bin/sh"


@contextlib.contextmanager
def announced(init: int) -> Iterator[None]:
    """Leaves a note for `main` of the caller's lab, whose first process is `init`."""
    note: Path | None = None
    # Where no note can be left, a full disk say, the run is worth more than attaching to it.
    with contextlib.suppress(OSError, LabError):
        labs()  # removes the notes of killed labs, which would pile up where nobody attaches
        lab = Lab(os.getpid(), init, _started(init), " ".join(_arguments()))
        note = _directory() / f"{_view()}{init}.json"
        note.write_text(json.dumps(asdict(lab)))
    try:
        yield
    finally:
        if note:
            note.unlink(missing_ok=True)


def labs() -> list[Lab]:
    """Returns this user's running labs, and removes the notes of those that were killed."""
    try:
        notes = sorted(_directory().glob(f"{_view()}*.json"))
    except OSError as error:
        raise LabError(f"attach: {error}") from error
    running = []
    for note in notes:
        with contextlib.suppress(FileNotFoundError):  # it ends as we look
            lab = _read(note)
            if lab is None:
                note.unlink()
            else:
                running.append(lab)
    return running


def _read(note: Path) -> Lab | None:
    try:
        lab = Lab(**json.loads(note.read_text()))
        return lab if _started(lab.init) == lab.started else None
    except ProcessLookupError:
        return None


def _directory() -> Path:
    """The user's own directory of notes; raises PermissionError when others can write to it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK) and os.stat(runtime).st_uid == os.geteuid():
        directory = Path(runtime) / "gossip-testbed"
    else:
        directory = Path(tempfile.gettempdir()) / f"gossip-testbed-{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise PermissionError(f"{directory} is not this user's alone; remove it")
    return directory


def _view() -> str:
    """What the names of the notes begin with: process numbers hold in one PID namespace."""
    return f"{os.stat('/proc/self/ns/pid').st_ino}-"


def _arguments() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def _started(pid: int) -> str:
    """Raises ProcessLookupError when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        raise ProcessLookupError(f"no process {pid}") from None
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":  # dead, and not reaped yet
        raise ProcessLookupError(f"no process {pid}")
    return fields[19]
