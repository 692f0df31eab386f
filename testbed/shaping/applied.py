"""Shaping as it stands on a live network: applied, read back from the kernel, counted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from testbed.errors import ShapingError
from testbed.medium import CUT
from testbed.shaping.interface import Backend, Later, Nodes, Port, Shaped, asked, by_router, ports
from testbed.shaping.pick import choose
from topologies.elements import Impairment
from topologies.graph import Graph

NEARLY = 1e-5
"""Share by which what the kernel holds may differ from what was asked, where it is no ratio."""

MOST_LINKS = 8
"""Between two hosts, with room: six in a hierarchy of two levels."""


class Shaping:
    """The impairments of one network. `backend` is "none" where the graph asks for nothing."""

    def __init__(
        self, net: Nodes, backend: Backend | None, wanted: Sequence[Port], seed: int = 0
    ) -> None:
        """`seed` is for a backend that draws by itself; others leave that to the kernel."""
        self.backend = "none" if backend is None else backend.name
        self._backend = None if backend is None else backend.fresh()
        self._wanted = {(port.router, port.way): port for port in wanted}
        self._placed = {
            key: port if backend is None else backend.place(port)
            for key, port in self._wanted.items()
        }
        self._changed: set[tuple[str, str]] = set()
        self._forgiven: dict[str, int] = {}
        self._net, self._seed = net, seed
        self._netns = {port.router: net.get(port.router).netns for port in self._placed.values()}

    def apply(self) -> None:
        """Puts every impairment in place and checks it. Raises ShapingError naming the device."""
        if self._backend is not None:
            self._backend.apply_all(self._net, by_router([*self._placed.values()]), self._seed)
        self.check()

    def change(self, router: str, way: str, impairment: Impairment) -> None:
        """Impairs one port in another way from now on. Raises ShapingError."""
        key = (router, way)
        if self._backend is None or key not in self._wanted:
            raise ShapingError(
                f"{router} {way}: is not shaped; name what it may become when shaping is applied"
            )
        self._wanted[key] = replace(self._wanted[key], impairment=impairment)
        placed = self._placed[key] = replace(self._placed[key], impairment=impairment)
        self._changed.add(key)
        self._backend.change(self._netns[placed.router], placed)

    @contextmanager
    def going_down(self, ports: Iterable[tuple[str, str]]) -> Iterator[None]:
        """A link goes down inside it, whose two `ports` (router, way) then lose what they hold."""
        with ExitStack() as stack:
            for placed in (self._placed[port] for port in ports if port in self._placed):
                assert self._backend is not None
                netns = self._netns[placed.router]
                stack.enter_context(self._backend.going_down(netns, placed.way))
            yield

    def check(self) -> None:
        """Compares what the kernel holds with what was asked for. Raises ShapingError."""
        if self._backend is not None:
            for node, its_ports in by_router([*self._placed.values()]).items():
                held = self._backend.read_back(self._netns[node])
                compare(self._backend, its_ports, held)

    def counted(self) -> dict[tuple[str, str], Shaped]:
        """Packets passed and dropped by (router, `Port.way`); exact once traffic has stopped.

        Nothing is known of a backend that has died.
        """
        if self._backend is None or self._backend.dead():
            return {}
        counted = {node: self._backend.counted(netns) for node, netns in self._netns.items()}
        return {key: counted[placed.router][placed.way] for key, placed in self._placed.items()}

    @property
    def longest_s(self) -> float:
        """How long a packet may wait on all links together, if none has a rate; in any weather."""
        waits = [each for port in self._wanted.values() for each in (port.impairment, *port.later)]
        one_s = max((each.delay_ms + CUT * each.jitter_ms for each in waits), default=0.0) / 1e3
        return one_s * MOST_LINKS

    def held(self) -> int:
        """Packets that wait for their time."""
        if self._backend is None or self._backend.dead():
            return 0
        return sum(self._backend.held(netns) for netns in self._netns.values())

    def complaints(self) -> list[str]:
        """Why the impairments of this network cannot be trusted: an overload, or a death."""
        if self._backend is None:
            return []
        if dead := self._backend.dead():
            return [dead]
        return [
            f"{node}: the kernel dropped {more} packets that {self.backend} had no time for; use "
            "fewer hosts, a longer round or netem"
            for node, packets in self._backend.dropped().items()
            if (more := packets - self._forgiven.get(node, 0))
        ]

    def forgive(self) -> None:
        """Leaves an overload so far out of `complaints`."""
        if self._backend is not None and not self._backend.dead():
            self._forgiven = self._backend.dropped()

    def late_ms(self) -> float:
        """`Backend.late_ms`; 0 where there is none, or none any more."""
        if self._backend is None or self._backend.dead():
            return 0.0
        return self._backend.late_ms()

    def dead(self) -> str | None:
        """How shaping ended before the network did; None while it works."""
        return None if self._backend is None else self._backend.dead()

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()

    def dropped(self) -> dict[tuple[str, str], int]:
        return {port: shaped.dropped for port, shaped in self.counted().items()}

    def passed(self) -> dict[tuple[str, str], int]:
        return {port: shaped.passed for port, shaped in self.counted().items()}

    def by_ratio(self, *, independent: bool = False) -> dict[float, tuple[int, int]]:
        """Packets (dropped, offered) of all ports that share a loss ratio: the achieved loss.

        Those that were changed are left out, since their counts are of several ratios, and those
        that lost packets uncounted. With
        `independent` so are those where more than one packet may be lost at once, or more than
        the loss is counted: bursts, copies, and queues, which netem does not tell from losses.
        """
        sums: dict[float, tuple[int, int]] = {}
        for key, shaped in self.counted().items():
            what = self._wanted[key].impairment
            if key in self._changed or shaped.emptied or (independent and not _independent(what)):
                continue
            ratio = what.loss_ratio
            dropped, offered = sums.get(ratio, (0, 0))
            sums[ratio] = (dropped + shaped.dropped, offered + shaped.offered)
        return sums


def apply(
    net: Nodes,
    graph: Graph,
    only: str | None = None,
    seed: int = 0,
    later: Later | None = None,
) -> Shaping:
    """Shapes a network that is up as its graph says, and reads it back from the kernel.

    `only` names a backend; by default the kernel is probed. `later` is what ports may be changed
    to. Raises ShapingError.
    """
    shaping = Shaping(net, choose(graph, only, later), list(ports(graph, later)), seed)
    try:
        shaping.apply()
    except BaseException:
        shaping.close()
        raise
    return shaping


def compare(backend: Backend, wanted: Sequence[Port], held: Mapping[str, Impairment]) -> None:
    """Raises ShapingError at the first device where the kernel holds something else."""
    for port in wanted:
        got = held.get(port.way, Impairment())
        burst = port.impairment.burst_packets is not None
        for field in dataclasses.fields(Impairment):
            want, have = (getattr(each, field.name) for each in (port.impairment, got))
            # A burst is held as chances, delay and rate in whole units: nearly the same will do.
            exact = field.name.endswith("_ratio") and not burst
            if field.name in backend.unlisted:
                continue
            if not _same(want, have, backend.resolution, 0 if exact else NEARLY):
                raise ShapingError(
                    f"{port.words}: wanted {field.name} = {want}, the kernel says {have}; does "
                    f"something else change {backend.name} there?"
                )
    for way in sorted(set(held) - {port.way for port in wanted}):
        raise ShapingError(
            f"{wanted[0].router} {way}: nothing was asked for, the kernel has "
            f"{asked(held[way])}; remove it, or make the network anew"
        )


def _independent(what: Impairment) -> bool:
    """Whether each packet is lost by itself, and all that is counted as lost is."""
    return what.burst_packets is None and not what.duplicate_ratio and what.queue_packets is None


def _same(
    want: float | str | None, have: float | str | None, resolution: float, share: float
) -> bool:
    if not isinstance(want, int | float) or not isinstance(have, int | float):
        return want == have
    # 0 and 1 are promises, not measurements: they hold exactly.
    if not share and (want in (0, 1) or have in (0, 1)):
        return want == have
    return math.isclose(want, have, rel_tol=share, abs_tol=resolution * 1.001)
