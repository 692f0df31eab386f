"""Tests of testbed.lab with real namespaces: what is private, and what comes out of a lab."""

from __future__ import annotations

import atexit
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed import lab
from testbed.errors import LabError
from testbed.kernel import namespaces

pytestmark = pytest.mark.network

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@pytest.mark.in_lab
def test_a_lab_begins_with_the_loopback_device_alone() -> None:
    assert os.listdir("/sys/class/net") == ["lo"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_a_lab_shows_its_own_processes_only() -> None:
    assert lab.call(lambda: [name for name in os.listdir("/proc") if name.isdigit()]) == ["1", "2"]


def test_a_program_started_in_a_lab_knows_that_it_is_inside() -> None:
    code = "from testbed import lab; print(lab.inside())"

    def inside() -> bytes:
        return subprocess.check_output([sys.executable, "-c", code])

    assert (inside(), lab.call(inside)) == (b"False\n", b"True\n")
    assert not lab.inside()


def test_two_labs_at_once_do_not_see_each_other() -> None:
    both_made = [os.pipe(), os.pipe()]

    def names(mine: int) -> list[str]:
        name = f"only{mine}"
        subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "peer"], check=True)
        Path("/run", name).touch()
        os.write(both_made[mine][1], b"!")
        os.read(both_made[1 - mine][0], 1)
        return sorted(os.listdir("/sys/class/net")) + sorted(os.listdir("/run"))

    with ThreadPoolExecutor() as threads:
        seen = list(threads.map(lambda mine: lab.call(lambda: names(mine)), range(2)))
    for pipe in both_made:
        os.close(pipe[0])
        os.close(pipe[1])
    assert "only0" in seen[0] and "only1" in seen[1]
    assert "only1" not in seen[0] and "only0" not in seen[1]


def test_the_machine_keeps_its_settings_names_and_mounts(tmp_path: Path) -> None:
    def facts() -> list[str]:
        mounts = Path("/proc/self/mountinfo").read_text()
        return [FORWARDING.read_text(), socket.gethostname(), str(str(tmp_path) in mounts)]

    def change() -> list[str]:
        FORWARDING.write_text(str(1 - int(FORWARDING.read_text())))
        socket.sethostname("elsewhere")
        subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
        return facts()

    before = facts()
    assert lab.call(change)[1:] == ["elsewhere", "True"]
    assert facts() == before


def test_what_is_written_in_a_lab_belongs_to_the_caller(tmp_path: Path) -> None:
    result = tmp_path / "result"
    lab.call(result.touch)
    assert (result.stat().st_uid, result.stat().st_gid) == (os.geteuid(), os.getegid())


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user has no other user's ids")
def test_root_can_give_results_to_the_user_behind_sudo(tmp_path: Path) -> None:
    result = tmp_path / "result"
    result.touch()
    lab.call(lambda: os.chown(result, 1000, 1000))
    assert result.stat().st_uid == 1000


def test_a_lab_can_be_made_inside_a_lab() -> None:
    assert lab.call(lambda: lab.call(os.getppid)) == 1


@pytest.mark.in_lab
def test_orphans_are_reaped() -> None:
    orphan = int(subprocess.check_output(["sh", "-c", "sleep 0.01 >&- & echo $!"]))
    deadline = time.monotonic() + 5
    while Path(f"/proc/{orphan}").exists():
        assert time.monotonic() < deadline


def test_a_lab_may_open_as_many_files_as_it_is_allowed_to() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        soft, hard = lab.call(lambda: resource.getrlimit(resource.RLIMIT_NOFILE))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (soft, hard) == (min(limits[1], 65_536), limits[1])


def test_a_lab_has_its_own_run_with_the_users_directories_in_it() -> None:
    kept = [name for name in ("media", "user") if Path("/run", name).is_dir()]
    assert sorted(lab.call(lambda: os.listdir("/run"))) == sorted(["lock", *kept])


def test_a_lab_can_be_made_beside_running_threads() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert lab.call(threading.active_count) == 1
    finally:
        end.set()
        thread.join()


def test_the_exit_status_of_the_payload_is_relayed() -> None:
    def killed() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert lab.run(lambda: 7) == 7
    assert lab.run(lambda: sys.exit(3)) == 3
    assert lab.run(lambda: 256) == 1
    assert lab.run(killed) == 137


def test_an_uncaught_exception_is_shown_and_gives_status_1(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert lab.run(lambda: 1 // 0) == 1
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert lab.run(lambda: sys.exit("no such thing")) == 1
    assert capfd.readouterr().err == "no such thing\n"


def test_output_comes_through_once_and_in_order() -> None:
    code = """
from testbed import lab
print("before", end=" ")
lab.run(lambda: print("inside", end=" ") or 0)
print("after")
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    out = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert out == "before inside after\n"


def test_exit_handlers_of_the_payload_run_and_those_of_the_command_do_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def main() -> int:
        atexit.register(print, "payload's")
        return 0

    atexit.register(print, "command's")
    try:
        lab.run(main)
    finally:
        atexit.unregister(print)
    assert capfd.readouterr().out == "payload's\n"


def test_a_call_raises_what_its_function_raised_and_says_where() -> None:
    with pytest.raises(KeyError, match="H9") as caught:
        lab.call(lambda: os.environ["H9"])
    assert "test_lab.py" in caught.value.__notes__[0]


def test_a_call_whose_exception_cannot_be_carried_out_says_so() -> None:
    class Local(Exception):
        pass

    def fail() -> None:
        raise Local("words")

    with pytest.raises(LabError, match="Local: words"):
        lab.call(fail)


def test_a_call_whose_exception_cannot_be_remade_says_so() -> None:
    with pytest.raises(LabError, match="one and two"):
        lab.call(lambda: (_ for _ in ()).throw(TwoPartsError("one", "two")))


class TwoPartsError(Exception):
    """Pickles, but its one argument does not make another."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def test_a_call_whose_lab_dies_says_so() -> None:
    with pytest.raises(LabError, match="status 137"):
        lab.call(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_signals_are_the_callers_own_again_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    lab.run(lambda: 0)
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before
    assert signal.set_wakeup_fd(-1) == -1


def test_no_descriptor_and_no_child_is_left_behind() -> None:
    def descriptors() -> list[str]:
        return os.listdir("/proc/self/fd")

    before = descriptors()
    lab.run(lambda: 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert descriptors() == before


def test_a_refusing_kernel_is_a_problem_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_flags: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert lab.problem() is None
    monkeypatch.setattr(namespaces, "unshare", refuse)
    problem = lab.problem()
    assert problem and "unshare" in problem and "user.max_" in problem and "\n" not in problem
    with pytest.raises(LabError):
        lab.run(lambda: 0)


@pytest.mark.in_lab
def test_a_limit_of_the_kernel_is_a_problem_with_its_remedy() -> None:
    # Each user namespace has limits of its own for what is made in it.
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    assert "sudo sysctl -w user.max_user_namespaces=15000" in str(lab.problem())


def test_a_refused_mount_is_a_problem_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: str, target: str, *_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), f"mount {target}")

    monkeypatch.setattr(namespaces, "mount", refuse)
    assert "mount /" in str(lab.problem())


def test_another_system_is_told_that_a_lab_needs_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "needs Linux" in str(lab.problem())


def test_a_lab_has_a_shell_where_its_caller_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHELL", raising=False)
    assert lab.call(lambda: os.environ["SHELL"]) == "/bin/sh"
