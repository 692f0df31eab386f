"""Two subnets and the core router between them: the lecture's picture.

Core r0; r1 with s1 and r2 with s2 below it, half of the hosts each, the odd one in s1. r1 and r2
stand for the LANs: they forward inside their subnet, so all that r0 sees are crossings.
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

from topologies.graph import (
    DelayOfAccess,
    DelayOfCore,
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
    """8 hosts by default; a crossing meets two links and the receiver's loss."""
    first, second = sizes(hosts, hosts_per_subnet, subnets=2)
    return Graph.grow(
        "two_subnets",
        [Router("r0", 0, None), Router("r1", 1, "r0"), Router("r2", 1, "r0")],
        [("r1", first), ("r2", second)],
        **of_links(
            *(loss_ratio, loss, link_loss_ratio, access_delay_ms, core_delay_ms),
            *(access, access_up, core, core_up),
        ),
        lan=lan,
    )
