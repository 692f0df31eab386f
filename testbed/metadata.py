"""What a result needs to be repeated: code, kernel, tools, machine and the exact command."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent

CODE = ("agents", "testbed", "topologies")

SYSCTLS = (
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/core/netdev_max_backlog",
    "net/ipv4/ip_forward",
    "net/ipv4/neigh/default/gc_thresh3",
    "net/ipv4/conf/all/send_redirects",
    "net/ipv4/conf/all/rp_filter",
    "net/bridge/bridge-nf-call-iptables",
    "kernel/sched_autogroup_enabled",
)
"""Settings that change what a run measures; read, never written."""

PACKAGES = ("mininet", "numpy", "pandas", "scipy", "statsmodels", "matplotlib", "pyarrow")
TOOLS = (("nft", "--version"), ("tc", "-V"), ("ip", "-V"))


def describe(protocols: Iterable[str] = ()) -> dict[str, Any]:
    """The part of a manifest that does not depend on the experiment, but for the code.

    `protocols` may be files of one's own: they are part of it.
    """
    return {
        "code": code(protocols),
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "command": shlex.join(["testbed", *sys.argv[1:]]),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "tools": {name: _first_line(name, flag) for name, flag in TOOLS},
        "sysctls": {name.replace("/", "."): _sysctl(name) for name in SYSCTLS},
        "machine": {
            "architecture": platform.machine(),
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
            "root": os.environ.get("TESTBED_CALLER_UID", str(os.getuid())) == "0",
        },
    }


def code(more: Iterable[str | Path] = ()) -> str:
    """A hash of everything that decides what a run does and how it is judged; `more` files, too.

    A commit alone does not tell: files may have been changed since.
    """
    files = [path for name in CODE for path in (REPOSITORY / name).rglob("*")]
    files = sorted(path for path in files if path.suffix in (".py", ".toml"))
    digest = hashlib.sha256()
    for path in [*files, REPOSITORY / "requirements.lock", *sorted(set(map(Path, more)))]:
        if path.is_file():
            digest.update(f"{path.name}\n{path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _git(*arguments: str) -> str:
    # The owner of a clone is another user when sudo runs it; git refuses that unless told.
    command = ["git", "-c", f"safe.directory={REPOSITORY}", "-C", str(REPOSITORY), *arguments]
    return _run(command)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _first_line(*command: str) -> str:
    return _run(list(command)).split("\n")[0] or "missing"


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip() if done.returncode == 0 else ""


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
