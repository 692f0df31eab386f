"""Tests of testbed.lab.ancestors with real processes; what follows from it is in test_keeper."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
CODE = "from testbed import ancestors; print(len(ancestors.watched()))"
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
