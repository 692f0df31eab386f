"""The floor of benchmarks/agents.py: processes that only send and read datagrams.

    python -I -S -B benchmarks/bare_agents.py SPEC.json

One process a host, forked into its namespace. Each sends `fan_out` datagrams to random others every
`round_s` seconds from a random phase, and reads what comes; no protocol, no checks, no trace. Each
writes `<folder>/<node>.json` at the end: datagrams sent and read, and how late its ticks were (ns).
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import socket
import sys
import time
from select import select
from typing import Any

CLONE_NEWNET = 0x40000000
PORT = 9000
DRAIN_S = 3.0  # and time to measure the processes while they are there

libc = ctypes.CDLL(None, use_errno=True)


def gossip(node: int, spec: dict[str, Any]) -> None:
    """Lives until the end of the run."""
    addresses: list[str] = spec["addresses"]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    udp.bind((addresses[node], PORT))
    rng = random.Random(node)
    payload = bytes(spec["datagram_bytes"])
    due = spec["at_s"] + rng.random() * spec["round_s"]
    sent = read = 0
    late: list[int] = []
    while True:
        now = time.monotonic()
        if now >= spec["end_s"] + DRAIN_S:
            break
        if due <= now and due < spec["end_s"]:
            late.append(round((now - due) * 1e9))
            due += spec["round_s"]
            for _ in range(spec["fan_out"]):
                other = rng.randrange(len(addresses) - 1)
                udp.sendto(payload, (addresses[other + (other >= node)], PORT))
                sent += 1
        wake = due if due < spec["end_s"] else spec["end_s"] + DRAIN_S
        if select([udp], [], [], max(0.0, wake - time.monotonic()))[0]:
            udp.recv(2048)
            read += 1
    with open(f"{spec['folder']}/{node}.json", "w") as file:
        json.dump({"sent": sent, "read": read, "late_ns": late}, file)


def main() -> None:
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    gc.collect()
    gc.freeze()
    for node, namespace in enumerate(spec["namespaces"]):
        if os.fork() == 0:
            if libc.setns(namespace, CLONE_NEWNET):
                os._exit(1)
            gossip(node, spec)
            os._exit(0)
    for _ in spec["namespaces"]:
        os.wait()


if __name__ == "__main__":
    main()
