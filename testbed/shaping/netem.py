"""Every impairment by the kernel's own network emulator, the queueing discipline sch_netem.

It becomes the root queue of the device by which packets leave a router or a host. Source:
linux/pkt_sched.h (tc_netem_qopt) and net/sched/sch_netem.c. It is talked to over netlink: `tc`
prints six digits of a ratio, so what it reads back cannot tell 0.9999999 from 1.

Refused: a correlation of the jitter. netem takes one, mixes 32-bit numbers accordingly, and
then uses their remainder by the table's size (`tabledist`), which remembers next to nothing: 0.5
asked came out as 0.00. What it drops for a full queue it counts as lost; copies and damage it does
not count, and damage may hit any header.
"""

from __future__ import annotations

import errno
import functools
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from testbed.errors import ShapingError
from testbed.kernel import rtnetlink, snmp
from testbed.kernel.namespaces import entered
from testbed.kernel.netlink import (
    CREATE,
    REPLACE,
    Channel,
    NetlinkError,
    Request,
    attribute,
    attributes,
    text,
)
from testbed.medium import quantile
from testbed.shaping.interface import Backend, Nodes, Port, Shaped
from topologies.errors import GraphError
from topologies.impairments import Distribution, Impairment

KIND = "netem"

# netem drops when 32 random bits are at most `loss`, and never when `loss` is 0.
CERTAIN = 2**32 - 1

# A full queue would be counted like a loss, so without a limit asked for it must never be full:
# tc's own 1,000 packets are reached by 50,000 a second that wait for 20 ms.
LIMIT_PACKETS = 1_000_000

TABLE_ENTRIES = 4096
"""Of a distribution: iproute2's are as long. netem takes 16 bits, in 1/8192 of the jitter."""
_TABLE_SCALE = 8192

_NEWQDISC, _GETQDISC = 36, 38
_ROOT = 0xFFFFFFFF
_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_BASIC, _QUEUE, _PACKETS64 = 1, 3, 8

_CORRELATION, _DISTRIBUTION, _REORDER, _CORRUPT, _LOSS, _RATE, _RATE64 = 1, 2, 3, 4, 5, 6, 8
_LATENCY64, _JITTER64 = 10, 11
_GILBERT_ELLIOTT = 2

_TCMSG = struct.Struct("=BxxxiIII")
_QOPT = struct.Struct("=IIIIII")  # latency, limit, loss, gap, duplicate, jitter
_PAIR = struct.Struct("=II")  # probability, correlation
_FOUR = struct.Struct("=IIII")  # tc_netem_gemodel: p, r, h, k1


class Qdisc(NamedTuple):
    """A netem queue as the kernel reports it."""

    device_index: int
    impairment: Impairment
    shaped: Shaped


