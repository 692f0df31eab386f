"""The same networks in stock Mininet, with its own classes.

    sudo mn --custom topologies/mn.py --topo two_subnets,hosts=8 --switch lxbr \
        --controller none --test pingall

Hosts, routers, subnets and, where Mininet allows it, interfaces have the names of the Graph. A
subnet is a Linux bridge outside the routers, `lan` notwithstanding; hosts ask by ARP. Lists are
joined by `+`, as in hosts_per_subnet=3+5. Loss is refused: Mininet's default link ignores it, and
its TCLink goes on without it where the kernel has no sch_netem; `testbed shell` has other ways.

`mn` executes this file without a name or a path, and takes every name in it for its own: none here
may be one of `mn` that means something else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from mininet.node import Node
from mininet.topo import Topo

_FILE = os.path.abspath(sys._getframe().f_code.co_filename)
_ROOT = os.path.dirname(os.path.dirname(_FILE))
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)
if "SUDO_UID" in os.environ:
    sys.dont_write_bytecode = True  # or root would own files in the user's checkout

from topologies import catalog  # noqa: E402
from topologies.checks import BRIDGE_PORTS  # noqa: E402
from topologies.graph import Graph, GraphError, bridge_device, link_device  # noqa: E402

# The highest there is, so that any connected or static route is better.
_LAST_RESORT = 2**32 - 1


class StaticRouter(Node):
    """A host that forwards; `routes` are the arguments of `ip route add`."""

    def config(self, routes: tuple[str, ...] = (), **params: Any) -> Any:
        result = super().config(**params)
        self._must("echo 1 > /proc/sys/net/ipv4/ip_forward")
        for route in routes:
            self._must(f"ip route add {route}")
        return result

    def _must(self, command: str) -> None:
        output = self.cmd(command)
        if output.strip():
            raise GraphError(
                f"{self.name}: `{command}` said {output.strip()!r}; see the kernel log"
            )


class GraphTopo(Topo):
    """A Graph as a Mininet topology. Raises GraphError for what stock Mininet cannot give."""

    def build(self, graph: Graph) -> None:
        _refuse_what_stock_cannot(graph)
        for router in graph.routers:
            routes = [
                f"{route.network} via {route.via} dev {route.device}"
                for route in graph.routes(router.name)
            ]
            routes += [
                f"unreachable {network} metric {_LAST_RESORT}"
                for network in graph.unreachable(router.name)
            ]
            # Without ip=None Mininet would give it an address of its own.
            self.addHost(router.name, cls=StaticRouter, ip=None, routes=tuple(routes))
        for link in graph.links:
            self.addLink(
                link.upper,
                link.lower,
                intfName1=link_device(link, "upper"),
                intfName2=link_device(link, "lower"),
                params1={"ip": f"{link.upper_address}/31"},
                params2={"ip": f"{link.lower_address}/31"},
            )
        for subnet in graph.subnets:
            length = subnet.prefix.prefixlen
            self.addSwitch(subnet.name)
            self.addLink(
                subnet.router,
                subnet.name,
                intfName1=bridge_device(subnet),
                params1={"ip": f"{subnet.gateway}/{length}"},
            )
            for host in graph.hosts_of(subnet.name):
                self.addHost(
                    host.name,
                    ip=f"{host.address}/{length}",
                    mac=host.mac,
                    defaultRoute=f"via {subnet.gateway}",
                )
                self.addLink(host.name, subnet.name)


def _refuse_what_stock_cannot(graph: Graph) -> None:
    impaired = [host.name for host in graph.hosts if not host.receive.perfect]
    impaired += [
        f"{link.upper}-{link.lower}"
        for link in graph.links
        if not (link.down.perfect and link.up.perfect)
    ]
    if impaired:
        raise GraphError(
            f"{impaired[0]}: loss or delay is not given by stock Mininet's links here; "
            f"use `testbed shell {graph.name}`, or leave it out"
        )
    for subnet in graph.subnets:
        hosts = len(graph.hosts_of(subnet.name))
        # The router's own port is the one more.
        if hosts >= BRIDGE_PORTS:
            raise GraphError(
                f"subnet {subnet.name}: {hosts} hosts, {BRIDGE_PORTS - 1} and the router fit a "
                "bridge; use more subnets"
            )


def _by_name(name: str) -> Callable[..., GraphTopo]:
    def topo(*args: object, **kwargs: object) -> GraphTopo:
        """What `mn` has made of the text after --topo, numbers as numbers."""
        order = [parameter.name for parameter in catalog.arguments(name)]
        try:
            if len(args) > len(order):
                raise GraphError(
                    f"{len(args)} values, there are {len(order)} parameters; drop some"
                )
            texts = dict(zip(order, map(str, args), strict=False))
            texts |= {key: str(value) for key, value in kwargs.items()}
            return GraphTopo(catalog.build(name, **catalog.parse(name, texts)))
        except GraphError as error:
            # Any other exception makes `mn` clean up the machine, other networks on it included.
            print(f"{name}: {error}", file=sys.stderr)
            sys.exit(2)

    return topo


topos = {name: _by_name(name) for name in catalog.names()}
