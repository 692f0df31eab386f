"""The exact chain of synchronous push-pull gossip.

Model: in each round every node calls `fan_out` others; what the caller knows travels with the
call, what the called node knows comes back with the answer [Karp et al., Randomized rumor
spreading, FOCS 2000]. A call matters only between an infected and a susceptible node, so the
pulls of the susceptible and the pushes of the infected are independent given the round's start.
"""

from __future__ import annotations

from testbed.theory.chain import Chain, check_nodes
from testbed.theory.pull_chain import unpulled
from testbed.theory.push_chain import spread


def push_pull_chain(
    nodes: int,
    fan_out: int = 1,
    *,
    replacement: bool = False,
    loss_ratio: float = 0.0,
    legs: int = 2,
    crashed: int = 0,
) -> Chain:
    """The chain for a group of `nodes`, of which `crashed` are dead from the start.

    A push needs one datagram to arrive, a pull `legs` of them (2, call and answer, or 1).
    Domain: 2 <= nodes <= 2048, 1 <= fan_out <= nodes-1 (any when targets may repeat).
    mean(push_pull_chain(64).rounds_to_all()) = 5.99
    """
    alive = check_nodes(nodes, crashed)
    table = unpulled(
        nodes, alive, fan_out, replacement=replacement, loss_ratio=loss_ratio, legs=legs
    )
    # Those that a pull has saved are the first to be hit; the pushes then find the rest.
    spread(table, nodes, fan_out, replacement=replacement, loss_ratio=loss_ratio)
    return Chain(table[:, ::-1].copy())
