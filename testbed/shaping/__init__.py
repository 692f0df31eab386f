"""Loss, delay, jitter, reordering, duplication, corruption and rate: one backend a file.

All have one interface; `pick` takes the first that gives what a network asks for.

shaping = apply(net, graph)      # raises ShapingError, naming the remedy
shaping.backend                  # "nftables", for the manifest
shaping.by_ratio()               # {0.3: (packets dropped, packets offered)}
"""

from testbed.shaping.applied import Shaping, apply
from testbed.shaping.interface import Backend, Port, Shaped
from testbed.shaping.pick import BACKENDS, choose

__all__ = ["BACKENDS", "Backend", "Port", "Shaped", "Shaping", "apply", "choose"]
