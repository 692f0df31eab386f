"""Runs beside each other, and where a run has to live in a world that is not the machine's."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from testbed import results
from testbed.lab import attach
from tests import packages

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "testbed", "run", "latency", "--protocol", "push", "--json"]
SMALL = ["--set", "nodes=8", "--set", "round_s=0.2", "--repeats", "2"]


def run(folder: Path, *above: str, seed: int = 1) -> list[str]:
    return [*above, *RUN, *SMALL, "--seed", str(seed), "--results", str(folder)]


def explained(document: dict[str, object], hosts: int = 8) -> None:
    """The books of a run balance: nobody else's datagram was in them."""
    path = Path(str(document["run_dir"]))
    assert json.loads((path / "health.json").read_text())["unexplained"] == []
    assert len(pd.read_parquet(path / "hosts.parquet")) == hosts


def test_four_runs_at_once_do_not_see_each_other(tmp_path: Path) -> None:
    """One folder, the same addresses, ports and names of devices: each as if it were alone."""
    before = sorted(os.listdir("/sys/class/net"))
    commands = [
        subprocess.Popen(
            run(tmp_path, seed=seed), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for seed in range(4)
    ]
    numbers = {command.pid for command in commands}
    seen, deadline = 0, time.monotonic() + 60
    while seen < 4 and time.monotonic() < deadline and all(c.poll() is None for c in commands):
        seen = max(seen, len(numbers & {found.command for found in attach.labs()}))
        select.select([], [], [], 0.01)
    said = [command.communicate(timeout=120) for command in commands]
    assert [command.returncode for command in commands] == [0] * 4, said
    for out, _ in said:
        explained(json.loads(out))
    assert len({json.loads(out)["run_dir"] for out, _ in said}) == len(results.whole_runs(tmp_path))
    assert seen == 4, "all four had a lab at one time"
    assert sorted(os.listdir("/sys/class/net")) == before


@pytest.mark.parametrize(
    "above",
    [
        ("unshare", "-Ur"),
        ("unshare", "-Urmpf", "--mount-proc"),
        ("unshare", "-Urnm"),
    ],
    ids=["user namespace", "with processes of its own", "with a network of its own"],
)
def test_a_run_inside_another_world(above: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which(above[0]) is None:
        pytest.skip(f"no {above[0]} here")
    done = subprocess.run(run(tmp_path, *above), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    explained(json.loads(done.stdout))


@pytest.mark.skipif(os.geteuid() != 0, reason="bwrap leaves /proc whole for a plain user")
def test_a_container_that_covers_parts_of_proc_is_told_what_to_change(tmp_path: Path) -> None:
    """As Docker does by default: the kernel allows no other /proc below one with holes."""
    packages.need("bwrap", "bubblewrap")
    world = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    world += ["--tmpfs", "/run", "--bind", str(tmp_path), str(tmp_path), "--cap-add", "ALL"]
    done = subprocess.run(run(tmp_path, *world), cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "this container hides parts of /proc" in done.stderr
    assert list(tmp_path.iterdir()) == []


# What Docker grants a container unless told otherwise.
GRANTED = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP "
    "NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
)


@pytest.mark.skipif(os.geteuid() != 0, reason="runc without root wants a user with sub-ids")
def test_a_run_inside_a_container_whose_proc_is_whole(tmp_path: Path) -> None:
    """As `docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined`."""
    packages.need("runc", "runc")
    root, folder = tmp_path / "root", tmp_path / "results"
    root.mkdir()
    folder.mkdir()
    subprocess.run(["runc", "spec"], cwd=tmp_path, check=True)
    spec = json.loads((tmp_path / "config.json").read_text())
    spec["root"] = {"path": "root", "readonly": True}
    granted = [f"CAP_{name}" for name in GRANTED.split()]
    kinds = ("bounding", "effective", "permitted", "inheritable")
    spec["process"] |= {
        "terminal": False,
        "args": run(folder),
        "cwd": str(ROOT),
        "capabilities": dict.fromkeys(kinds, granted),
    }
    spec["process"]["env"] += [f"HOME={folder}", f"TMPDIR={folder}"]
    spec["linux"] |= {"maskedPaths": [], "readonlyPaths": []}
    for kind in ("run", "dev/shm"):
        spec["mounts"].append({"destination": f"/{kind}", "type": "tmpfs", "source": "tmpfs"})
    place = {"destination": str(folder), "source": str(folder), "options": ["rbind", "rw"]}
    spec["mounts"] = [each for each in spec["mounts"] if each["type"] != "cgroup"]
    spec["mounts"].append({"type": "bind", **place})
    (tmp_path / "config.json").write_text(json.dumps(spec))
    command = f"mount --rbind / root && runc --root {tmp_path}/state run testbed-{os.getpid()}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    explained(json.loads(done.stdout))
