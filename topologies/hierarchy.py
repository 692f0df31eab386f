"""A tree of routers with hosts in the subnets of its leaves.

Core r0 at level 0, `fan_out` routers below each, named level by level, `depth` levels below the
core; one subnet a leaf, s1.. from left to right. Depth 1 is a star. A node's groups are its
subnet, then all below each router above it.
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
    GraphError,
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

MOST_LEAVES = 65_536


@checked
def build(
    hosts: Hosts = None,
    depth: Annotated[int, Domain(1, 31, "levels", "of routers below the core")] = 2,
    fan_out: Annotated[int, Domain(1, MOST_LEAVES, "routers", "below each router")] = 2,
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
    """16 hosts in 4 subnets by default; `fan_out` to the power of `depth` is the subnets."""
    if fan_out**depth > MOST_LEAVES:
        raise GraphError(
            f"depth = {depth}, fan_out = {fan_out}: {fan_out}^{depth} subnets, at most "
            f"{MOST_LEAVES}; lower one of them"
        )
    members = sizes(hosts, hosts_per_subnet, fan_out**depth)
    routers = leaves = [Router("r0", 0, None)]
    for level in range(1, depth + 1):
        first = len(routers)
        leaves = [
            Router(f"r{first + place}", level, leaves[place // fan_out].name)
            for place in range(len(leaves) * fan_out)
        ]
        routers = [*routers, *leaves]
    return Graph.grow(
        "hierarchy",
        routers,
        [(leaf.name, size) for leaf, size in zip(leaves, members, strict=True)],
        **of_links(
            *(loss_ratio, loss, link_loss_ratio, access_delay_ms, core_delay_ms),
            *(access, access_up, core, core_up),
        ),
        lan=lan,
    )
