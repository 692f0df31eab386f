"""The kernel's calls for namespaces and mounts, and the use of one network namespace at a time.

Python has `os.setns` and `os.unshare` only from 3.12 on; here they go through libc under every
version, so that there is one path to test. See namespaces(7), setns(2), clone(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000

_PR_SET_PDEATHSIG = 1
_CLONE_PARENT = 0x00008000
_SIGCHLD = 17  # of Linux on every machine but MIPS, SPARC and Alpha
# x86-64 has its own table of call numbers; ARM64 and RISC-V share the generic one.
_SYS_CLONE = 56 if platform.machine() == "x86_64" else 220

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = (ctypes.c_long,) * 6


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unshare(flags: int) -> None:
    """Moves the calling thread into new namespaces; a new user namespace wants a single thread.

    After CLONE_NEWPID it is the caller's next children that are in the new namespace.
    """
    _checked(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int = 0) -> None:
    """Moves the calling thread into a namespace, or into those of a process descriptor.

    `kind` is a CLONE_NEW flag that the namespace must be of (0: any); for a descriptor of
    `os.pidfd_open` it is the set of flags to enter.
    """
    _checked(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Mounts, as mount(2); raises OSError that names the target."""
    result = _libc.mount(
        source.encode(), os.fsencode(target), kind.encode(), flags, data.encode() or None
    )
    _checked(result, f"mount {target}")


def die_with_parent(number: int) -> None:
    """Has the kernel send the caller a signal when the thread that forked it ends.

    Only for a parent with one thread; it is lost when the caller's own rights change.
    """
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl")


def fork_sibling() -> int:
    """Forks a process whose parent is the caller's parent; as fork(2), returns 0 in the new one.

    The caller must have one thread: neither libc's nor Python's fork handlers run. It can exit at
    once, and the caller's parent reaps the new process.
    """
    return _checked(_libc.syscall(_SYS_CLONE, _CLONE_PARENT | _SIGCHLD, 0, 0, 0, 0), "clone")


def network() -> int:
    """Returns a descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def new_network() -> int:
    """Makes a network namespace, which lives while the returned descriptor is open."""
    home = network()
    try:
        unshare(CLONE_NEWNET)
        try:
            return network()
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


@contextmanager
def entered(netns_fd: int) -> Iterator[None]:
    """Has the calling thread, and no other, in a network namespace for the length of the block.

    Sockets opened and processes started in the block belong to that namespace. Not to be held
    over a `yield` to code that may run in another thread.
    """
    home = network()
    try:
        setns(netns_fd, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)
