"""Waiting for namespaces to be gone.

A network namespace dies when the last process, socket and descriptor in it is gone. The kernel
then takes its interfaces apart in a work queue, all dead namespaces at a time, after the close that
caused it has returned; a network built meanwhile would wait for the same locks.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from testbed.kernel import namespaces, rtnetlink
from testbed.kernel.netlink import Channel
from testbed.network.nodes import Node

_GONE_S = 60.0
"""Deadline; 8,192 hosts were gone in 6.5 s."""

_DYING_S = 1.0
"""How long a process may still be found in a stopped node. One that an interrupted command killed
(an agent, `nft`) leaves after its parent has gone on, later still on a busy machine."""

# More processes than this on a warning's line help nobody.
_NAMED = 5

_WATCHER, _WATCHED = "watcher", "watched"

_log = logging.getLogger(__name__)


@contextmanager
def awaited(nodes: Sequence[Any]) -> Iterator[None]:
    """Ends the nodes' namespaces in the block, and returns when the kernel has taken them apart.

    A namespace that a foreign process still is in stays; a warning names the process.
    """
    inodes = {
        os.fstat(node.netns).st_ino: node.name
        for node in nodes
        if isinstance(node, Node) and node.inNamespace and not node.ended
    }
    yield
    if inodes:
        _report_left_over(inodes)
        _wait()


def _wait() -> None:
    """Lets one more namespace die after the others and watches the far end of its only link.

    The kernel's queue is served in order, so that one is in the last batch; the interfaces of a
    batch go at once. Both namespaces are new: nothing is looked at or left in the caller's.
    """
    near = namespaces.new_network()
    try:
        with namespaces.entered(near):
            channel = Channel(_WATCHER)
    finally:
        os.close(near)
    with channel:
        far = namespaces.new_network()
        try:
            channel.ask([rtnetlink.veth(_WATCHER, 0, None, _WATCHED, 0, None, far)])
        finally:
            os.close(far)
        deadline = time.monotonic() + _GONE_S
        while any(link.name == _WATCHER for link in rtnetlink.links(channel)):
            if time.monotonic() > deadline:
                _log.warning("namespaces are still dying %g s after their end", _GONE_S)
                return
            time.sleep(0.002)


def _report_left_over(inodes: dict[int, str]) -> None:
    deadline = time.monotonic() + _DYING_S
    while (found := _left_over(inodes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    if found:
        _log.warning(
            "%d processes still run in stopped nodes and keep them; end each by its pid: %s",
            len(found),
            ", ".join(found[:_NAMED]),
        )


def _left_over(inodes: dict[int, str]) -> list[str]:
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            inode = os.stat(f"/proc/{entry}/ns/net").st_ino
            with open(f"/proc/{entry}/comm") as file:
                command = file.read().strip()
        except OSError:  # ended meanwhile, or another user's
            continue
        if inode in inodes:
            found.append(f"{inodes[inode]}: {entry} ({command})")
    return found
