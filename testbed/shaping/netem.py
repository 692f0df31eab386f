"""Loss by the kernel's own network emulator, the queueing discipline sch_netem.

It becomes the root queue of the device by which packets leave the router. Source: linux/pkt_sched.h
(tc_netem_qopt) and net/sched/sch_netem.c. It is talked to over netlink: `tc` prints six digits of a
ratio, so what it reads back cannot tell 0.9999999 from 1. Departure: netem has more than loss, and
none of that is offered yet; every other field is set to "none".
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from testbed.errors import ShapingError
from testbed.kernel import rtnetlink
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
from testbed.shaping.interface import Backend, Nodes, Port, Shaped
from topologies.elements import Impairment

KIND = "netem"

# netem drops when 32 random bits are at most `loss`, and never when `loss` is 0.
CERTAIN = 2**32 - 1

# A full queue would be counted like a loss. Without delay a packet stays for no time, so a queue
# of this length is never reached; tc's own default of 1,000 packets is.
LIMIT_PACKETS = 1_000_000

_NEWQDISC, _GETQDISC = 36, 38
_ROOT = 0xFFFFFFFF
_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_BASIC, _QUEUE, _PACKETS64 = 1, 3, 8

_TCMSG = struct.Struct("=BxxxiIII")
_QOPT = struct.Struct("=IIIIII")  # latency, limit, loss, gap, duplicate, jitter


class Qdisc(NamedTuple):
    """A netem queue as the kernel reports it."""

    device_index: int
    impairment: Impairment
    shaped: Shaped


class Netem(Backend):
    name = "netem"
    can = frozenset({"loss_ratio"})
    # A chance of (loss + 1) / 2^32 is held for the ratio that was rounded to loss / (2^32 - 1).
    resolution = 2 / 2**32

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
        if encoded_ratio(impairment.loss_ratio) in (0, CERTAIN) and impairment.loss_ratio not in (
            0,
            1,
        ):
            return f"netem counts in steps of {1 / CERTAIN:.2g}; use 0, 1 or a value between"
        return None

    def place(self, port: Port) -> Port:
        """What a host sends is queued where it leaves the host: there is no queue on the way in."""
        if not port.inward:
            return port
        return Port(port.to, f"{port.to}-eth0", port.router, False, port.impairment)

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

    def read_back(self, netns: int) -> dict[str, Impairment]:
        return {name: qdisc.impairment for name, qdisc in _named(netns)}

    def counted(self, netns: int) -> dict[str, Shaped]:
        return {name: qdisc.shaped for name, qdisc in _named(netns)}


def encoded_ratio(ratio: float) -> int:
    """netem's 32-bit form of a ratio. encoded_ratio(0.5) = 2147483648"""
    return round(ratio * CERTAIN)


def replaced(index: int, device: str, impairment: Impairment) -> Request:
    """The request that makes netem the root queue of a device, whatever it was before."""
    options = _QOPT.pack(0, LIMIT_PACKETS, encoded_ratio(impairment.loss_ratio), 0, 0, 0)
    body = _TCMSG.pack(0, index, 0, _ROOT, 0) + text(_KIND, KIND) + attribute(_OPTIONS, options)
    return Request(_NEWQDISC, CREATE | REPLACE, body, f"make netem the queue of {device}")


def parse(answer: bytes) -> Qdisc | None:
    """One queue of a dump; None for a queue that is not netem's, or not its device's root."""
    _, index, _, parent, _ = _TCMSG.unpack_from(answer)
    found = attributes(answer[_TCMSG.size :])
    if found.get(_KIND, b"").rstrip(b"\0") != KIND.encode() or parent != _ROOT:
        return None
    latency, _, loss, gap, duplicate, jitter = _QOPT.unpack_from(found[_OPTIONS])
    if latency or gap or duplicate or jitter:
        raise ShapingError(
            f"interface {index}: netem delays or duplicates, which was not asked for; "
            "remove it, or make the network anew"
        )
    stats = attributes(found[_STATS2])
    packets = struct.unpack_from("=QI", stats[_BASIC])[1]
    if _PACKETS64 in stats:
        packets = struct.unpack("=Q", stats[_PACKETS64])[0]
    dropped = struct.unpack_from("=IIIII", stats[_QUEUE])[2]
    return Qdisc(index, Impairment(loss_ratio=loss / CERTAIN), Shaped(packets, dropped, None))


def _channel(netns: int, where: str) -> Channel:
    with entered(netns):
        return Channel(where)


def _queues(channel: Channel) -> Iterator[Qdisc]:
    question = _TCMSG.pack(0, 0, 0, 0, 0)
    for answer in channel.fetch(_GETQDISC, question, "list the queueing disciplines"):
        qdisc = parse(answer)
        if qdisc is not None:
            yield qdisc


def _named(netns: int) -> list[tuple[str, Qdisc]]:
    with _channel(netns, "router") as channel:
        names = {link.index: link.name for link in rtnetlink.links(channel)}
        return [(names[qdisc.device_index], qdisc) for qdisc in _queues(channel)]
