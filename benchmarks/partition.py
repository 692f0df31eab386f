"""How long a partition takes to hold at every router, and at every host.

Cuts and heals a network again and again and prints the time from the decision to the last router's
answer. The time until the last host hears the last datagram from the other side is measured by
tests/network/test_faults.py on agents that gossip across. Forking `nft` for each router, as one
would do by hand, is timed beside it.

    python benchmarks/partition.py [--hosts 8,64,512,1024] [--times 200]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed import faults, lab
from testbed.faults.drawing import Drawing
from testbed.faults.rules import TABLE, Rules
from testbed.kernel.nft import Nft
from testbed.network import Network
from topologies import two_subnets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hosts", default="8,64,512,1024")
    parser.add_argument("--times", type=int, default=200)
    arguments = parser.parse_args()
    print("hosts  median ms  worst ms  nft at each router, median ms")
    for hosts in map(int, arguments.hosts.split(",")):
        switched, forked = _measure(hosts, arguments.times)
        own, forks = np.median(switched), np.median(forked)
        print(f"{hosts:5}  {own:9.3f}  {max(switched):8.3f}  {forks:10.1f}")
    return 0


def _measure(hosts: int, times: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each switch by the rules' own messages, and by forking nft."""
    graph = two_subnets.build(hosts=hosts)
    parted = faults.parse("partition", [{"kind": "partition", "at_s": 0, "sets": [0.5]}])
    timeline = Drawing(parted, graph, 1.0, 10).draw(1)
    with Network(graph) as net:
        rules = Rules(net, graph)
        rules.arrange(parted, timeline)
        turns = range(2 * -(-times // 2))  # ends healed
        switched = [_timed(partial(rules.switch, 0, turn % 2 == 0)) for turn in turns]
        routers = [Nft(net.get(router.name).netns) for router in graph.routers]
        forked = []
        for turn in range(10):
            do = "delete" if turn % 2 else "add"
            text = f"{do} element bridge {TABLE} on_0 {{ ip }}\n"
            forked.append(_timed(partial(_change, routers, text)))
        for nft in routers:
            nft.close()
        rules.close()
    return switched, forked


def _change(routers: Sequence[Nft], text: str) -> None:
    for nft in routers:
        nft.change(text)


def _timed(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    sys.exit(lab.run(main))
