"""The UDP driver: one process, one node, any number of runs. The only place with I/O.

The harness speaks JSON datagrams: unix sockets `<control>/harness` and `<control>/agent-<node>`.

    {"do": "start", run, seed, protocol, options, timing, round_s, at_ns, sources, payload_bytes}
    {"do": "start", <common fields>, "runs": [{<fields of one run>}, ...]}
    {"do": "stop", "run": 3}   {"do": "stop", "runs": [3, 4]}   {"do": "exit"}
    {"do": "clock", "ahead_s": -2.5}      how far the clock of its protocols is ahead from now on

    {"is": "ready", node}                   {"is": "infected", node, run, at_ns}  at first Deliver
    {"is": "stopped", node, run}            {"is": "settled", node, run}          if asked for
    {"is": "error", node, run, text}        one line
    {"is": "exited", node, read, unread, overflows}

An agent never waits for the harness: reports that find its queue full are kept and sent later.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from select import select
from struct import Struct
from time import monotonic_ns, time_ns
from typing import Any

from agents import groups, registry
from agents.api import MessageId
from agents.hosts import Hosts
from agents.kept import Kept
from agents.options import OptionError
from agents.run import Run, RunSpec
from agents.trace import Event, Trace, read
from agents.wire import MAX_DATAGRAM, Dialect, Reason, decode

SO_TIMESTAMPNS = 35  # Linux's asm-generic/socket.h; Python's socket module does not name them
SO_RXQ_OVFL = 40
STAMP = Struct("qq")
DROPS = Struct("I")
ANCILLARY_BYTES = socket.CMSG_SPACE(STAMP.size) + socket.CMSG_SPACE(DROPS.size)
FIRINGS = 4096  # wake-ups in a row, so that a timer always set in the past starves nobody
GOODBYE_S = 5.0  # the last report may wait for room in the harness's queue, and only that one
COMMAND_BYTES = 1 << 18
NO_LIMIT = 64  # routers and one more: what a datagram to one node may cross, too


def open_udp(address: str, port: int, member_of: Sequence[int] = ()) -> socket.socket:
    """Opens the agent's socket, which hears the groups that it is a member of, too.

    Raises `OSError` when the address cannot be had.
    """
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    udp.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    try:
        # A socket that has a unicast address hears nothing that is sent to a group.
        udp.bind(("" if member_of else address, port))
        if member_of:
            _join(udp, address, member_of)
    except OSError as error:
        udp.close()
        hint = "give an address of this machine (or namespace) and a free port"
        raise OSError(error.errno, f"{error.strerror}: {address}:{port}; {hint}") from None
    return udp


def _join(udp: socket.socket, address: str, member_of: Sequence[int]) -> None:
    """Makes the interface of that address hear groups, and not what this socket says to them."""
    own = socket.inet_aton(address)
    udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
    for group in member_of:
        there = socket.inet_aton(groups.address(group))
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, there + own)


def open_control(folder: str, node: int) -> socket.socket:
    """Opens the agent's end of the control plane, connected to the harness."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    path = f"{folder}/agent-{node}"
    try:
        os.unlink(path)  # left by an agent of this node that was killed
    except FileNotFoundError:
        pass
    control.bind(path)
    control.connect(f"{folder}/harness")
    return control


