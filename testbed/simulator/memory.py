"""Refuses a simulation that would not fit into this machine's memory."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import UsageError


def check_memory(nodes: int, bytes_per_node: int, free: int | None = None) -> None:
    """Raises UsageError, naming the size that fits, when the nodes need more than is free."""
    free = free_bytes() if free is None else free
    if nodes * bytes_per_node > free:
        fits = free // bytes_per_node
        raise UsageError(
            f"nodes = {nodes} needs {_gigabytes(nodes * bytes_per_node)} of memory, "
            f"{_gigabytes(free)} are free: up to {_rounded(fits)} nodes fit; uniform targets at "
            "any size are for testbed.simulator.counts"
        )


def free_bytes(root: Path = Path("/")) -> int:
    """Memory that can be used now: what the kernel has, or the control group if it allows less."""
    fields = (root / "proc/meminfo").read_text(encoding="ascii").split()
    free = int(fields[fields.index("MemAvailable:") + 1]) * 1024
    group = root / "sys/fs/cgroup"
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free  # no version-2 control group, or the root one, which has no limit
    return free if limit == "max" else min(free, max(int(limit) - used, 0))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"


def _rounded(count: int) -> int:
    """Rounds down to two digits: a limit that moves with every other process is not exact."""
    scale = int(10 ** max(len(str(count)) - 2, 0))
    return count // scale * scale
