"""Sends numbered datagrams over one impaired link and says what became of them.

The same figures for every backend, each with the interval that chance allows it: the familywise
error over all figures of a suite is `FAMILYWISE_ERROR`. The receiver's times are the kernel's
(SO_TIMESTAMPNS), so a late reader does no harm; the sender's are read before its system call.
"""

from __future__ import annotations

import math
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np
from scipy import stats

from agents.hosts import PORT
from testbed import shaping
from testbed.kernel.namespaces import entered
from testbed.medium import FRAME_BYTES, quantile
from testbed.network import Network
from tests.network.traffic import BUFFER_BYTES, FAMILYWISE_ERROR, two_subnets
from topologies.graph import Graph
from topologies.impairments import Impairment

SO_TIMESTAMPNS = 35
HEADERS = 28
SETTLED_S = 0.4
"""Without a packet for so long, and none held: no more will come."""

ORDER = (0.01, 0.5, 0.99)
MEDIAN_MS, P99_MS = 0.5, 2.0
"""How far quantiles of the delay may be from those asked for."""


PACE = 0.95
"""Share of the datagrams a second that must be reached where a figure is one at that rate."""

Place = Literal["receive", "router", "send"]
"""The way into a host, the port of a router, a host's own way out: each is code of its own."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure asked for and measured. `low` and `high` bound what was asked for, given `n`."""

    name: str
    asked: float
    measured: float
    low: float
    high: float
    n: int

    @property
    def right(self) -> bool:
        return bool(self.low <= self.asked <= self.high)

    def __str__(self) -> str:
        return (
            f"{self.name}: asked {self.asked:g}, measured {self.measured:.5g} "
            f"({self.low:.5g}..{self.high:.5g}), n = {self.n}"
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """What became of datagrams of `size` bytes of payload."""

    sent_ns: tuple[int, ...]
    """When each was, in the order of their numbers."""
    size: int
    numbers: tuple[int, ...]
    """Of the datagrams that came, in the order of their coming."""
    late_ms: tuple[float, ...]
    came_ns: tuple[int, ...]
    per_s: float
    """How many were sent in a second."""
    doubts: tuple[str, ...]
    """Why the machine was not up to it."""

    @property
    def sent(self) -> int:
        return len(self.sent_ns)


def placed(what: Impairment, place: Place) -> tuple[Graph, str]:
    """A graph with one impaired direction of a link, and the host whose way to h1 it is on."""
    graph = two_subnets(4)
    hosts, links = list(graph.hosts), list(graph.links)
    if place == "receive":
        hosts[0] = replace(hosts[0], receive=what)
    elif place == "send":
        hosts[1] = replace(hosts[1], send=what)
    else:
        links[0] = replace(links[0], down=what)
    changed = Graph("two", graph.routers, graph.subnets, tuple(hosts), tuple(links))
    return changed, "h3" if place == "router" else "h2"


def traverse(
    backend: str,
    what: Impairment,
    count: int,
    per_s: float,
    size: int = 64,
    seed: int = 1,
    place: Place = "receive",
    late_ms: float = math.inf,
) -> Sample:
    """Sends `count` datagrams from one host to another over the link that impairs them; in a lab.

    As many a second as the machine can, if those are fewer than `per_s`. A backend that is more
    than `late_ms` late at p99 is doubted.
    """
    graph, source = placed(what, place)
    with Network(graph) as net:
        applied = shaping.apply(net, graph, backend, seed)
        sender, receiver = (stamping_socket(net, name) for name in (source, "h1"))
        came: list[tuple[int, int, int]] = []
        sent_ns: list[int] = []
        address = (str(graph.hosts[0].address), PORT)
        filling = bytes(size - 12)
        start_ns = time.monotonic_ns()
        for number in range(count):
            due_ns = start_ns + int(number * 1e9 / per_s)
            while True:
                left_ns = due_ns - time.monotonic_ns()
                if left_ns <= 0:
                    break
                read_stamped(receiver, came)
                if left_ns > 300_000:
                    time.sleep((left_ns - 200_000) / 1e9)
            sent_ns.append(time.time_ns())
            sender.sendto(struct.pack("=QI", sent_ns[-1], number) + filling, address)
            if not number % 32:
                read_stamped(receiver, came)
        quiet_ns = time.monotonic_ns()
        took_s = (quiet_ns - start_ns) / 1e9
        while time.monotonic_ns() < quiet_ns + SETTLED_S * 1e9:
            if read_stamped(receiver, came) or applied.held():
                quiet_ns = time.monotonic_ns()
            time.sleep(0.005)
        doubts = applied.complaints()
        late = applied.late_ms()
        if late > late_ms:
            doubts.append(f"packets left {late:.1f} ms late at p99, limit {late_ms:g} ms")
        applied.close()
    return Sample(
        tuple(sent_ns),
        size,
        tuple(number for number, _, _ in came),
        tuple(late / 1e6 for _, late, _ in came),
        tuple(at for _, _, at in came),
        (count - 1) / took_s,
        tuple(doubts),
    )


def stamping_socket(net: Any, name: str, port: int = PORT) -> socket.socket:
    """A socket on a host that learns of each datagram when the kernel took it in."""
    with entered(net.get(name).netns):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        udp.setsockopt(socket.SOL_SOCKET, buffer, BUFFER_BYTES)
    udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    udp.bind(("0.0.0.0", port))
    return udp


def read_stamped(udp: socket.socket, came: list[tuple[int, int, int]]) -> int:
    """Adds (number, nanoseconds under way, time of receipt) of what is there; says how much."""
    before = len(came)
    try:
        while True:
            data, control, _, _ = udp.recvmsg(2048, 64)
            seconds, rest = struct.unpack("=qq", control[0][2])
            at_ns = seconds * 1_000_000_000 + rest
            sent_ns, number = struct.unpack_from("=QI", data)
            came.append((number, at_ns - sent_ns, at_ns))
    except BlockingIOError:
        return len(came) - before


def share(name: str, asked: float, hits: int, n: int, tests: int) -> Figure:
    """A ratio with its exact (Clopper-Pearson) interval."""
    interval = stats.binomtest(hits, n).proportion_ci(1 - FAMILYWISE_ERROR / tests, "exact")
    return Figure(name, asked, hits / n, interval.low, interval.high, n)


def mean(name: str, asked: float, values: Sequence[float], tests: int) -> Figure:
    middle, n = float(np.mean(values)), len(values)
    half = stats.norm.isf(FAMILYWISE_ERROR / tests / 2) * float(np.std(values)) / math.sqrt(n)
    return Figure(name, asked, middle, middle - half, middle + half, n)


def at(name: str, part: float, asked: float, values: Sequence[float], tests: int) -> Figure:
    """A quantile with its interval between two of the values, whatever their distribution."""
    n, ordered = len(values), np.sort(values)
    tail = FAMILYWISE_ERROR / tests / 2
    # As many values are below the quantile as a binomial count says.
    below, above = (int(stats.binom.ppf(each, n, part)) for each in (tail, 1 - tail))
    low = float(ordered[below - 1]) if below else -math.inf
    high = float(ordered[above]) if above < n else math.inf
    return Figure(name, asked, float(np.quantile(ordered, part)), low, high, n)


def lost(sample: Sample) -> int:
    return sample.sent - len(set(sample.numbers))


# One function a kind of impairment: what to ask for, and the figures that come of it.


def enough(ratio: float, within: float, tests: int) -> int:
    """Datagrams that put chance's own error of a loss below `within`, but in 1e-4 of families.

    enough(0.5, 0.002, 20) = 1,302,331, where the standard error is 0.0004.
    """
    deviations = stats.norm.isf(FAMILYWISE_ERROR / tests / 2)
    return int(np.ceil((deviations / within) ** 2 * ratio * (1 - ratio)))


def of_loss(run: Run, ratio: float, count: int, per_s: float, tests: int) -> list[Figure]:
    sample = run(Impairment(loss_ratio=ratio), count, per_s)
    return [share(f"loss {ratio:g}", ratio, lost(sample), sample.sent, tests)]


def of_bursts(run: Run, count: int, per_s: float, tests: int) -> list[Figure]:
    """Bursts of 5; the loss has the wider interval of a two-state chain."""
    what = Impairment(loss_ratio=0.2, burst_packets=5)
    sample = run(what, count, per_s)
    arrived = set(sample.numbers)
    gone = [number not in arrived for number in range(sample.sent)]
    lengths = [len(list(spell)) for bad, spell in groupby(gone) if bad]
    remembers = 1 - sum(what.spells)
    wider = math.sqrt((1 + remembers) / (1 - remembers))
    ratio = sum(gone) / sample.sent
    half = stats.norm.isf(FAMILYWISE_ERROR / tests / 2) * wider
    half *= math.sqrt(0.2 * 0.8 / sample.sent)
    return [
        mean("mean burst", 5, lengths, tests),
        Figure("loss in bursts", 0.2, ratio, ratio - half, ratio + half, sample.sent),
    ]


def of_jitter(run: Run, what: Impairment, count: int, per_s: float, tests: int) -> list[Figure]:
    """Quantiles of the delay: as far off as the project promises, and as chance allows beside.

    Of 2,000 jitters from `pareto` the highest hundredth begins over 2 ms off in 17% of the samples.

    A constant delay first: what it varies by is the machine's doing, and past half of the bounds
    nothing can be said of the backend.
    """
    constant = run.paced(Impairment(delay_ms=what.delay_ms), count, per_s)
    control = np.quantile(constant.late_ms, ORDER)
    if control[1] - control[0] > MEDIAN_MS / 2 or control[2] - control[0] > P99_MS / 2:
        run.doubts.append(
            f"a constant delay varied from {control[0]:.2f} to {control[2]:.2f} ms; repeat on an "
            "idle machine"
        )
    sample = run.paced(what, count, per_s)
    found = []
    for part, within in zip(ORDER, (P99_MS, MEDIAN_MS, P99_MS), strict=True):
        asked = what.delay_ms + what.jitter_ms * quantile(what.jitter_distribution, part)
        name = f"{what.jitter_distribution} jitter p{part * 100:g} (ms)"
        by_chance = at(name, part, asked, sample.late_ms, tests)
        low, high = by_chance.low - within, by_chance.high + within
        found.append(replace(by_chance, low=low, high=high))
    return found


def of_correlation(run: Run, count: int, per_s: float, tests: int) -> list[Figure]:
    """Rank correlation of one packet's delay with the next one's, as normal scores."""
    what = Impairment(delay_ms=50, jitter_ms=5, jitter_correlation=0.6)
    sample = run.paced(what, count, per_s)
    late = np.empty(sample.sent)
    late[list(sample.numbers)] = sample.late_ms
    scores = stats.norm.ppf((stats.rankdata(late) - 0.5) / sample.sent)
    measured = float(stats.pearsonr(scores[1:], scores[:-1]).statistic)
    # Bartlett: of an autoregression's first coefficient.
    half = stats.norm.isf(FAMILYWISE_ERROR / tests / 2) * math.sqrt((1 - 0.6**2) / sample.sent)
    # A lateness of the machine of 0.1 ms in 2.9 ms takes away 0.001.
    return [
        Figure("correlation", 0.6, measured, measured - half, measured + half + 0.01, sample.sent)
    ]


def of_reordering(run: Run, count: int, per_s: float, tests: int) -> list[Figure]:
    sample = run.paced(Impairment(delay_ms=20, reorder_ratio=0.1), count, per_s)
    early = sum(each < 10 for each in sample.late_ms)
    return [share("reordered", 0.1, early, sample.sent, tests)]


def of_copies(run: Run, count: int, per_s: float, tests: int) -> list[Figure]:
    sample = run(Impairment(duplicate_ratio=0.1), count, per_s)
    twice = sum(times == 2 for times in Counter(sample.numbers).values())
    found = share("duplicated", 0.1, twice, sample.sent, tests)
    more = len(sample.numbers) - len(set(sample.numbers)) - twice
    return [found, Figure("thrice or more", 0, more, -more, 0.5 - more, sample.sent)]


def of_damage(run: Run, count: int, per_s: float, tests: int, *, anywhere: bool) -> list[Figure]:
    """Datagrams that a checksum has found out. `anywhere`: damage may hit the Ethernet header, and
    in the sender's address there, 6 bytes of the frame, nobody sees it."""
    sample = run(Impairment(corrupt_ratio=0.1), count, per_s, 1000)
    unseen = 6 / (1000 + HEADERS + FRAME_BYTES) if anywhere else 0.0
    return [share("corrupted", 0.1 * (1 - unseen), lost(sample), sample.sent, tests)]


def of_rate(run: Run, count: int, queue_packets: int | None = None) -> list[Figure]:
    """10 Mbit/s that are offered twice as much; 1% is what a timer of 0.1 ms costs.

    With a limit of packets the queue is full most of the time; what it drops must take nothing of
    the rate. Asked for is what a link of that rate makes of the times at which they were sent: a
    sender that is held up for longer than the queue lasts leaves the link with nothing to do.
    """
    size = 1000
    frame = size + HEADERS + FRAME_BYTES
    what = Impairment(rate_mbit=10, queue_packets=queue_packets)
    sample = run.paced(what, count, 20e6 / 8 / frame, size)
    asked, measured = (
        (len(times_ns) - 1) * frame * 8e3 / (times_ns[-1] - times_ns[0])
        for times_ns in (let_go(sample.sent_ns, frame * 8e3 / 10, queue_packets), sample.came_ns)
    )
    name = f"rate, queue of {queue_packets} (Mbit/s)" if queue_packets else "rate (Mbit/s)"
    return [Figure(name, asked, measured, measured * 0.99, measured * 1.01, sample.sent)]


def let_go(sent_ns: Sequence[int], each_ns: float, most: int | None) -> list[float]:
    """When a link has sent on each of the packets that it takes, one of them in `each_ns`.

    It holds `most` of them, the one that it is sending among them.
    """
    times_ns: list[float] = []
    for at_ns in sent_ns:
        if most is None or len(times_ns) < most or times_ns[-most] <= at_ns:
            times_ns.append(max(at_ns, times_ns[-1] if times_ns else at_ns) + each_ns)
    return times_ns


def of_limit(run: Run) -> list[Figure]:
    """50 datagrams in the 83 ms of one, where 10 are held; a bridge's report may take a place."""
    size, most = 1000, 10
    sample = run.paced(Impairment(rate_mbit=0.1, queue_packets=most), 50, 1_000, size)
    through = len(sample.numbers)
    asked = len(let_go(sample.sent_ns, (size + HEADERS + FRAME_BYTES) * 8e3 / 0.1, most))
    return [Figure("through a queue of 10", asked, through, through, through + 1, 50)]


class Run:
    """Measures one backend; keeps what the machine was not up to."""

    def __init__(self, backend: str, seed: int = 1, place: Place = "receive") -> None:
        self.backend, self.seed, self.place = backend, seed, place
        self.doubts: list[str] = []
        self.slowest_per_s = math.inf
        """Of the samples so far."""

    def __call__(
        self,
        what: Impairment,
        count: int,
        per_s: float,
        size: int = 64,
        *,
        late_ms: float = math.inf,
    ) -> Sample:
        where = self.seed, self.place
        sample = traverse(self.backend, what, count, per_s, size, *where, late_ms)
        self.doubts += sample.doubts
        self.slowest_per_s = min(self.slowest_per_s, sample.per_s)
        return sample

    def paced(self, what: Impairment, count: int, per_s: float, size: int = 64) -> Sample:
        """The same for figures of time: doubted if the backend is late or the rate not reached."""
        sample = self(what, count, per_s, size, late_ms=P99_MS)
        if sample.per_s < PACE * per_s:
            self.doubts.append(
                f"{sample.per_s:,.0f} datagrams a second were sent, {per_s:,.0f} asked; repeat on "
                "an idle machine"
            )
        return sample


Measure = Callable[[Run], list[Figure]]
