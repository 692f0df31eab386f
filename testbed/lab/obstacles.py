"""Why the kernel refused to make a lab, and what the user can do about it.

Known: Debian's kernel.unprivileged_userns_clone, the limits under user.max_*_namespaces, the
AppArmor restriction of Ubuntu 23.10 and later, the seccomp filter and the masked /proc of
containers, chroots, and kernels built without user namespaces.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

Reader = Callable[[str], str | None]
"""Returns the text of a file under /proc, None where there is none."""

_LIMITED = ("user", "mnt", "pid", "net", "ipc", "uts")


def read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def explain(
    step: str, number: int, text: str, *, root: bool | None = None, read: Reader = read
) -> str:
    """Returns one line: what was refused, why, and the remedy.

    `step` and `text` say what failed with the error `number`; `root`: the user is (default: asked
    of the system).
    """
    if root is None:
        root = os.geteuid() == 0
    reason = _unshare(number, root, read) if step in ("unshare", "maps") else None
    if reason is None and step == "mounts" and number in (errno.EPERM, errno.EACCES):
        reason = (
            "this container hides parts of /proc or forbids mounts; "
            "start it with --privileged, or leave it"
            if _contained(read)
            else None
        )
    if reason is None:
        remedy = "run it with sudo" if not root else "run it on a machine or in a VM of its own"
        reason = f"the kernel refused it; {remedy}"
    # unshare's ENOSPC by its name: "No space left on device" is not what it means.
    what = errno.errorcode.get(number, text) if step == "unshare" else text
    return f"no private world for the network ({step}: {what}): {reason}"


def _unshare(number: int, root: bool, read: Reader) -> str | None:
    sudo = "" if root else ", or run with sudo"
    if number in (errno.EINVAL, errno.ENOSYS):
        return "this kernel has no user namespaces (CONFIG_USER_NS); boot another kernel"
    if number in (errno.ENOSPC, errno.EUSERS):
        for kind in _LIMITED:
            name = f"user.max_{kind}_namespaces"
            value = read(f"/proc/sys/user/max_{kind}_namespaces")
            if value == "0":
                return f"{name} = 0; sudo sysctl -w {name}=15000"
        return (
            "a limit of user.max_*_namespaces is reached, or 32 levels of nesting; "
            "end other labs and containers, or raise the limit with sysctl"
        )
    if number not in (errno.EPERM, errno.EACCES):
        return None
    if not root and read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        name = "kernel.unprivileged_userns_clone"
        return f"{name} = 0 keeps it for root; sudo sysctl -w {name}=1{sudo}"
    if not root and read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") not in (
        None,
        "0",
    ):
        name = "kernel.apparmor_restrict_unprivileged_userns"
        return (
            f"Ubuntu's AppArmor keeps it for programs with a profile ({name} = 1); "
            f"sudo sysctl -w {name}=0{sudo}"
        )
    if _filtered(read):
        return (
            "a seccomp filter, as of a container, forbids unshare; start the container with "
            "--privileged, or with --security-opt seccomp=unconfined and systempaths=unconfined"
        )
    return "forbidden, as in a chroot or by a security module; run outside of it" + sudo


def _filtered(read: Reader) -> bool:
    return "Seccomp:\t2" in (read("/proc/self/status") or "")


def _contained(read: Reader) -> bool:
    return (
        _filtered(read) or read("/.dockerenv") is not None or read("/run/.containerenv") is not None
    )
