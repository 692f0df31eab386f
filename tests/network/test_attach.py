"""Tests of testbed.lab.attach with a lab in another process."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed import lab
from testbed.errors import LabError, UsageError
from testbed.lab import attach

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]

PROGRAM = """
import subprocess, sys
from testbed import lab
from testbed.kernel import namespaces
from testbed.lab import attach

def main():
    networks = {name: namespaces.new_network() for name in ("h1", "h2")}
    for name, network in networks.items():
        with namespaces.entered(network):
            subprocess.run(["ip", "link", "add", f"{name}-eth0", "type", "veth"], check=True)
    if "bare" not in sys.argv:
        attach.register(networks)
    print("up", flush=True)
    sys.stdin.read()
    return 0

sys.exit(lab.run(main))
"""


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of notes of this test alone."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "gossip-testbed"


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    running = []

    def start(word: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, word],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout and process.stdout.readline() == "up\n"
        return process

    yield start
    for process in running:
        process.communicate()


def test_a_command_runs_in_the_network_of_the_host_and_in_the_lab(
    start: Callable[[str], object], capfd: pytest.CaptureFixture[str]
) -> None:
    start("one")
    command = "ls /sys/class/net; ip -o link; cat /proc/1/comm; pwd"
    assert attach.main("h2", ["sh", "-c", command]) == 0
    out = capfd.readouterr().out.split("\n")
    assert out[:3] == ["h2-eth0", "lo", "veth0"]
    assert "h2-eth0" in "".join(out[3:6])
    assert out[6:8] == ["testbed-lab", os.getcwd()]


def test_a_program_attached_to_a_host_knows_that_it_is_in_a_lab(
    start: Callable[[str], object],
) -> None:
    start("one")
    code = "import sys; from testbed import lab; sys.exit(5 if lab.inside() else 6)"
    assert attach.main("h1", [sys.executable, "-c", code]) == 5


def test_the_exit_status_of_the_command_is_returned(start: Callable[[str], object]) -> None:
    start("one")
    assert attach.main("h1", ["false"]) == 1
    assert attach.main("h1", ["sh", "-c", "kill -9 $$"]) == 137


def test_the_command_ends_with_the_lab(start: Callable[[str], subprocess.Popen[str]]) -> None:
    process = start("one")
    code = f"import os, signal; os.write(1, b'in'); signal.pause() # {process.pid}"
    program = f"from testbed import attach; attach.main('h1', ['{sys.executable}', '-c', {code!r}])"
    attached = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert attached.stdout and attached.stdout.read(2) == b"in"
    process.kill()
    assert attached.stdout.read() == b""
    assert attached.wait() == 0


def test_an_unknown_host_is_answered_with_the_near_ones(start: Callable[[str], object]) -> None:
    start("one")
    with pytest.raises(UsageError, match=r"unknown host h11; did you mean h1\? there are h1, h2"):
        attach.main("h11", ["true"])


def test_an_unknown_command_is_an_error_of_usage(start: Callable[[str], object]) -> None:
    start("one")
    with pytest.raises(UsageError, match="no command nonsense"):
        attach.main("h1", ["nonsense"])


def test_without_a_lab_it_says_so() -> None:
    with pytest.raises(UsageError, match="no lab of this user is running"):
        attach.main("h1", ["true"])


def test_a_lab_without_hosts_says_so(start: Callable[[str], object]) -> None:
    start("bare")
    with pytest.raises(LabError, match="has no hosts yet"):
        attach.main("h1", ["true"])


def test_of_several_labs_one_is_named_by_number_or_words(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    first, second = start("alpha"), start("beta")
    with pytest.raises(UsageError, match="several labs are running") as caught:
        attach.main("h1", ["true"])
    assert f"{first.pid} (-c alpha)" in str(caught.value)
    assert attach.main("h1", ["true"], run="beta") == 0
    assert attach.main("h1", ["true"], run=str(second.pid)) == 0
    with pytest.raises(UsageError, match="several labs match"):
        attach.main("h1", ["true"], run="a")
    with pytest.raises(UsageError, match="no lab matches gamma"):
        attach.main("h1", ["true"], run="gamma")


def test_a_lab_that_ends_takes_its_note_away(
    start: Callable[[str], subprocess.Popen[str]], notes: Path
) -> None:
    process = start("one")
    assert [found.command for found in attach.labs()] == [process.pid]
    process.communicate()
    assert list(notes.iterdir()) == []


def test_the_note_of_a_killed_lab_is_ignored_and_removed(
    start: Callable[[str], subprocess.Popen[str]], notes: Path
) -> None:
    process = start("one")
    (note,) = notes.iterdir()
    # As after its number has gone to another process.
    note.write_text(json.dumps({**json.loads(note.read_text()), "started": "1"}))
    assert attach.labs() == []
    assert list(notes.iterdir()) == []
    process.kill()


def test_the_next_lab_removes_the_note_of_a_killed_one(
    start: Callable[[str], subprocess.Popen[str]], notes: Path
) -> None:
    process = start("one")
    (killed,) = notes.iterdir()
    init = os.pidfd_open(attach.labs()[0].init)
    process.kill()
    assert select.select([init], [], [], 10)[0]
    os.close(init)
    start("two")
    (left,) = notes.iterdir()
    assert left != killed


def test_a_lab_in_a_lab_leaves_the_notes_of_its_surroundings(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = start("one")
    assert lab.call(attach.labs) == []
    assert [found.command for found in attach.labs()] == [process.pid]


def test_a_directory_that_others_can_write_to_is_not_trusted(notes: Path) -> None:
    notes.mkdir()
    notes.chmod(0o777)
    with pytest.raises(LabError, match="not this user's alone"):
        attach.labs()
    assert lab.run(lambda: 4) == 4
