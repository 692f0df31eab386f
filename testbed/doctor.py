"""What this machine can do, and the remedy for what it can't.

Each ability is tried for real inside a lab of its own, so nothing on the machine changes. An
ability is *needed* when the main job, `testbed validate`, does not work without it.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from testbed import lab

HOST_KB = 2_300
"""Memory of one host: 270 kB of the kernel's and an agent of up to 2 MB (docs/decisions.md)."""

HOSTS_PER_CORE = 512
"""Agents a core carries at a round of 0.5 s and fan-out 2: 1,024 on two cores were in time."""

MRT_INIT = 200  # <linux/mroute.h>


@dataclass(frozen=True, slots=True)
class Check:
    """One ability: what it is for, whether it is there, what was found, what to do if not."""

    name: str
    purpose: str
    needed: bool
    ok: bool
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Tries everything; takes about a second and never raises."""
    checks = [_linux(), _python()]
    problem = lab.problem()
    checks.append(_private_world(problem))
    if problem is None:
        checks += lab.call(_kernel)
    checks += [_program(*program) for program in PROGRAMS]
    checks.append(_capacity())
    return [replace(check, remedy="") if check.ok else check for check in checks]


def works(checks: Sequence[Check]) -> bool:
    """True when everything needed is there."""
    return all(check.ok for check in checks if check.needed)


def document(checks: Sequence[Check]) -> dict[str, Any]:
    return {"schema": 1, "ok": works(checks), "checks": [asdict(check) for check in checks]}


def show(checks: Sequence[Check]) -> None:
    """Prints a table; what is missing comes with its remedy below."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "ability", "for", "found", box=None)
    for check in checks:
        mark = "[green]yes" if check.ok else "[red]no" if check.needed else "[yellow]no"
        table.add_row(mark, check.name, check.purpose, check.found if check.ok else "")
    console = Console(highlight=False)
    console.print(table)
    for check in checks:
        if not check.ok:
            line = f"{check.name}: {check.found}; {check.remedy}"
            console.print(line, markup=False, soft_wrap=True)
    console.print(
        "\nThe main job, testbed validate, works here."
        if works(checks)
        else "\nThe main job, testbed validate, does not work here.",
    )


def _private_world(problem: str | None) -> Check:
    if problem is None:
        found, remedy = "root" if os.geteuid() == 0 else "user namespaces", ""
    else:
        found, _, remedy = problem.rpartition("; ")
    return Check("private world", "every run", True, problem is None, found, remedy)


def _linux() -> Check:
    found = f"{platform.system()} {platform.release()}"
    ok = sys.platform == "linux"
    return Check("Linux", "every run", True, ok, found, "use the virtual machine: vagrant up")


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    remedy = "install Python 3.11 or newer and run sh setup.sh again"
    return Check("Python", "every run", True, ok, platform.python_version(), remedy)


def _capacity() -> Check:
    cores = len(os.sched_getaffinity(0))
    memory_kb = _available_kb()
    hosts = min(memory_kb // HOST_KB, cores * HOSTS_PER_CORE)
    found = f"{cores} cores, {memory_kb // 2**20} GiB free: about {hosts} hosts at 0.5 s a round"
    remedy = "use smaller sizes (--set nodes=...) or a longer round (--set run.round_s=...)"
    return Check("256 hosts", "validate --quick", False, hosts >= 256, found, remedy)


def _available_kb() -> int:
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


# Program, its Debian package, what it is for.
PROGRAMS = (
    ("mnexec", "mininet", "commands inside hosts"),
    ("mn", "mininet", "stock Mininet on the same topologies"),
    ("brctl", "bridge-utils", "mn --switch lxbr"),
    ("ifconfig", "net-tools", "stock Mininet nodes"),
    ("ping", "iputils-ping", "pingAll"),
    ("iperf", "iperf", "net.iperf()"),
    ("tcpdump", "tcpdump", "captures"),
)


def _program(name: str, package: str, purpose: str) -> Check:
    path = shutil.which(name)
    remedy = f"sudo apt-get install --no-install-recommends {package}"
    return Check(name, purpose, False, path is not None, path or "missing", remedy)


TRAFFIC = """table ip doctor {
    set traffic {
        typeof iifname . oifname . @th,64,8
        flags dynamic
        size 64
        counter
    }
    chain forward {
        update @traffic { iifname . oifname . @th,64,8 }
    }
}"""

NFT = "sudo apt-get install nftables; the kernel needs CONFIG_NF_TABLES with "


def _kernel() -> list[Check]:
    """What the kernel can do; runs inside a lab."""
    from testbed.shaping import pick

    backends = {backend.name: pick.probed(backend) or "" for backend in pick.BACKENDS}
    counters = _nft(TRAFFIC)
    veth = _try("ip link add doctor0 type veth peer name doctor1")
    bridge = _try("ip link add doctor2 type bridge")
    htb = _try("tc qdisc replace dev lo root handle 1: htb")
    tbf = _try("tc qdisc replace dev lo root tbf rate 1mbit burst 10kb latency 10ms")
    works_by = [name for name, problem in backends.items() if not problem]
    delays_by = [
        each.name for each in pick.BACKENDS if "delay_ms" in each.can and each.name in works_by
    ]

    def check(
        name: str, purpose: str, problem: str, remedy: str, *, needed: bool = False, found: str = ""
    ) -> Check:
        return Check(name, purpose, needed, not problem, problem or found or "works", remedy)

    module = "load the kernel module {0}: sudo modprobe {0}".format
    return [
        check("veth", "links", veth, module("veth"), needed=True),
        check("bridge", "subnets", bridge, module("bridge"), needed=True),
        check("nft counters", "counts at routers", counters, NFT + "dynamic sets", needed=True),
        check(
            "loss",
            "loss_ratio above 0",
            "" if works_by else "; ".join(f"{name}: {why}" for name, why in backends.items()),
            NFT + "NFT_NUMGEN, or " + module("sch_netem"),
            found=f"by {' or '.join(works_by)}",
        ),
        check(
            "delay",
            "delay, jitter, bursts, rate, ...",
            "" if delays_by else f"netem: {backends['netem']}; nfqueue: {backends['nfqueue']}",
            module("sch_netem") + ", or nfnetlink_queue and nft_queue",
            found=f"by {' or '.join(delays_by)}",
        ),
        check(
            "sch_netem",
            "delay at more than 5,000 packets/s",
            backends["netem"] and "missing",
            module("sch_netem"),
        ),
        check("sch_htb", "TCLink bandwidth", htb, module("sch_htb")),
        check("sch_tbf", "TCLink bandwidth", tbf, module("sch_tbf")),
        check(
            "nfqueue",
            "delay without netem",
            backends["nfqueue"],
            "sudo modprobe nfnetlink_queue nft_queue (or xt_NFQUEUE, with CONFIG_NFT_COMPAT)",
        ),
        check("IP_MROUTE", "IP multicast", _multicast_routing(), "use a kernel with IP_MROUTE"),
    ]


def _nft(rules: str) -> str:
    return _try("nft --check -f -", text=rules)


def _multicast_routing() -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP) as igmp:
            igmp.setsockopt(socket.IPPROTO_IP, MRT_INIT, 1)
    except OSError as error:
        return f"IP_MROUTE: {error.strerror}"
    return ""


def _try(line: str, *, text: str = "") -> str:
    """Runs a command; empty when it did what it was told, else its first complaint."""
    command = line.split()
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=10, check=False
        )
    except FileNotFoundError:
        return f"{command[0]} is missing"
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not end in 10 s"
    if done.returncode == 0:
        return ""
    complaint = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()
    return complaint[0]
