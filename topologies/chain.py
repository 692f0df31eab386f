"""Routers in a line, each with one subnet: delays add up, and one lost link cuts off a whole end.

r0, the core, is one end; r1 is joined to r0, r2 to r1 and so on, s1 is the subnet of r0. Nodes are
numbered along the line. A node's groups are its subnet, and all from each router above it to the
far end. It is the chain of SRM's analysis, with one host a router [Floyd et al., IEEE/ACM ToN 5(6),
1997].
"""

from __future__ import annotations

if __name__ == "__main__":
    import os
    import sys

    sys.dont_write_bytecode = "SUDO_UID" in os.environ
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from topologies.script import ready

    graph, commands = ready(__file__)
    from testbed.shell import open_on

    sys.exit(open_on(graph, commands))

from typing import Annotated

from topologies.graph import (
    DelayOfAccess,
    DelayOfCore,
    Domain,
    Graph,
    Hosts,
    HostsPerSubnet,
    LanKind,
    LinkLoss,
    OfAccess,
    OfAccessUp,
    OfCore,
    OfCoreUp,
    ReceiverLoss,
    Router,
    WhereLost,
    checked,
    of_links,
    sizes,
)


@checked
def build(
    hosts: Hosts = None,
    subnets: Annotated[int, Domain(2, 32, "routers", "in the line, with a subnet each")] = 8,
    hosts_per_subnet: HostsPerSubnet = None,
    loss_ratio: ReceiverLoss = 0.0,
    loss: WhereLost = "end_to_end",
    link_loss_ratio: LinkLoss = 0.0,
    access_delay_ms: DelayOfAccess = 0.0,
    core_delay_ms: DelayOfCore = 0.0,
    access: OfAccess = "",
    access_up: OfAccessUp = "",
    core: OfCore = "",
    core_up: OfCoreUp = "",
    lan: LanKind = "routed",
) -> Graph:
    """32 hosts by default; from one end to the other there are `subnets` - 1 links of routers."""
    members = sizes(hosts, hosts_per_subnet, subnets)
    routers = [Router(f"r{at}", at, f"r{at - 1}" if at else None) for at in range(subnets)]
    return Graph.grow(
        "chain",
        routers,
        [(router.name, size) for router, size in zip(routers, members, strict=True)],
        **of_links(
            *(loss_ratio, loss, link_loss_ratio, access_delay_ms, core_delay_ms),
            *(access, access_up, core, core_up),
        ),
        lan=lan,
    )