class Runner:
    """The event loop of one agent."""

    def __init__(
        self,
        node: int,
        hosts: Hosts,
        udp: socket.socket,
        control: socket.socket | None = None,
    ) -> None:
        self.node = node
        self.hosts = hosts
        self.view = hosts.view(node)
        self.udp = udp
        self.control = control
        # Numbers, not sockets: select(2) would ask each for its own, every time.
        self.udp_fd = udp.fileno()
        self.control_fd = -1 if control is None else control.fileno()
        self.sources = [fd for fd in (self.control_fd, self.udp_fd) if fd >= 0]
        self.runs: dict[int, Run] = {}
        self.dialects: dict[int, Dialect] = {}
        self.wakes: list[tuple[int, int, Run, str | int]] = []
        self.outbox: deque[bytes] = deque()
        self.exiting = False
        self.read_count = 0
        self.unread_count = 0
        self.overflows = 0
        self.ttl = 0
        """That of the socket's latest multicast."""
        self.kept = Kept()
        self.ahead_s = 0.0
        """How far the clock of the protocols is ahead."""

    # Outlet, for the runs

    def send(self, node: int, datagram: bytes) -> int:
        """Sends a datagram; returns 0 or the errno (full queue, no route, refused by a filter)."""
        try:
            self.udp.sendto(datagram, (self.hosts.address(node), self.hosts.port))
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def cast(self, group: int, datagram: bytes, ttl: int | None) -> int:
        """Sends a datagram to a group; returns 0 or the errno."""
        ttl = ttl or NO_LIMIT
        try:
            if ttl != self.ttl:
                self.udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
                self.ttl = ttl
            self.udp.sendto(datagram, (groups.address(group), self.hosts.port))
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def store(self, run: int, key: str, value: bytes) -> None:
        """Keeps a value beyond the death of this process."""
        self.kept.store(run, key, value)

    def stored(self, run: int) -> Mapping[str, bytes]:
        """The values that an earlier process of this node kept."""
        return self.kept.of(run)

    def settled(self, run: int) -> set[MessageId]:
        """What an earlier process of this node delivered or declared lost, by its trace."""
        return {
            MessageId(record.origin, record.sequence)
            for record in read(self.trace.path)
            if record.run == run and record.event in (Event.deliver, Event.lost)
        }

    def wake(self, due_ns: int, serial: int, run: Run, name: str | int) -> None:
        heappush(self.wakes, (due_ns, serial, run, name))

    def report(self, message: dict[str, Any]) -> None:
        """Tells the harness, later if its queue is full."""
        self.outbox.append(json.dumps(message).encode())
        self._flush()

    # The loop

    def loop(self, trace: Trace) -> None:
        """Serves until the harness says exit, or Ctrl-C."""
        self.trace = trace
        self.report({"is": "ready", "node": self.node})
        try:
            while not self.exiting:
                self.step()
        except KeyboardInterrupt:  # run by hand
            pass
        self._exit()

    def step(self) -> None:
        """Waits until there is something to do, and does it."""
        self.fire(monotonic_ns())
        blocked = self.sources[:1] if self.outbox else []
        readable, writable, _ = select(self.sources, blocked, [], self._patience())
        if writable:
            self._flush()
        if self.control_fd in readable:  # first: a start must come before its messages
            self._obey()
        if self.udp_fd in readable:
            self.receive()

    def start(self, spec: RunSpec) -> None:
        """Starts a run. Raises `OptionError` when it does not fit."""
        if spec.run in self.runs:
            raise OptionError(f"run {spec.run} exists; choose another number")
        run = Run(spec, registry.load(spec.protocol), self.view, self)
        run.set_clock(self.ahead_s)
        self.runs[spec.run] = run
        self.dialects[spec.run] = run.dialect
        run.open(monotonic_ns())

    def stop(self, id: int) -> None:
        """Ends a run; its late messages are counted as those of another run."""
        run = self.runs.pop(id, None)
        if run is not None:
            del self.dialects[id]
            if not run.over:
                run.stop(monotonic_ns())
        self.report({"is": "stopped", "node": self.node, "run": id})

    def _patience(self) -> float | None:
        """Seconds until the next wake-up. select(2) counts in microseconds, epoll in milli."""
        if not self.wakes:
            return None
        return max(0.0, (self.wakes[0][0] - monotonic_ns()) / 1e9)

    def fire(self, now_ns: int) -> None:
        """Fires what was due at `now_ns`, each with the time at which it fires."""
        for _ in range(FIRINGS):
            if not self.wakes or self.wakes[0][0] > now_ns:
                return
            due_ns, serial, run, name = heappop(self.wakes)
            run.fire(serial, name, due_ns, monotonic_ns())

    def receive(self) -> None:
        """Reads one datagram: asking for another that is not there would cost an exception."""
        try:
            datagram, ancillary, _, source = self.udp.recvmsg(MAX_DATAGRAM + 1, ANCILLARY_BYTES)
        except BlockingIOError:  # its checksum was wrong
            return
        except OSError as error:  # the network's answer to an earlier send
            now_ns, reason = monotonic_ns(), Reason.send_error
            self.trace.write(Event.drop, 0, now_ns, value=error.errno or 0, reason=reason)
            return
        now_ns = monotonic_ns()
        self.read_count += 1
        lag_ns = self._lag(ancillary)
        # A round that is due begins before the message, however late it is served: so all nodes
        # of a `sync` round act on the state at its start.
        if self.wakes and self.wakes[0][0] <= now_ns:
            self.fire(now_ns)
            fired_ns = monotonic_ns()  # the message has waited for that, too
            lag_ns += fired_ns - now_ns
            now_ns = fired_ns
        self._take(datagram, source[0], lag_ns, now_ns)

    def _take(self, datagram: bytes, address: str, lag_ns: int, now_ns: int) -> None:
        packet = decode(datagram, self.dialects)
        if isinstance(packet, Reason):
            self._drop(packet, datagram, now_ns)
        elif packet.sender >= len(self.hosts) or self.hosts.address(packet.sender) != address:
            self._drop(Reason.unknown_sender, datagram, now_ns, packet.run)
        else:
            run = self.runs[packet.run]
            if run.over:
                self._drop(Reason.other_run, datagram, now_ns, packet.run)
            else:
                run.take(packet, len(datagram), lag_ns, now_ns)

    def _drop(self, reason: Reason, datagram: bytes, now_ns: int, run: int = 0) -> None:
        kind = datagram[0] if datagram else 0
        size = len(datagram)
        self.trace.write(Event.drop, run, now_ns, type=kind, bytes=size, reason=reason)

    def _lag(self, ancillary: list[tuple[int, int, bytes]]) -> int:
        """Nanoseconds since the kernel took the datagram in; notes overflows on the way."""
        lag_ns = 0
        for _, kind, data in ancillary:
            if kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = STAMP.unpack(data)
                lag_ns = time_ns() - seconds * 1_000_000_000 - nanoseconds
            elif kind == SO_RXQ_OVFL:
                (self.overflows,) = DROPS.unpack(data)
        return lag_ns

    def _obey(self) -> None:
        """Does what the harness says; a command that cannot be done is reported as an error."""
        assert self.control is not None
        while not self.exiting:
            try:
                data = self.control.recv(COMMAND_BYTES)
            except BlockingIOError:
                return
            try:
                self.command(json.loads(data))
            except Exception as error:
                text = f"{type(error).__name__}: {error}".splitlines()[0]
                self.report({"is": "error", "node": self.node, "run": None, "text": text})

    def command(self, command: dict[str, Any]) -> None:
        """Does one command. Raises `OptionError` for one that does not fit."""
        do = command.pop("do")
        if do == "start":
            for one in command.pop("runs", [{}]):
                self.start(RunSpec.of({**command, **one}))
        elif do == "stop":
            for id in command.get("runs", [command.get("run")]):
                self.stop(id)
        elif do == "clock":
            self.ahead_s = command["ahead_s"]
            for run in self.runs.values():
                run.set_clock(self.ahead_s)
        elif do == "exit":
            self.exiting = True
        else:
            raise OptionError(f"command {do!r}; choose start, stop, clock or exit")

    def _flush(self) -> None:
        while self.outbox and self.control is not None:
            try:
                self.control.send(self.outbox[0])
            except BlockingIOError:
                return
            except OSError:  # the harness is gone; so is whoever would read this
                self.outbox.clear()
                return
            self.outbox.popleft()

    def _exit(self) -> None:
        """Ends all runs, counts what was never looked at, and writes the totals."""
        for id in list(self.runs):
            self.stop(id)
        while True:
            try:
                _, ancillary, _, _ = self.udp.recvmsg(1, ANCILLARY_BYTES)
            except BlockingIOError:
                break
            self._lag(ancillary)
            self.unread_count += 1
        self.trace.write(
            Event.exit,
            0,
            monotonic_ns(),
            value=self.read_count,
            sequence=self.unread_count,
            round=self.overflows,
        )
        if self.control is not None:
            self.control.settimeout(GOODBYE_S)
        self.report(
            {
                "is": "exited",
                "node": self.node,
                "read": self.read_count,
                "unread": self.unread_count,
                "overflows": self.overflows,
            }
        )
        self.trace.close()
