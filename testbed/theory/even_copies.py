"""The share of a stream that full packets can deliver, when their copies are dealt evenly.

Model [derived here from the lecture's "Epidemic Multicast": targets are uniform]: each node gets
B b / P copies a second, of a stream of that rate times `load`; so each multicast has 1 / load
copies a node in the mean. A node lacks one with probability exp(-m) when m copies of it arrive as a
Poisson number; exp is convex, so dealing the copies out unevenly only loses more. Left out: that
senders could know who has what, and that packets are not full below the capacity.
"""

from __future__ import annotations

import math


def even_copies(load: float) -> float:
    """The share delivered, 1 - exp(-1 / load), at most 1 / load. Domain: load > 0.

    even_copies(0.5) = 0.865, even_copies(1.0) = 0.632, even_copies(2.5) = 0.330
    """
    if load <= 0:
        raise ValueError(f"load = {load}: a stream has one over 0")
    return 1 - math.exp(-1 / load)
