"""setup.sh with stand-ins for Python, apt-get and sudo: what it asks for, makes, keeps and says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Says which Python it is, makes a .venv, and writes down what pip is told.
PYTHON = """#!/bin/sh
log() { echo "$*" >>"$LOG"; }
case "$1 $2" in
-c*version_info*11*) exit "${OLD:-0}" ;;
-c*base_prefix*) echo "/fake 3 12" ;;
"-m venv")
    log venv
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
    printf '#!/bin/sh\\n' >.venv/bin/testbed
    chmod +x .venv/bin/testbed
    ;;
"-m pip")
    log "$@"
    case "$*" in *"${FAIL:-nothing}"*) exit 1 ;; esac
    ;;
esac
"""
LOGS = '#!/bin/sh\necho "$(basename "$0") $*" >>"$LOG"\n'
NEEDED = (
    *("basename", "cat", "chmod", "cp", "cut", "dirname", "env", "flock", "id", "mkdir", "mv"),
    *("rm", "sed", "sh", "sha256sum", "sort", "stat", "tr", "uname"),
)
COMMANDS = ("brctl", "iperf", "tc", "ping", "mnexec", "ifconfig", "nft", "tcpdump")


class Clone:
    """A folder with setup.sh, and a PATH on which only stand-ins are found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a clone"
        self.folder.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "log"
        for name in ("setup.sh", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.folder)
        script = self.folder / "setup.sh"
        # On the machine itself tc and nft would be found.
        script.write_text(script.read_text().replace(":/usr/sbin:/sbin", ""))
        for name in NEEDED:
            (self.bin / name).symlink_to(str(shutil.which(name)))
        for name in COMMANDS:
            self.program(name, LOGS)
        self.program("python3", PYTHON)

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def without(self, *names: str) -> None:
        for name in names:
            (self.bin / name).unlink()

    def setup(self, **environment: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        variables = {"PATH": str(self.bin), "LOG": str(self.log), "PYTHON": "python3"}
        command = [str(self.bin / "sh"), str(self.folder / "setup.sh")]
        return subprocess.run(
            command, env={**variables, **environment}, capture_output=True, text=True, cwd="/"
        )

    def done(self) -> list[str]:
        """What the last set-up did, one line a call."""
        return self.log.read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.fixture
def finished(clone: Clone) -> Clone:
    done = clone.setup()
    assert done.returncode == 0, done.stderr
    return clone


def test_a_fresh_clone_gets_a_venv_with_pinned_libraries(clone: Clone) -> None:
    done = clone.setup()
    assert done.returncode == 0, done.stderr
    calls = clone.done()
    assert calls[0] == "venv"
    assert "--require-hashes -r .venv/setuptools.lock" in calls[1]
    assert "--require-hashes --no-build-isolation -r requirements.lock" in calls[2]
    assert "--no-deps --no-build-isolation --no-index --editable ." in calls[3]


def test_a_finished_set_up_does_and_says_nothing(finished: Clone) -> None:
    done = finished.setup()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert finished.done() == []


def test_a_changed_lock_brings_the_venv_up_to_date(finished: Clone) -> None:
    with open(finished.folder / "requirements.lock", "a") as lock:
        lock.write("# changed\n")
    assert finished.setup().returncode == 0
    assert "venv" not in finished.done()
    assert "--dry-run" in finished.done()[0]
    assert len(finished.done()) == 4
    assert finished.setup().stderr == ""


def test_an_update_that_cannot_be_fetched_keeps_the_venv(finished: Clone) -> None:
    (finished.folder / "requirements.lock").write_text("setuptools==1\n")
    done = finished.setup(FAIL="--dry-run")
    assert done.returncode == 1
    assert ".venv is as it was" in done.stderr
    assert finished.setup().returncode == 0
    assert "venv" not in finished.done()


def test_an_interrupted_set_up_is_made_anew(clone: Clone) -> None:
    assert clone.setup(FAIL="-r requirements.lock").returncode != 0
    assert clone.setup().returncode == 0
    assert clone.done()[0] == "venv"
    assert clone.setup().stderr == ""


def test_an_interrupted_update_is_made_anew(finished: Clone) -> None:
    (finished.folder / "requirements.lock").write_text("setuptools==1\n")
    assert finished.setup(FAIL="--editable").returncode != 0
    assert finished.setup().returncode == 0
    assert finished.done()[0] == "venv"


def test_a_moved_clone_gets_a_new_venv(finished: Clone) -> None:
    finished.folder = finished.folder.rename(finished.folder.with_name("moved"))
    assert finished.setup().returncode == 0
    assert finished.done()[0] == "venv"
    assert not (finished.folder / ".venv-old").exists()


def test_missing_packages_are_named_with_their_reason_and_installed_by_sudo(clone: Clone) -> None:
    clone.without("nft", "mnexec", "id")
    clone.program("id", "#!/bin/sh\necho 1000\n")
    clone.program("sudo", LOGS)
    clone.program("apt-get", LOGS)
    done = clone.setup()
    assert done.returncode == 0, done.stderr
    assert "nftables: counts and drops packets" in done.stderr
    update, install, *_ = clone.done()
    assert update.startswith("sudo apt-get")
    assert "update" in update
    assert install.endswith("--no-install-recommends mininet nftables")


def test_root_needs_no_sudo(clone: Clone) -> None:
    clone.without("nft", "id")
    clone.program("id", "#!/bin/sh\necho 0\n")
    clone.program("apt-get", LOGS)
    assert clone.setup().returncode == 0
    assert clone.done()[0].startswith("apt-get")


def test_neither_root_nor_sudo_is_an_error_with_the_command_to_ask_for(clone: Clone) -> None:
    clone.without("nft", "iperf", "id")
    clone.program("id", "#!/bin/sh\necho 1000\n")
    clone.program("apt-get", LOGS)
    done = clone.setup()
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "packages missing: iperf nftables" in last
    assert "apt-get install --no-install-recommends iperf nftables" in last
    assert clone.done() == []


def test_under_sudo_the_venv_is_made_by_the_caller(clone: Clone) -> None:
    clone.without("id")
    clone.program("id", "#!/bin/sh\necho 0\n")
    clone.program("setpriv", LOGS)
    clone.program("getent", "#!/bin/sh\necho me:x:1000:1000::/the/home:/bin/sh\n")
    assert clone.setup(SUDO_UID="1000", SUDO_GID="1000").returncode == 0
    assert clone.done()[-1] == (
        "setpriv --reuid 1000 --regid 1000 --init-groups env HOME=/the/home sh ./setup.sh"
    )
    assert not (clone.folder / ".venv").exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_venv_of_somebody_else_is_an_error(finished: Clone) -> None:
    (finished.folder / "requirements.lock").write_text("setuptools==1\n")
    (finished.folder / ".venv").chmod(0o555)
    done = finished.setup()
    (finished.folder / ".venv").chmod(0o755)
    assert done.returncode == 1
    assert "remove it first" in done.stderr


def test_an_old_python_is_an_error_naming_what_to_do(clone: Clone) -> None:
    clone.program("apt-get", LOGS)
    clone.without("id")
    clone.program("id", "#!/bin/sh\necho 0\n")
    done = clone.setup(OLD="1")
    assert done.returncode == 1
    assert "no Python 3.11 or newer found" in done.stderr.splitlines()[-1]


def test_another_system_is_sent_to_the_virtual_machine(clone: Clone) -> None:
    clone.without("uname")
    clone.program("uname", "#!/bin/sh\necho Darwin\n")
    done = clone.setup()
    assert done.returncode == 1
    assert "vagrant up" in done.stderr


def locked() -> dict[str, str]:
    """Each requirement of the lock file, with its block of hashes."""
    text = (ROOT / "requirements.lock").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(.*(?:\n    .*)*)", text, re.M))


def test_every_locked_requirement_has_a_hash() -> None:
    assert len(locked()) > 20
    assert all("--hash=sha256:" in block for block in locked().values())


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in wanted}
    assert names <= set(locked())


def test_the_lock_file_holds_no_option_and_no_address() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert all(re.match(r"#|[a-z0-9.-]+==|    --hash=sha256:", line) for line in lines)
