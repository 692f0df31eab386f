"""Tests of testbed.lab.keeper: however a lab's command ends, nothing of the lab is left."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
DEADLINE_S = 10.0

# Its payload has a child that is no longer of its group and ignores signals, an interface and a
# mount; it says "up", and answers each line it reads. SHELL and GRACE are filled in.
PROGRAM = """
import os, subprocess, sys
from testbed import lab

def answer():
    for line in sys.stdin:
        if line.startswith("exit"):
            return int(line.split()[1])
        while line == "hang\\n":
            try:
                print("hanging", flush=True)
                sys.stdin.readline()
            except KeyboardInterrupt:
                pass
        print("got", line, end="", flush=True)

def main():
    stubborn = "trap '' HUP INT TERM; sleep 1000"
    subprocess.Popen(["setsid", "--fork", "sh", "-c", stubborn], stdout=2)
    name, directory = os.environ["LAB_TEST"], os.environ["LAB_MOUNT"]
    subprocess.run(["ip", "link", "add", name, "type", "veth"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=True)
    greeting = "up"
    while True:
        try:
            print(greeting, flush=True)
            return answer()
        except KeyboardInterrupt:
            greeting = "interrupted"
            if not SHELL:
                print(greeting, flush=True)
                raise

sys.exit(lab.run(main, shell=SHELL, grace_s=GRACE))
"""


def program(*, shell: bool = False, grace_s: float = DEADLINE_S) -> str:
    return PROGRAM.replace("SHELL", str(shell)).replace("GRACE", str(grace_s))


class Command:
    """A command with a lab, told apart from all other processes by a word in its environment."""

    def __init__(self, arguments: list[str], directory: Path) -> None:
        self.name = f"lt{uuid.uuid4().hex[:10]}"
        self.mount = directory / "mount"
        self.mount.mkdir()
        environment = {**os.environ, "LAB_TEST": self.name, "LAB_MOUNT": str(self.mount)}
        self.process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    def say(self, words: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{words}\n")

    def hears(self, words: str) -> None:
        assert self.process.stdout
        assert self.process.stdout.readline() == f"{words}\n"

    def pids(self) -> dict[int, str]:
        """The command's processes, those of the lab included, with all numbers they have."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if f"LAB_TEST={self.name}\0" in (entry / "environ").read_text():
                        status = (entry / "status").read_text()
                        found[int(entry.name)] = status.partition("NSpid:\t")[2].splitlines()[0]
        return found

    def in_lab(self, number: int) -> int:
        """The outer number of the process that is `number` in the lab."""
        return next(pid for pid, numbers in self.pids().items() if numbers == f"{pid}\t{number}")

    def leaves_nothing(self) -> None:
        self.process.wait(DEADLINE_S)
        until(lambda: not self.pids())
        assert not (Path("/sys/class/net") / self.name).exists()
        assert str(self.mount) not in Path("/proc/self/mountinfo").read_text()


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not fact():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts a command, under the given processes, and kills what a failed test leaves of it."""
    commands: list[Command] = []

    def start(*above: str, **settings: float) -> Command:
        arguments = [sys.executable, "-c", program(**settings)]  # type: ignore[arg-type]
        directory = tmp_path / str(len(commands))
        directory.mkdir()
        commands.append(Command([*above, *arguments], directory))
        commands[-1].hears("up")
        return commands[-1]

    yield start
    for command in commands:
        for pid in command.pids():
            os.kill(pid, signal.SIGKILL)
        command.process.wait()
        for stream in (command.process.stdin, command.process.stdout, command.process.stderr):
            assert stream
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def test_a_lab_ends_with_its_payload_and_relays_the_exit_status(
    start: Callable[..., Command],
) -> None:
    command = start()
    until(lambda: len(command.pids()) == 5)  # command, first process, payload, shell, sleep
    command.say("exit 7")
    command.leaves_nothing()
    assert command.process.returncode == 7


@pytest.mark.parametrize(
    ("killed", "status"), [("command", -9), ("first process", 137), ("payload", 137)]
)
def test_sigkill_of_any_process_of_the_chain_leaves_nothing(
    start: Callable[..., Command], killed: str, status: int
) -> None:
    command = start()
    numbers = {"first process": 1, "payload": 2}
    victim = command.process.pid if killed == "command" else command.in_lab(numbers[killed])
    os.kill(victim, signal.SIGKILL)
    command.leaves_nothing()
    assert command.process.returncode == status


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_to_the_command_lets_the_payload_end_itself(
    start: Callable[..., Command], number: int, status: int
) -> None:
    command = start()
    command.process.send_signal(number)
    command.hears("interrupted")
    command.leaves_nothing()
    assert command.process.returncode == status


def test_a_payload_that_does_not_end_itself_is_ended_after_the_grace(
    start: Callable[..., Command],
) -> None:
    command = start(grace_s=0.2)
    command.say("hang")
    command.hears("hanging")
    command.process.send_signal(signal.SIGTERM)
    command.hears("hanging")
    command.leaves_nothing()
    assert command.process.returncode == 143
    assert command.process.stderr
    assert "not over 0.2 s after SIGTERM" in command.process.stderr.read()


def test_a_shell_takes_each_interrupt_of_its_group_once_and_goes_on(
    start: Callable[..., Command],
) -> None:
    command = start(shell=True, grace_s=0.2)
    for word in ("one", "two"):
        os.killpg(command.process.pid, signal.SIGINT)
        command.hears("interrupted")
        command.say(word)
        command.hears(f"got {word}")
        select.select([], [], [], 0.6)  # longer than the grace, and than signals count as one
    command.process.terminate()
    command.leaves_nothing()
    assert command.process.returncode == 143


def test_signals_close_together_interrupt_the_payload_once(start: Callable[..., Command]) -> None:
    command = start(shell=True)
    # As `timeout` does it: to its command, then to its group.
    command.process.send_signal(signal.SIGINT)
    command.hears("interrupted")
    os.killpg(command.process.pid, signal.SIGINT)
    command.say("one")
    command.hears("got one")
    command.say("exit 0")
    command.leaves_nothing()


def test_a_signal_while_the_lab_is_made_reaches_the_payload() -> None:
    code = """
import os, signal, sys, time
from testbed import lab
from testbed.lab import world

def interrupted():
    os.kill(0, signal.SIGINT)

world._loopback_up = interrupted
sys.exit(lab.run(lambda: time.sleep(60) or 0))
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    assert process.wait(DEADLINE_S) == 130


@pytest.mark.parametrize("above", ["make", "sudo", "timeout", "sh"])
def test_sigkill_of_what_waits_for_the_command_ends_the_lab(
    start: Callable[..., Command], tmp_path: Path, above: str
) -> None:
    # A shell by that name: a process is known by the name it was started by.
    waiter = tmp_path / above
    waiter.symlink_to("/bin/sh")
    command = start(str(waiter), "-c", '"$@"; exit $?', "waiter")
    command.process.kill()
    command.hears("interrupted")
    command.leaves_nothing()


def test_sigkill_of_sudo_above_make_ends_the_lab(
    start: Callable[..., Command], tmp_path: Path
) -> None:
    for name in ("sudo", "make"):
        (tmp_path / name).symlink_to("/bin/sh")
    nested = ("-c", '"$@"; exit $?', "waiter")
    command = start(str(tmp_path / "sudo"), *nested, str(tmp_path / "make"), *nested)
    command.process.kill()
    command.hears("interrupted")
    until(lambda: len(command.pids()) <= 1)  # the `make` that lost its own `sudo`
    command.leaves_nothing()


def test_a_lab_outlives_an_interactive_shell(start: Callable[..., Command], tmp_path: Path) -> None:
    script = tmp_path / "login"
    script.write_text('"$@"; exit $?')
    command = start("sh", str(script))
    command.process.kill()
    command.process.wait()
    for word in ("one", "two"):
        command.say(word)
        command.hears(f"got {word}")
    command.say("exit 0")
    command.leaves_nothing()


def test_ctrl_c_at_a_prompt_leaves_the_terminal_to_the_shell_of_the_lab() -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", PROMPT])
    try:
        assert reads(terminal, "> ")
        os.write(terminal, b"first\n")
        assert "got first" in reads(terminal, "> ")
        os.write(terminal, b"half")
        reads(terminal, "half")
        # Between echo and wait for the next key, Python's readline leaves a Ctrl-C for later.
        payload = child(child(pid))
        until(lambda: " S " in Path(f"/proc/{payload}/stat").read_text())
        os.write(terminal, b"\x03")
        assert reads(terminal, "> ").count("interrupted") == 1
        os.write(terminal, b"sec\x01\x0bthird\n")  # readline: to the start, and kill the line
        assert "got third" in reads(terminal, "> ")
        os.write(terminal, b"\x04")
        reads(terminal, "")
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 5
    finally:
        os.close(terminal)


def test_a_terminal_gets_its_echo_back_from_a_killed_payload() -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", RAW])
    try:
        reads(terminal, "raw")
        assert not termios.tcgetattr(terminal)[3] & termios.ECHO
        os.kill(child(child(pid)), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert termios.tcgetattr(terminal)[3] & termios.ECHO
    finally:
        os.close(terminal)


RAW = """
import os, signal, tty
from testbed import lab

def main():
    tty.setraw(0)
    os.write(1, b"raw")
    signal.pause()

lab.run(main)
"""

PROMPT = """
import readline, sys
from testbed import lab

def main():
    while True:
        try:
            print("got", input("> "))
        except KeyboardInterrupt:
            print("interrupted")
        except EOFError:
            return 5

sys.exit(lab.run(main, shell=True))
"""


def child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def reads(terminal: int, end: str) -> str:
    """What the terminal shows up to `end`; to the end of the program if that is empty."""
    text = ""
    while not end or not text.endswith(end):
        ready, _, _ = select.select([terminal], [], [], DEADLINE_S)
        assert ready, text
        try:
            text += os.read(terminal, 1024).decode()
        except OSError:  # EIO: no process has the terminal open any more
            return text
    return text
