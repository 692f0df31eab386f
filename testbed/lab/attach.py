"""Enters a host of a running lab from a second terminal, as Mininet's `m` does.

A lab is found by the name of its first process, so that nothing has to be written down, nor is left
of one that was killed; the payload leaves the names of its hosts in the lab's own /run. A host need
not have a process: what is entered is the network namespace that the payload holds open. Labs of
another user stay closed; those started with sudo want sudo.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from testbed.errors import LabError, TestbedError, UsageError, near
from testbed.kernel import namespaces as ns
from testbed.lab import world

_HOSTS = Path("/run/testbed/hosts.json")


@dataclass(frozen=True, slots=True)
class Lab:
    """A running lab, as its processes tell."""

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
    first. Outside of a lab there is nothing to attach to, and it does nothing.
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
        raise UsageError(
            "attach: no lab of this user is running; start one, or use sudo for one started with it"
        )
    if run is None:
        if len(running) > 1:
            raise UsageError(f"attach: several labs are running; add --run and one of {listed}")
        return running[0]
    exact = [lab for lab in running if str(lab.command) == run]
    found = exact or [lab for lab in running if run in lab.arguments]
    if len(found) != 1:
        several = "several labs match" if found else "no lab matches"
        raise UsageError(f"attach: {several} --run {run}; there are {listed}")
    return found[0]


def _shell() -> str:
    return os.environ.get("SHELL") or pwd.getpwuid(os.geteuid()).pw_shell or "/bin/sh"


def labs() -> list[Lab]:
    """Returns this user's running labs, by the number of their command."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ends as we look, or is hidden
                if (lab := _lab_of(entry)) is not None:
                    found.append(lab)
    return sorted(found, key=lambda lab: (lab.command, lab.init))


def _lab_of(process: Path) -> Lab | None:
    """The lab whose first process this is, if it is one, and this user's."""
    if (process / "comm").read_text() != f"{world.NAME}\n":
        return None
    fields = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    command, owner = int(fields["PPid"]), int(fields["Uid"].split()[0])
    # The first process of the lab that we are in ourselves has no parent that we could see.
    if command == 0 or owner != os.geteuid():
        return None
    init = int(process.name)
    return Lab(command, init, _started(init), " ".join(_arguments(command)))


def _arguments(pid: int) -> list[str]:
    """The words of a command line as its user knows them: without the interpreter and its code."""
    line = Path(f"/proc/{pid}/cmdline").read_bytes().removesuffix(b"\0")
    name, *words = [os.fsdecode(word) for word in line.split(b"\0")]
    if not Path(name).name.startswith("python") or not words:
        return [Path(name).name, *words]
    if words[0] == "-c":
        return ["-c", *words[2:]]
    return words[1:] if words[0] == "-m" else [Path(words[0]).name, *words[1:]]


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
