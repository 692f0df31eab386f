"""Times bring-up and teardown of a network of two subnets: this testbed's, stock Mininet's, and a
floor that does no more than the kernel must.

    python benchmarks/bringup.py --hosts 256 [--repeats 3] [--json]

Each measurement is in a lab of its own, and the three take turns. Teardown counts until the kernel
has removed all interfaces. `ratio_to_mininet` is Mininet's median over ours (bigger is better),
`ratio_to_floor` ours over the floor's (smaller is better).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import floor
from testbed import lab
from testbed.network import Network
from topologies import two_subnets


class Times(NamedTuple):
    up_s: float
    down_s: float


def ours(hosts: int) -> Times:
    """`Network(graph)`: graph, namespaces, links, Mininet's objects; and `stop`."""
    begin = time.perf_counter()
    net = Network(two_subnets.build(hosts=hosts))
    net.start()
    built = time.perf_counter()
    net.stop()
    return Times(built - begin, time.perf_counter() - built)


def stock(hosts: int) -> Times:
    """Mininet with its own Host, Link and LinuxBridge, and a stock Node as router."""
    from mininet.link import Link
    from mininet.net import Mininet
    from mininet.node import Host, Node
    from mininet.nodelib import LinuxBridge

    begin = time.perf_counter()
    net = Mininet(host=Host, link=Link, switch=LinuxBridge, controller=None)
    router = net.addHost("r0", cls=Node, ip=None)
    for number, first, last in ((1, 0, hosts // 2), (2, hosts // 2, hosts)):
        switch = net.addSwitch(f"s{number}")
        gateway = f"10.{number}.255.254"
        net.addLink(router, switch, params1={"ip": f"{gateway}/16"})
        for node in range(first, last):
            address = f"10.{number}.{(node - first) // 250}.{(node - first) % 250 + 1}/16"
            host = net.addHost(f"h{node + 1}", ip=address, defaultRoute=f"via {gateway}")
            net.addLink(host, switch)
    net.build()
    router.cmd("sysctl -w net.ipv4.ip_forward=1")
    net.start()
    built = time.perf_counter()
    net.stop()
    return Times(built - begin, time.perf_counter() - built)


def bare(hosts: int) -> Times:
    """The floor; see benchmarks.floor."""
    begin = time.perf_counter()
    namespaces = floor.up(hosts)
    built = time.perf_counter()
    floor.down(namespaces)
    return Times(built - begin, time.perf_counter() - built)


def measure(hosts: int, repeats: int) -> dict[str, list[Times]]:
    """Runs each kind `repeats` times, in turns."""
    kinds: dict[str, Callable[[int], Times]] = {"ours": ours, "floor": bare, "mininet": stock}
    found: dict[str, list[Times]] = {name: [] for name in kinds}
    for turn in range(repeats):
        for name, kind in kinds.items():
            print(f"{turn + 1}/{repeats} {name}, {hosts} hosts", file=sys.stderr)
            found[name].append(lab.call(partial(kind, hosts)))
    return found


def summarize(hosts: int, found: dict[str, list[Times]]) -> dict[str, object]:
    """Medians and ratios, with all single times."""
    total = {name: statistics.median(sum(times) for times in all_) for name, all_ in found.items()}
    return {
        "schema": 1,
        "hosts": hosts,
        "ratio_to_mininet": round(total["mininet"] / total["ours"], 2),
        "ratio_to_floor": round(total["ours"] / total["floor"], 2),
        "total_s": {name: round(value, 3) for name, value in total.items()},
        "times_s": {
            name: [[round(value, 3) for value in times] for times in all_]
            for name, all_ in found.items()
        },
        "kernel": platform.release(),
        "cores": os.cpu_count(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--hosts", type=int, default=256, help="even, 2..2046 (default 256)")
    parser.add_argument("--repeats", type=int, default=3, help="of each kind (default 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    if arguments.hosts % 2 or not 2 <= arguments.hosts <= 2046:
        parser.error(f"--hosts {arguments.hosts}: give an even number in 2..2046")
    if arguments.repeats < 1:
        parser.error(f"--repeats {arguments.repeats}: give at least 1")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    result = summarize(arguments.hosts, measure(arguments.hosts, arguments.repeats))
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:17} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
