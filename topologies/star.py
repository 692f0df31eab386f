"""Equal subnets around one core router: the m subnets of the topology-aware bound m*b.

Core r0; below it r1..rm, each with one subnet s1..sm of as many hosts as evenness allows. As in
`two_subnets`, r1..rm stand for the LANs, so r0 sees crossings only: bN(1-1/m) a round at
saturation when targets are uniform. A node's groups are its subnet and everyone.
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
    subnets: Annotated[int, Domain(1, 65_536, "subnets", "around the core")] = 4,
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
    """16 hosts by default; a crossing meets two links and the receiver's loss."""
    members = sizes(hosts, hosts_per_subnet, subnets)
    edges = [Router(f"r{place + 1}", 1, "r0") for place in range(subnets)]
    return Graph.grow(
        "star",
        [Router("r0", 0, None), *edges],
        [(edge.name, size) for edge, size in zip(edges, members, strict=True)],
        **of_links(
            *(loss_ratio, loss, link_loss_ratio, access_delay_ms, core_delay_ms),
            *(access, access_up, core, core_up),
        ),
        lan=lan,
    )