class Netem(Backend):
    name = "netem"
    can = frozenset(Impairment.__slots__)
    unlisted = frozenset({"jitter_distribution"})
    # A chance of (loss + 1) / 2^32 is held for the ratio that was rounded to loss / (2^32 - 1).
    resolution = 2 / 2**32

    def __init__(self) -> None:
        self._emptied: Counter[tuple[int, str]] = Counter()

    def fresh(self) -> Netem:
        return Netem()

    def probe(self, netns: int) -> str | None:
        loopback = replaced(rtnetlink.LOOPBACK, "lo", Impairment(loss_ratio=0.5))
        try:
            with _channel(netns, "a namespace made for trying") as channel:
                channel.ask([loopback])
                held = list(_queues(channel))
        except NetlinkError as error:
            if error.errno == errno.ENOENT:
                return "this kernel has no sch_netem; `modprobe sch_netem`, or use another kernel"
            return str(error)
        if not held:
            return "the kernel took a netem queue and does not list it; use another kernel"
        return None

    def refusal(self, impairment: Impairment) -> str | None:
        if impairment.jitter_correlation:
            return "netem does not correlate jitter, whatever it is asked; use nfqueue"
        for field in Impairment.__slots__:
            ratio = getattr(impairment, field)
            if field.endswith("_ratio") and 0 < ratio < 1 and _lost_in_steps(ratio):
                return f"netem counts in steps of {1 / CERTAIN:.2g}; use 0, 1 or a value between"
        return None

    def place(self, port: Port) -> Port:
        """What a host sends is queued where it leaves the host: there is no queue on the way in."""
        if not port.inward:
            return port
        device = f"{port.to}-eth0"
        return Port(port.to, device, port.router, False, port.impairment, later=port.later)

    def apply(self, nodes: Nodes, node: str, ports: Sequence[Port], seed: int) -> None:
        try:
            with _channel(nodes.get(node).netns, node) as channel:
                indices = {link.name: link.index for link in rtnetlink.links(channel)}
                missing = [port.device for port in ports if port.device not in indices]
                if missing:
                    raise ShapingError(
                        f"{ports[0].router} {missing[0]}: no such device; is the network up?"
                    )
                channel.ask(
                    [replaced(indices[port.device], port.device, port.impairment) for port in ports]
                )
        except NetlinkError as error:
            raise ShapingError(str(error)) from error

    def change(self, netns: int, port: Port) -> None:
        try:
            with _channel(netns, port.router) as channel:
                index = rtnetlink.link(channel, port.device).index
                channel.ask([replaced(index, port.device, port.impairment)])
        except NetlinkError as error:
            raise ShapingError(str(error)) from error

    def read_back(self, netns: int) -> dict[str, Impairment]:
        return {name: qdisc.impairment for name, qdisc in _named(netns)}

    def counted(self, netns: int) -> dict[str, Shaped]:
        return {
            name: replace(qdisc.shaped, emptied=self._emptied[netns, name])
            for name, qdisc in _named(netns)
        }

    @contextmanager
    def going_down(self, netns: int, way: str) -> Iterator[None]:
        # The kernel empties the queue of a device that goes down, and counts nothing of it, nor
        # of what is handed to it in between.
        before = _handed(netns)
        with _channel(netns, way) as channel:
            held = _queue(channel, way).shaped.held
        yield
        self._emptied[netns, way] += held + _handed(netns) - before


def encoded_ratio(ratio: float) -> int:
    """netem's 32-bit form of a ratio. encoded_ratio(0.5) = 2147483648"""
    return round(ratio * CERTAIN)


def replaced(index: int, device: str, impairment: Impairment) -> Request:
    """The request that makes netem the root queue of a device, whatever it was before.

    All is named, since an option that is left out stays what it was.
    """
    loss = 0 if impairment.burst_packets is not None else encoded_ratio(impairment.loss_ratio)
    options = _QOPT.pack(
        *(0, impairment.queue_packets or LIMIT_PACKETS, loss),
        *(1 if impairment.reorder_ratio else 0, encoded_ratio(impairment.duplicate_ratio), 0),
    )
    options += attribute(_CORRELATION, bytes(12))
    options += attribute(_REORDER, _PAIR.pack(encoded_ratio(impairment.reorder_ratio), 0))
    options += attribute(_CORRUPT, _PAIR.pack(encoded_ratio(impairment.corrupt_ratio), 0))
    options += attribute(_LATENCY64, struct.pack("=q", round(impairment.delay_ms * 1e6)))
    options += attribute(_JITTER64, struct.pack("=q", round(impairment.jitter_ms * 1e6)))
    if impairment.jitter_ms:
        options += attribute(_DISTRIBUTION, _table(impairment.jitter_distribution))
    if impairment.burst_packets is not None:
        worsens, ends = impairment.spells
        keeps = 1 - impairment.bad_loss_ratio
        chances = map(encoded_ratio, (worsens, ends, keeps, impairment.good_loss_ratio))
        options += attribute(_LOSS, attribute(_GILBERT_ELLIOTT, _FOUR.pack(*chances)))
    speed = round((impairment.rate_mbit or 0.0) * 1e6 / 8)
    options += attribute(_RATE64, struct.pack("=Q", speed))
    options += attribute(_RATE, struct.pack("=Iiii", min(speed, CERTAIN), 0, 0, 0))
    body = _TCMSG.pack(0, index, 0, _ROOT, 0) + text(_KIND, KIND) + attribute(_OPTIONS, options)
    return Request(_NEWQDISC, CREATE | REPLACE, body, f"make netem the queue of {device}")


@functools.cache
def _table(distribution: Distribution) -> bytes:
    shares = ((place + 0.5) / TABLE_ENTRIES for place in range(TABLE_ENTRIES))
    values = (round(quantile(distribution, share) * _TABLE_SCALE) for share in shares)
    return struct.pack(f"={TABLE_ENTRIES}h", *(min(each, 32767) for each in values))


def _lost_in_steps(ratio: float) -> bool:
    return encoded_ratio(ratio) in (0, CERTAIN)


