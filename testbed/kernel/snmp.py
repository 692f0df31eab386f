"""Counters of the IP stack in one network namespace: /proc/net/snmp, netstat (RFC 4113 and 4293).

They are read through /proc/thread-self, which shows the namespace that the calling thread is in.
"""

from __future__ import annotations

from testbed.errors import TestbedError

Counts = dict[str, dict[str, int]]
"""By protocol ("Ip", "Udp", ...) and name."""


def read(*files: str) -> Counts:
    """What the namespace has counted since it was made; `files` are snmp and netstat."""
    counts: Counts = {}
    for file in files:
        with open(f"/proc/thread-self/net/{file}") as opened:
            counts |= parse(opened.read())
    return counts


def parse(text: str) -> Counts:
    """The pairs of lines "Udp: names", "Udp: numbers" of /proc/net/snmp and netstat."""
    found: Counts = {}
    lines = text.splitlines()
    for names, numbers in zip(lines[::2], lines[1::2], strict=True):
        kind, _, rest = names.partition(":")
        same, _, values = numbers.partition(":")
        if kind != same:
            raise TestbedError(f"/proc/net/snmp: {kind} is followed by {same}; report this kernel")
        found[kind] = dict(zip(rest.split(), map(int, values.split()), strict=True))
    return found
