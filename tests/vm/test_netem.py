"""The netem backend on a kernel that has sch_netem: user-mode Linux, an ordinary process.

The kernel boots in 2 s with this machine's own files as its root, and runs the same tests of
live networks there that are skipped on a kernel without netem.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import packages

pytestmark = pytest.mark.vm

ROOT = Path(__file__).parents[2]
INIT = Path(__file__).with_name("uml_init.py")
MODULES = "veth,bridge,sch_netem,nf_tables,nft_numgen,nft_queue,nfnetlink_queue"
TIMEOUT_S = 480  # 240 s on a busy machine
LOSS_TIMEOUT_S = 900  # 230 s on a busy machine: 3,500 datagrams a second


def in_uml(command: list[str], folder: Path, timeout_s: int = TIMEOUT_S) -> str:
    """What a command prints, run in the project's folder on a user-mode Linux kernel.

    `folder` takes what the kernel leaves behind.
    """
    kernel = packages.need("linux.uml", "user-mode-linux")
    words = {
        "mem": "768M",
        "uml_dir": f"{folder}/",
        "root": "/dev/root",
        "rootfstype": "hostfs",
        "rootflags": "/",
        "con": "null",
        "con0": "null,fd:1",
        "init": str(INIT),
        "UML_COMMAND": shlex.join(command).encode().hex(),
        "UML_FOLDER": str(ROOT).encode().hex(),
        "UML_MODULES": MODULES,
    }
    done = subprocess.run(
        [kernel, "rw", "quiet", *(f"{name}={value}" for name, value in words.items())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        env={**os.environ, "HOME": str(folder)},  # it makes ~/.uml, whatever uml_dir says
        check=False,
    )
    return done.stdout


@pytest.mark.timeout(TIMEOUT_S + 20)
def test_the_netem_backend_gives_what_is_asked_for(tmp_path: Path) -> None:
    pytest_ = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
    files = ["tests/network/test_shaping.py", "tests/network/test_conformance.py"]
    said = in_uml([*pytest_, *files, "-k", "netem"], tmp_path)
    print(said)
    assert "exit status 0" in said, said
    # Skipped tests would prove nothing, but for those that the machine was too busy for.
    ended = re.search(r"^(\d+) passed(?:, (\d+) skipped)?, \d+ deselected", said, re.MULTILINE)
    assert ended and int(ended[1]) >= 17, said
    assert int(ended[2] or 0) == len(re.findall(r"^SKIPPED .*inconclusive: ", said, re.MULTILINE))


@pytest.mark.timeout(LOSS_TIMEOUT_S + 20)
def test_a_loss_by_netem_is_within_0_002_of_what_was_asked_for(tmp_path: Path) -> None:
    """With 51,573 to 468,839 datagrams a ratio: a familywise error of 1e-4. 0.2 and 0.5 take 2.1
    million more, and are left to the benchmark."""
    benchmark = [sys.executable, "benchmarks/impairments.py", "--backend", "netem", "--json"]
    said = in_uml(
        [*benchmark, "--only", "loss", "--ratio", "0.01", "0.05", "0.9"], tmp_path, LOSS_TIMEOUT_S
    )
    print(said)
    assert "exit status 0" in said, said
    document = re.search(r'^\{"schema".*$', said, re.MULTILINE)
    assert document, said
    (found,) = json.loads(document[0])["backends"]
    assert found["doubts"] == []
    assert len(found["figures"]) == 6
    assert all(figure["right"] for figure in found["figures"])
