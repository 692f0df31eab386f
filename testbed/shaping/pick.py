"""Picks the backend for a graph by trying what the kernel can do.

The first one that gives everything the graph asks for is taken. nftables comes first because it
counts what it drops by kind, and because netem is missing from many kernels (microVMs, WSL2,
minimal cloud images); it gives loss alone. netem costs no process, so it is asked before nfqueue,
which any kernel with netfilter's queue has.
"""

from __future__ import annotations

import os

from testbed.errors import ShapingError, UsageError, near
from testbed.kernel import namespaces
from testbed.shaping.interface import Backend, Later, Port, asked, ports
from testbed.shaping.netem import Netem
from testbed.shaping.nfqueue import Nfqueue
from testbed.shaping.nftables import Nftables
from topologies.graph import Graph, Impairment

BACKENDS: tuple[Backend, ...] = (Nftables(), Netem(), Nfqueue())


def choose(graph: Graph, only: str | None = None, later: Later | None = None) -> Backend | None:
    """The backend that gives what `graph` asks for; None when it asks for nothing.

    Nothing is left changed: the kernel is probed in namespaces of its own, before there is a
    network. `only` names the one backend to consider. Raises ShapingError with each backend's
    reason, UsageError for a name that does not exist.
    """
    candidates = [each for each in BACKENDS if only in (None, each.name)]
    if not candidates:
        names = [each.name for each in BACKENDS]
        raise UsageError(f"shaping backend {only}: unknown; {near(str(only), names)}")
    wanted = list(ports(graph, later))
    if not wanted:
        return None
    reasons = []
    for backend in candidates:
        reason = unable(backend, wanted) or probed(backend)
        if reason is None:
            return backend
        reasons.append(f"{backend.name}: {reason}")
    raise ShapingError(f"{_first(wanted)}: no backend can give it here; {'; '.join(reasons)}")


def able() -> list[str]:
    """Names of the backends that the kernel has."""
    return [backend.name for backend in BACKENDS if probed(backend) is None]


def unable(backend: Backend, wanted: list[Port]) -> str | None:
    """The first thing asked for that the backend does not give on any kernel."""
    for port in wanted:
        if port.later and not backend.changes:
            return f"cannot change {port.to}'s link while traffic runs"
        for impairment in (port.impairment, *port.later):
            for field in asked(impairment):
                if field not in backend.can:
                    return f"gives {', '.join(sorted(backend.can))} only, not {port.to}'s {field}"
            refusal = backend.refusal(impairment)
            if refusal is not None:
                return f"{port.to}: {_worded(impairment)}: {refusal}"
    return None


def probed(backend: Backend) -> str | None:
    """`backend.probe` in a network namespace that is gone afterwards."""
    try:
        netns = namespaces.new_network()
    except OSError as error:
        return f"no network namespace to try it in: {error.strerror}; run as root or inside a lab"
    try:
        return backend.probe(netns)
    finally:
        os.close(netns)


def _first(wanted: list[Port]) -> str:
    # The one that asks for most tells the reader most.
    most = [(port.to, each) for port in wanted for each in (port.impairment, *port.later)]
    to, impairment = max(most, key=lambda each: len(asked(each[1])))
    return f"{to}: {_worded(impairment)}"


def _worded(impairment: Impairment) -> str:
    return ", ".join(
        f"{field} = {value if isinstance(value, str) else format(value, 'g')}"
        for field, value in asked(impairment).items()
    )
