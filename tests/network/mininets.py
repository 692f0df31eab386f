"""What the tests of Mininet's interface share."""

from __future__ import annotations

import os
from typing import Any

from mininet import topo

from testbed.network import Bridge, Host, Link, Network

FAST = {"host": Host, "link": Link, "switch": Bridge, "controller": None}


def single(hosts: int = 2, **params: Any) -> Network:
    """Some hosts on a switch."""
    return Network(topo=topo.SingleSwitchTopo(hosts), **params)


def running_shells(net: Any) -> int:
    """How many processes there are beside this one; a lab has its own /proc."""
    return sum(entry.isdecimal() and int(entry) > os.getpid() for entry in os.listdir("/proc"))
