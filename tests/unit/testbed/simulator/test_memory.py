from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import UsageError
from testbed.simulator.memory import check_memory, free_bytes


def machine(root: Path, limit: str | None = None, used: str = "0") -> Path:
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text("MemTotal: 99 kB\nMemFree: 5 kB\nMemAvailable: 40 kB\n")
    if limit is not None:
        (root / "sys/fs/cgroup").mkdir(parents=True)
        (root / "sys/fs/cgroup/memory.max").write_text(limit + "\n")
        (root / "sys/fs/cgroup/memory.current").write_text(used + "\n")
    return root


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [(None, "0", 40960), ("max", "0", 40960), ("30000", "10000", 20000), ("10", "20", 0)],
)
def test_free_memory_is_what_the_kernel_and_the_control_group_allow(
    tmp_path: Path, limit: str | None, used: str, free: int
) -> None:
    assert free_bytes(machine(tmp_path, limit, used)) == free


def test_a_size_that_fits_passes() -> None:
    check_memory(10, 100, free=1000)


def test_a_size_that_does_not_fit_is_refused_with_the_one_that_does() -> None:
    with pytest.raises(UsageError, match=r"nodes = 2000000 needs 0\.2 GB .*up to 1200000 nodes"):
        check_memory(2_000_000, 100, free=123_456_789)
