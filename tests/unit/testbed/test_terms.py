"""Tests of testbed.terms on recorded files of /proc."""

from __future__ import annotations

import socket
from pathlib import Path

from testbed.accounts import HostTerms, Loss
from testbed.counters import Offered
from testbed.shaping import Shaped
from testbed.terms import Device, Namespace, host_terms, parse_devices, room
from tests.unit.testbed.shaping.fakes import graph_of
from topologies.elements import PERFECT

RECORDED = Path(__file__).parents[2] / "recorded" / "proc"


def test_devices_are_read_by_name() -> None:
    assert parse_devices((RECORDED / "router_dev").read_text()) == {
        "lo": Device(0, 0, 0, 0),
        "up": Device(10, 0, 0, 0),
        "br-s1": Device(20, 0, 31, 0),
        "p0": Device(10, 0, 17, 0),
        "p1": Device(10, 0, 1, 0),
    }


def test_dropped_packets_are_columns_four_and_twelve() -> None:
    title = "Inter-| Receive | Transmit\n face |bytes |bytes\n"
    columns = " ".join(map(str, range(1, 17)))
    assert parse_devices(f"{title}  eth0: {columns}\n") == {"eth0": Device(2, 4, 10, 12)}


def test_a_hosts_terms_come_from_both_ends_of_its_link() -> None:
    udp = {
        "InDatagrams": 60,
        "NoPorts": 5,
        "InErrors": 7,
        "RcvbufErrors": 6,
        "OutDatagrams": 50,
    }
    ip = {"OutDiscards": 1, "OutNoRoutes": 2, "InDiscards": 4}
    own = Namespace(
        {"Udp": udp, "Ip": ip}, {"lo": Device(3, 0, 3, 0), "h1-eth0": Device(0, 8, 0, 16)}
    )
    router = Namespace({}, {"p0": Device(0, 32, 0, 64)})
    host = graph_of(PERFECT).hosts[0]
    shaped = Shaped(70, 29, 20, stranded=9, stranded_udp=8)
    assert host_terms(host, own, router, Offered(90, 9), shaped) == HostTerms(
        sent=50,
        looped=3,
        read=60,
        no_port=5,
        errors=7,
        overflows=6,
        offered=90,
        offered_other=9,
        lost=Loss(20, 29, stranded=8),
        dropped_up=16 + 32 + 1 + 2,
        dropped_down=64 + 8 + 4,
    )


def test_a_host_that_is_not_shaped_loses_nothing() -> None:
    zero = dict.fromkeys(("InDatagrams", "NoPorts", "InErrors", "RcvbufErrors", "OutDatagrams"), 0)
    ip = dict.fromkeys(("OutDiscards", "OutNoRoutes", "InDiscards"), 0)
    quiet = Device(0, 0, 0, 0)
    own = Namespace({"Udp": zero, "Ip": ip}, {"lo": quiet, "h1-eth0": quiet})
    router = Namespace({}, {"p0": quiet})
    host = graph_of(PERFECT).hosts[0]
    assert host_terms(host, own, router, Offered(0, 0), None) == HostTerms()


def test_a_socket_that_nobody_reads_holds_no_more_than_its_room_and_not_much_less() -> None:
    """The smallest that the kernel carries; what an agent sends is 50 bytes longer."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as writer,
    ):
        reader.bind(("127.0.0.1", 0))
        reader.setblocking(False)
        for _ in range(2 * room()):
            writer.sendto(b"", reader.getsockname())
        held = 0
        while readable(reader):
            held += 1
    assert room() / 2 < held <= room()


def readable(udp: socket.socket) -> bool:
    try:
        udp.recv(1)
    except BlockingIOError:
        return False
    return True
