"""What one link does to the copies of a datagram that is under way in the simulator."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.medium import LOST, Medium

HEADERS_BYTES = 28
"""Of IP and UDP: what a datagram of the simulator lacks to be a packet."""

AT_ONCE = (0,)
"""What most datagrams meet: one copy arrives, without delay."""


def through(port: Medium, late: Sequence[int], size: int, bad: list[int]) -> Sequence[int]:
    """When each copy has passed one port more; those that are corrupted go to `bad`,
    and meet no more losses."""
    if port.plain:
        if len(late) == 1:
            takes_ns = port.pass_ns()
            return () if takes_ns < 0 else (late[0] + takes_ns,)
        passed = [(late_ns, port.pass_ns()) for late_ns in late]
        return [late_ns + takes_ns for late_ns, takes_ns in passed if takes_ns != LOST]
    found: list[int] = []
    for late_ns in late:
        for release_ns, corrupt in port.meet(late_ns, size + HEADERS_BYTES):
            (bad if corrupt else found).append(release_ns)
    return found
