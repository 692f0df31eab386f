"""How many nodes Bimodal Multicast delivers a multicast to: almost none, or almost all.

Model: Birman et al., ACM TOCS 17(2), 1999, in rounds with a barrier. Phase 1 reaches each node by
itself, or nobody at all when the copy is lost next to its source. Then in each round every node
that has the multicast sends a digest to `fan_out` others; one that lacks it has it after the round
if digest, solicitation and retransmission all arrive: a push whose loss is 1 - (1-p)^3. After
`rounds` rounds, counted from the multicast for everybody, it is forgotten. The number of nodes that
have it is all that the future depends on, so the distribution is exact.

Leaves out: limits on retransmission, rounds of one's own, crashes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testbed.theory.hits import check_ratio
from testbed.theory.push_chain import push_chain

Floats = NDArray[np.float64]


def exchange_loss(loss_ratio: float) -> float:
    """The chance that a digest comes to nothing: exchange_loss(0.1) = 0.271"""
    check_ratio("loss_ratio", loss_ratio)
    return float(1.0 - (1.0 - loss_ratio) ** 3)


def first_phase(nodes: int, loss_ratio: float = 0.0, shared_loss_ratio: float = 0.0) -> Floats:
    """The probabilities that 0, 1, ... `nodes` nodes, the source among them, have it at once.

    first_phase(3, loss_ratio=0.5)[1:] = [0.25, 0.5, 0.25]
    """
    check_ratio("loss_ratio", loss_ratio)
    check_ratio("shared_loss_ratio", shared_loss_ratio)
    have = np.array([0.0, 1.0])
    for _ in range(nodes - 1):
        have = np.convolve(have, [loss_ratio, 1.0 - loss_ratio])
    have *= 1.0 - shared_loss_ratio
    have[1] += shared_loss_ratio
    return have


def delivered(
    nodes: int,
    rounds: int,
    *,
    fan_out: int = 1,
    loss_ratio: float = 0.0,
    shared_loss_ratio: float = 0.0,
    send_loss_ratio: float = 0.0,
) -> Floats:
    """The probabilities that 0, 1, ... `nodes` nodes have the multicast in the end.

    `loss_ratio` is that of every datagram at its receiver, `shared_loss_ratio` that of the first
    copy next to its source; 1 stands for no phase 1. `send_loss_ratio` is lost next to whoever
    sends it, of first copies and of what follows. Domain: 2 <= nodes <= 2048.
    delivered(3, rounds=1, shared_loss_ratio=1.0)[1:] = [0, 1, 0]: one digest to one of two others
    """
    check_ratio("send_loss_ratio", send_loss_ratio)
    lost = 1.0 - (1.0 - loss_ratio) * (1.0 - send_loss_ratio)
    chain = push_chain(nodes, fan_out, loss_ratio=exchange_loss(lost))
    shared = 1.0 - (1.0 - shared_loss_ratio) * (1.0 - send_loss_ratio)
    have = first_phase(nodes, loss_ratio, shared)
    for _ in range(rounds):
        have = have @ chain.kernel
    return have
