"""Tests of testbed.lab.attach with a lab in another process."""

from __future__ import annotations

import dataclasses
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
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the labs that others have on this machine."""
    everyone = attach.labs

    def mine() -> list[attach.Lab]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return [found for found in everyone() if str(found.command) in children]

    monkeypatch.setattr(attach, "labs", mine)


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
    called = f"'h1', ['{sys.executable}', '-c', {code!r}], '{process.pid}'"
    program = f"from testbed.lab import attach; attach.main({called})"
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
    with pytest.raises(UsageError, match="no lab matches --run gamma"):
        attach.main("h1", ["true"], run="gamma")


def test_a_lab_is_listed_as_long_as_it_lives(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = start("one")
    (found,) = attach.labs()
    assert (found.command, found.arguments) == (process.pid, "-c one")
    init = os.pidfd_open(found.init)
    process.kill()
    assert select.select([init], [], [], 10)[0]
    os.close(init)
    assert attach.labs() == []


def test_a_lab_is_not_entered_by_a_number_that_has_gone_to_another(
    start: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    start("one")
    (found,) = attach.labs()
    monkeypatch.setattr(attach, "labs", lambda: [dataclasses.replace(found, started="1")])
    with pytest.raises(LabError, match="it has ended"):
        attach.main("h1", ["true"])


def test_another_users_process_of_that_name_is_no_lab(
    start: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    start("one")
    assert len(attach.labs()) == 1
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert attach.labs() == []


def test_a_lab_in_a_lab_sees_none_of_its_surroundings(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = start("one")
    assert lab.call(attach.labs) == []
    assert [found.command for found in attach.labs()] == [process.pid]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"/x/.venv/bin/python3\0/x/.venv/bin/testbed\0run\0latency\0", "testbed run latency"),
        (b"python\0-m\0testbed\0run\0", "testbed run"),
        (b"/usr/bin/testbed\0run\0", "testbed run"),
    ],
)
def test_a_lab_is_known_by_the_words_that_were_typed(
    line: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: line)
    assert " ".join(attach._arguments(1)) == words