def parse(answer: bytes) -> Qdisc | None:
    """One queue of a dump; None for a queue that is not netem's, or not its device's root."""
    _, index, _, parent, _ = _TCMSG.unpack_from(answer)
    found = attributes(answer[_TCMSG.size :])
    if found.get(_KIND, b"").rstrip(b"\0") != KIND.encode() or parent != _ROOT:
        return None
    _, limit, loss, gap, duplicate, _ = _QOPT.unpack_from(found[_OPTIONS])
    options = attributes(found[_OPTIONS][_QOPT.size :])
    reorder = _PAIR.unpack(options[_REORDER])[0] if gap and _REORDER in options else 0
    corrupt = _PAIR.unpack(options[_CORRUPT])[0] if _CORRUPT in options else 0
    speed = struct.unpack_from("=I", options.get(_RATE, bytes(4)))[0]
    if _RATE64 in options:
        speed = struct.unpack("=Q", options[_RATE64])[0]
    values: dict[str, Any] = dict(
        **_losses(loss, options),
        delay_ms=struct.unpack("=q", options.get(_LATENCY64, bytes(8)))[0] / 1e6,
        jitter_ms=struct.unpack("=q", options.get(_JITTER64, bytes(8)))[0] / 1e6,
        reorder_ratio=reorder / CERTAIN,
        duplicate_ratio=duplicate / CERTAIN,
        corrupt_ratio=corrupt / CERTAIN,
        rate_mbit=speed * 8 / 1e6 if speed else None,
        queue_packets=None if limit == LIMIT_PACKETS else limit,
    )
    try:
        held = Impairment(**values)
    except GraphError as error:
        raise ShapingError(
            f"interface {index}: netem holds what nobody asked for ({error}); remove it, or make "
            "the network anew"
        ) from error
    stats = attributes(found[_STATS2])
    packets = struct.unpack_from("=QI", stats[_BASIC])[1]
    if _PACKETS64 in stats:
        packets = struct.unpack("=Q", stats[_PACKETS64])[0]
    waiting, _, dropped = struct.unpack_from("=III", stats[_QUEUE])
    doubtful = packets if duplicate or corrupt else 0
    return Qdisc(index, held, Shaped(packets, dropped, None, held=waiting, doubtful=doubtful))


def _losses(loss: int, options: dict[int, bytes]) -> dict[str, Any]:
    chances = attributes(options.get(_LOSS, b"")).get(_GILBERT_ELLIOTT)
    if chances is None:
        return {"loss_ratio": loss / CERTAIN}
    worsens, ends, keeps, good = (each / CERTAIN for each in _FOUR.unpack(chances))
    bad = worsens / (worsens + ends)
    return {
        "loss_ratio": bad * (1 - keeps) + (1 - bad) * good,
        "burst_packets": 1 / ends,
        "bad_loss_ratio": 1 - keeps,
        "good_loss_ratio": good,
    }


def _channel(netns: int, where: str) -> Channel:
    with entered(netns):
        return Channel(where)


def _queues(channel: Channel) -> Iterator[Qdisc]:
    question = _TCMSG.pack(0, 0, 0, 0, 0)
    for answer in channel.fetch(_GETQDISC, question, "list the queueing disciplines"):
        qdisc = parse(answer)
        if qdisc is not None:
            yield qdisc


def _queue(channel: Channel, device: str) -> Qdisc:
    """The netem queue of one device, without a look at all others of a large router."""
    question = _TCMSG.pack(0, rtnetlink.link(channel, device).index, 0, _ROOT, 0)
    (answer,) = channel.fetch(_GETQDISC, question, f"look at the queue of {device}", dump=False)
    qdisc = parse(answer)
    if qdisc is None:
        raise ShapingError(f"{device}: its netem queue is gone; did another program replace it?")
    return qdisc


def _handed(netns: int) -> int:
    """Datagrams at most that were handed to one device of a namespace so far: sent, or met by IP.

    Copies that a bridge makes of a multicast count, since each is for another device and the
    router's IP layer gets one.
    """
    with entered(netns):
        counts = snmp.read("snmp")
    return counts["Udp"]["OutDatagrams"] + counts["Ip"]["InReceives"]


def _named(netns: int) -> list[tuple[str, Qdisc]]:
    with _channel(netns, "router") as channel:
        names = {link.index: link.name for link in rtnetlink.links(channel)}
        return [(names[qdisc.device_index], qdisc) for qdisc in _queues(channel)]
