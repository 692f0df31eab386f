"""Independent counts of packets on a device: a packet-socket ring, and tcpdump for root.

The ring (packet(7), PACKET_RX_RING with TPACKET_V2) needs no thread: the kernel writes each packet
into shared memory, and this reads it later. A full ring drops, and the kernel says how many.
"""

from __future__ import annotations

import mmap
import re
import signal
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from testbed.kernel.namespaces import entered

_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION = 263, 5, 6, 10
_TPACKET_V2 = 1
_OF_USER = 1
_OUTGOING = 4
_ETH_P_ALL = 0x0003
_FRAME_BYTES = 256  # 80 of the kernel's, then the packet from its IP header on
_BLOCK_BYTES = 1 << 16
_HEADER = struct.Struct("=IIIHH")  # status, length, captured, offset of MAC, offset of network
_ADDRESS = struct.Struct("=HHiHBB")  # at offset 32: family, protocol, index, type, kind, length


class Datagram(NamedTuple):
    """A UDP datagram that came in: addresses, port, first byte of its payload, bytes of IP."""

    source: str
    target: str
    port: int
    type: int
    bytes: int


class Ring:
    """Captures what comes in on one device from construction on; at most `packets` unread."""

    def __init__(self, netns: int, device: str, packets: int = 1 << 16) -> None:
        with entered(netns):
            # Protocol 0: nothing is captured before the socket is bound to its device.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V2)
        size = packets * _FRAME_BYTES
        blocks = size // _BLOCK_BYTES
        self._socket.setsockopt(
            _SOL_PACKET, _RX_RING, struct.pack("=4I", _BLOCK_BYTES, blocks, _FRAME_BYTES, packets)
        )
        self._memory = mmap.mmap(self._socket.fileno(), size)
        self._packets = packets
        self._next = 0
        self._seen = 0
        self._socket.bind((device, _ETH_P_ALL))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.close()
        self._socket.close()

    def read(self) -> Iterator[Datagram]:
        """The datagrams captured since the last call; other packets are passed over."""
        while True:
            at = self._next * _FRAME_BYTES
            status, _, captured, _, network = _HEADER.unpack_from(self._memory, at)
            if not status & _OF_USER:
                return
            kind = _ADDRESS.unpack_from(self._memory, at + 32)[4]
            packet = self._memory[at + network : at + min(_FRAME_BYTES, network + captured)]
            struct.pack_into("=I", self._memory, at, 0)
            self._next = (self._next + 1) % self._packets
            self._seen += 1
            if kind != _OUTGOING and packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_UDP:
                yield _datagram(packet)

    def lost(self) -> int:
        """Packets that the ring had no room for since the last call; call it after `read`."""
        _, drops = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        return int(drops)


def _datagram(packet: bytes) -> Datagram:
    header = 4 * (packet[0] & 15)
    length = int.from_bytes(packet[2:4], "big")
    source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    port = int.from_bytes(packet[header + 2 : header + 4], "big")
    return Datagram(source, target, port, packet[header + 8], length)


class Tcpdump:
    """`tcpdump -Q in` on one device, started when constructed; needs root outside of user labs."""

    def __init__(self, netns: int, device: str, file: Path, what: str) -> None:
        self._file = file
        command = ["tcpdump", "-i", device, "-Q", "in", "-n", "-U", "-Z", "root", "-B", "32768"]
        # Otherwise it takes packets in blocks, and one that is not full when it stops is lost. Its
        # buffer has room for whole snapshots only: by default 128 of them, so few that it drops.
        command += ["--immediate-mode", "-s", "128"]
        with entered(netns):
            self._process = subprocess.Popen(
                [*command, "-w", str(file), what], stderr=subprocess.PIPE, text=True
            )
        assert self._process.stderr is not None
        self._said = ""
        while "listening on" not in self._said:
            line = self._process.stderr.readline()
            assert line, f"tcpdump ended: {self._said}"
            self._said += line

    def stop(self, quiet_s: float = 0.2) -> Counter[int]:
        """Packets by the first byte of their UDP payload. Fails when the kernel dropped any.

        To be called when traffic has stopped; waits until nothing more is written.
        """
        size, since = -1, time.monotonic()
        while time.monotonic() < since + quiet_s:
            if self._file.stat().st_size != size:
                size, since = self._file.stat().st_size, time.monotonic()
            time.sleep(0.01)
        self._process.send_signal(signal.SIGINT)
        self._said += self._process.communicate(timeout=10)[1]
        dropped = re.search(r"^(\d+) packets? dropped by kernel", self._said, re.MULTILINE)
        assert dropped and dropped[1] == "0", self._said
        return Counter(_types(self._file.read_bytes()))


def _types(file: bytes) -> Iterator[int]:
    """First payload bytes of a capture file of Ethernet frames (pcap-savefile(5))."""
    at = 24
    while at < len(file):
        captured = struct.unpack_from("=I", file, at + 8)[0]
        packet = file[at + 16 + 14 : at + 16 + captured]
        yield packet[4 * (packet[0] & 15) + 8]
        at += 16 + captured
