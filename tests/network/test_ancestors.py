"""Tests of testbed.lab.ancestors with real processes; what follows from it is in test_keeper."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
CODE = "from testbed.lab import ancestors; print(len(ancestors.watched()))"
WAIT = '"$@"; exit $?'


def watched(*above: str) -> int:
    """How many ancestors a program watches below the given ones."""
    return int(subprocess.check_output([*above, sys.executable, "-c", CODE], cwd=ROOT))


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """Shells that go by other names: a process is known by the name it was started by."""
    for name in ("make", "sudo", "timeout", "login", "sh"):
        (tmp_path / name).symlink_to("/bin/sh")
    (tmp_path / "script").write_text(WAIT)
    return tmp_path


@pytest.mark.parametrize("name", ["make", "sudo", "timeout", "sh"])
def test_what_waits_for_a_command_is_watched(named: Path, name: str) -> None:
    assert watched(str(named / name), "-c", WAIT, "0") == 1


def test_a_chain_of_them_is_watched(named: Path) -> None:
    chain = [
        part for name in ("sudo", "make", "sh") for part in (str(named / name), "-c", WAIT, "0")
    ]
    assert watched(*chain) == 3


def test_the_chain_ends_at_the_first_that_is_none(named: Path) -> None:
    chain = [
        part for name in ("sudo", "login", "make") for part in (str(named / name), "-c", WAIT, "0")
    ]
    assert watched(*chain) == 1


def test_a_shell_without_a_command_is_not_watched(named: Path) -> None:
    assert watched("sh", str(named / "script")) == 0
    assert watched("sh", "-e", str(named / "script")) == 0
    assert watched("sh", "-ec", WAIT, "0") == 1


def test_after_nohup_or_in_the_background_nothing_is_watched(named: Path) -> None:
    sudo = str(named / "sudo")
    assert watched(sudo, "-c", f"nohup {WAIT}", "0") == 0
    assert watched(sudo, "-c", '"$@" & wait', "0") == 0


def test_what_was_itself_started_with_nohup_is_watched(named: Path) -> None:
    assert watched("nohup", str(named / "sudo"), "-c", WAIT, "0") == 1


# The first process of a session has a shell of a group of its own start a command, kills the shell,
# and lets the command look up then.
SESSION = """
import os, signal, subprocess, sys
command = '''
import os, sys
from testbed.lab import ancestors
print("up", flush=True)
sys.stdin.readline()
try:
    print(len(ancestors.watched()))
except ancestors.OrphanError:
    print("orphan")
'''
above = subprocess.Popen(
    ["sh", "-c", PREFIX + '"$@"; exit $?', "0", sys.executable, "-c", command],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **GROUP)
above.stdout.readline()
above.kill()
above.wait()
above.stdin.write("look\\n")
above.stdin.close()
print(above.stdout.read(), end="")
"""


@pytest.mark.parametrize(
    ("group", "mark", "prefix", "found"),
    [
        ({"process_group": 0}, {}, "", "orphan"),
        ({"process_group": 0}, {}, "nohup ", "0"),
        ({"start_new_session": True}, {"MAKELEVEL": "1"}, "", "orphan"),
        ({"start_new_session": True}, {"SUDO_COMMAND": "make"}, "", "orphan"),
        ({"start_new_session": True}, {}, "", "0"),
    ],
    ids=["of a shell", "after nohup", "of make", "of sudo", "a daemon"],
)
def test_who_was_killed_before_the_command_looked_has_left_it_an_orphan(
    group: dict[str, object], mark: dict[str, str], prefix: str, found: str
) -> None:
    code = SESSION.replace("GROUP", repr(group)).replace("PREFIX", repr(prefix))
    kept = {
        key: value for key, value in os.environ.items() if key not in ("MAKELEVEL", "SUDO_COMMAND")
    }
    command = [sys.executable, "-c", code]
    out = subprocess.run(
        command,
        cwd=ROOT,
        env=kept | mark,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert out.stdout == f"{found}\n"


def test_a_command_that_starts_as_an_orphan_ends_at_once() -> None:
    code = "import sys; from testbed import __main__ as m\nfrom testbed.lab import ancestors\n"
    code += "ancestors._orphaned = lambda pid, parent: True\nsys.exit(m.main())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 129
    assert done.stderr.count("\n") == 1 and "nohup" in done.stderr


def test_what_was_held_is_watched_though_it_has_ended(named: Path) -> None:
    """Between the start of a command and that of its lab."""
    code = """
import os, select, signal
from testbed.lab import ancestors
ancestors.hold()
os.kill(os.getppid(), signal.SIGKILL)
(descriptor,) = ancestors.held()
select.select([descriptor], [], [], 10)
print(select.select([descriptor], [], [], 0)[0] == [descriptor])
"""
    above = [str(named / "make"), "-c", WAIT, "0"]
    process = subprocess.Popen(
        [*above, sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.communicate(timeout=20)[0] == "True\n"


def test_a_simulation_ends_with_the_make_that_it_is_below(named: Path, tmp_path: Path) -> None:
    """Nothing holds its output open any more, though it had work for minutes."""
    words = ["simulate", "latency", "--protocol", "push", "--set", "nodes=64"]
    words += ["--repeats", "5000", "--results", str(tmp_path / "results")]
    make = [str(named / "make"), "-c", WAIT, "0", sys.executable, "-m", "testbed"]
    process = subprocess.Popen(
        [*make, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("results/*/.partial-*")):
        assert process.poll() is None and time.monotonic() < deadline
        select.select([], [], [], 0.05)
    process.kill()
    said, _ = process.communicate(timeout=30)
    assert b"interrupted" in said
