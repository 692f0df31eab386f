"""Kills one process of a running command at a random instant, and looks for what is left of it.

All happens in a lab with a /tmp of its own, so that every process, interface, mount and file there
is the command's. The command stands below all that a user may put above it: `sh -c`, a stand-in for
sudo, make, and the shell of the recipe. Half of the commands would go on for minutes: what outlives
them has not merely come to its end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from random import Random

from testbed import lab, results
from testbed.disk import PARTIAL
from testbed.kernel import namespaces
from testbed.lab import world
from testbed.shaping.nfqueue import Nfqueue
from testbed.shaping.pick import choose
from topologies import two_subnets

ROOT = Path(__file__).parents[2]
WAIT = '"$@"; exit $?'

INTO_S = {"start": 0.5, "build": 1.0, "run": 1.5, "stop": 1.0}
"""How long each phase of the short command takes on 2 idle cores: before there is a lab, until
there are agents, with them, and after them. An instant is drawn from so long after the beginning
of a phase, so that a slow machine has its kills in all of them, too."""
LIFE_S = 25.0
GONE_S = lab.GRACE_S + 10.0
"""By then all must be gone; what lives on runs for `LONG` multicasts, over a minute."""
SHORT, LONG = 2, 5000
FONTS = (".cache/matplotlib", ".config/matplotlib")
ORDER = tuple(INTO_S)
MISSES = 10
"""In a row that mean that something is wrong; of roles that come late, half may miss."""

_CHAIN = ("shell", "sudo", "make", "recipe", "command")
PHASES = {
    **dict.fromkeys(_CHAIN, ("start", "build", "run", "stop")),
    **dict.fromkeys(("lab", "payload"), ("build", "run", "stop")),
    **dict.fromkeys(("zygote", "queue"), ("build", "run")),
    "agent": ("run",),
}
"""When there is a process to play each role."""
_SURVIVED = ("agent", "queue")
"""Roles whose death ends the command no sooner: an agent is replaced, and without the process that
delays packets the runs go on to be void."""

EXPERIMENT = """
[experiment]
name = "killed"
[grid]
nodes = 4
[topology.two_subnets]
access_delay_ms = 1
[run]
round_s = 0.05
"""


@dataclass(frozen=True)
class Kill:
    """What was killed when, and what was found afterwards: nothing, if all is well."""

    role: str
    phase: str
    at_s: float
    gone_s: float
    left: tuple[str, ...]


def series(kills: int, seed: int, report: Callable[[Kill], None] = lambda _: None) -> list[Kill]:
    """Kills as often, each role in its turn, in a lab; `report` is called in that lab."""
    found: list[Kill] = lab.call(lambda: _series(kills, Random(seed), report))
    return found


def _series(kills: int, rng: Random, report: Callable[[Kill], None]) -> list[Kill]:
    os.setsid()  # the first process of the session lives, as a terminal's does
    # Nothing is ignored, as after nohup or `&`, whatever this series itself was started with.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    for folder in ("/tmp", "/dev/shm"):
        _cover(folder)
    work = Path("/tmp/work")
    work.mkdir()
    (work / "killed.toml").write_text(EXPERIMENT)
    (work / "Makefile").write_text("all:\n\t@$(COMMAND); exit $$?\n")
    (work / "sudo").symlink_to("/bin/sh")
    # Where the kernel delays packets by itself there is no process for it.
    backend = choose(two_subnets.build(hosts=4, access_delay_ms=1))
    queues = isinstance(backend, Nfqueue)
    roles = [
        (role, phase) for role in PHASES for phase in PHASES[role] if role != "queue" or queues
    ]
    done: list[Kill] = []
    missed = 0
    while len(done) < kills:
        turn, place = divmod(len(done), len(roles))
        role, phase = roles[place]
        ends = role in _SURVIVED or phase == "stop"
        repeats = SHORT if ends or (turn + place) % 2 == 0 else LONG
        found = one(work, role, phase, rng.random() * INTO_S[phase], repeats)
        if found is None:  # there was no such process any more at that instant
            missed += 1
            if missed == MISSES:
                raise RuntimeError(
                    f"{MISSES} commands in a row had no {role} to kill in {phase}; do they start?"
                )
            continue
        missed = 0
        report(found)
        done.append(found)
    return done


def _cover(folder: str) -> None:
    """Puts an empty folder in the place of one; the project stays where it is, below it too."""
    kept = os.open(ROOT, os.O_PATH)
    namespaces.mount("none", folder, "tmpfs")
    if Path(folder) in ROOT.parents:
        ROOT.mkdir(parents=True)
        bind = namespaces.MS_BIND | namespaces.MS_REC
        namespaces.mount(f"/proc/self/fd/{kept}", str(ROOT), "", bind)
    os.close(kept)


def one(work: Path, role: str, wanted: str, into_s: float, repeats: int) -> Kill | None:
    """One command, killed so long after the beginning of a phase, in a later one if that is over.

    None when it ended, or made no such process, before it could be.
    """
    before = _world()
    began = time.monotonic()
    command = _start(work, repeats)
    victim, phase = 0, "start"
    due = began + into_s if wanted == phase else inf
    while not victim or time.monotonic() < due:
        if command.poll() is not None or time.monotonic() > began + LIFE_S:
            break
        time.sleep(0.001)
        phase = _phase(command.pid, phase)
        if due == inf and ORDER.index(phase) >= ORDER.index(wanted):
            due = time.monotonic() + into_s
        victim = _find(role, command.pid)
    if time.monotonic() < due:
        victim = 0
    killed_s = time.monotonic()
    if victim and not _killed(victim):
        victim = 0
    # Whose victim could not be found is no trial: it is cleared away at once.
    ended = _ended(command, before, GONE_S if victim else 0.0)
    gone_s = time.monotonic() - killed_s
    left = [f"process {text}" for text in _strangers(before)] if victim and not ended else []
    left += _kept(work / "results")
    for pid in _strangers(before):
        _kill(int(pid.split()[0]))
    _ended(command, before, GONE_S)
    left += [f"{kind} {text}" for kind, text in sorted(_world() - before) if kind != "process"]
    return Kill(role, phase, killed_s - began, gone_s, tuple(left)) if victim else None


def _start(work: Path, repeats: int) -> subprocess.Popen[bytes]:
    run = f"{sys.executable} -m testbed run killed.toml --repeats {repeats} --seed 1"
    chain = ["sh", "-c", WAIT, "sh", "./sudo", "-c", WAIT, "sudo", "make", "-s", f"COMMAND={run}"]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "SUDO"))},
        "HOME": "/tmp/home",
        "TMPDIR": "/tmp",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        chain,
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )


def _children(pid: int) -> list[int]:
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _find(role: str, top: int) -> int:
    """The process that plays a role now, 0 for none."""
    chain = [top]
    while len(chain) < 5 and (children := _children(chain[-1])):
        chain.append(children[0])
    names = ["sh", "sudo", "make", "sh", "python"]
    chain = [pid for pid, name in zip(chain, names, strict=False) if _name(pid).startswith(name)]
    place = _CHAIN.index(role) if role in _CHAIN else 5
    if place < 5:
        return chain[place] if place < len(chain) else 0
    if len(chain) < 5:
        return 0
    inits = [pid for pid in _children(chain[4]) if _name(pid) == world.NAME]
    payloads = [pid for init in inits for pid in _children(init)]
    helpers = [pid for payload in payloads for pid in _children(payload)]
    zygotes = [pid for pid in helpers if _runs(pid, b"zygote.py")]
    found = {
        "lab": inits,
        "payload": payloads,
        "zygote": zygotes,
        "agent": [pid for zygote in zygotes for pid in _children(zygote)],
        "queue": [pid for pid in helpers if _runs(pid, b"queue_process")],
    }[role]
    return found[-1] if found else 0


def _runs(pid: int, file: bytes) -> bool:
    try:
        return file in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _phase(top: int, last: str) -> str:
    """How far the command has got, that was in phase `last`."""
    if _find("agent", top):
        return "run"
    if last in ("run", "stop"):
        return "stop"
    return "build" if _find("lab", top) else "start"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _killed(pid: int) -> bool:
    """Kills a process; false for one that was at its end anyway, and stood for nothing."""
    try:
        os.kill(pid, signal.SIGSTOP)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state not in "ZX"


def _ended(command: subprocess.Popen[bytes], before: set[tuple[str, str]], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if command.poll() is not None and not _strangers(before):
            return True
        time.sleep(0.002)
    return False


def _strangers(before: set[tuple[str, str]]) -> list[str]:
    return sorted(text for kind, text in _world() - before if kind == "process")


def _world() -> set[tuple[str, str]]:
    """All that a command could leave in this lab: (kind, what)."""
    found = {("interface", name) for name in os.listdir("/sys/class/net")}
    found |= {("mount", line) for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    found |= {("lock", line) for line in Path("/proc/locks").read_text().splitlines()}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            found.add(("process", f"{process.name} {_name(int(process.name))}"))
            for kind in ("net", "user", "pid", "mnt", "ipc", "uts"):
                try:
                    found.add(("namespace", os.readlink(process / "ns" / kind)))
                except OSError:
                    pass
    for top in (Path("/tmp"), Path("/run"), Path("/dev/shm")):
        found |= {("file", str(path)) for path in _below(top) if not _wanted(path)}
    return found


def _wanted(path: Path) -> bool:
    """Whether it is the results folder, or where matplotlib keeps its list of fonts."""
    kept = [Path("/tmp/work/results"), *(Path("/tmp/home") / name for name in FONTS)]
    return any(path.is_relative_to(each) or each.is_relative_to(path) for each in kept)


def _below(top: Path) -> Iterator[Path]:
    """All that is in a folder, but for the project itself."""
    try:
        found = list(top.iterdir())
    except FileNotFoundError:  # it has just been removed
        return
    for path in found:
        if path != ROOT:
            yield path
            if path.is_dir() and not path.is_symlink():
                yield from _below(path)


def _kept(folder: Path) -> list[str]:
    """What is wrong with a results folder: all but whole runs, links to them, and partial ones."""
    wrong = [f"file {path}" for path in folder.glob("*") if path.name != "killed"]
    for path in folder.glob("*/*"):
        if not path.name.startswith(PARTIAL):
            try:
                results.load(path.resolve())
            except Exception as error:
                wrong.append(f"result {path}: {error}")
    results.remove_abandoned(folder)
    return wrong + [f"partial run {path}, locked" for path in folder.glob(f"*/{PARTIAL}*")]
