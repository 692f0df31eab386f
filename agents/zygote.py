"""Starts thousands of agents by forking them from one small process, each into its namespace.

    python -I -S -B agents/zygote.py --hosts FILE --control DIR --trace DIR [NAME...] 0<>SOCKET

The warm process holds the standard library's few modules and the protocols; an agent shares their
memory. It dies when the harness closes its socket, and its agents die with it. The harness side is
`testbed.fleet`. On the socket (SOCK_SEQPACKET, the standard input) go JSON messages:

    {"do": "spawn", "nodes": [3, 4], "nice": 0}  with one network namespace descriptor a node
    {"do": "kill", "node": 3, "signal": 9}
    {"is": "spawned", "pids": {"3": 4711}}   {"is": "died", "node": 3, "status": -9}
    {"is": "error", "text": ...}
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from select import select
from typing import Any, NoReturn

if __name__ == "__main__":  # started by its path, with -I: nothing else puts the package there
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agents import registry
from agents.hosts import Hosts
from agents.kept import Kept
from agents.rehearsal import Stage
from agents.runner import Runner, open_control, open_udp
from agents.trace import Trace

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
MESSAGE_BYTES = 1 << 17
MAX_DESCRIPTORS = 253  # SCM_MAX_FD: what one message can carry

libc = ctypes.CDLL(None, use_errno=True)
prctl = libc.prctl
prctl.argtypes = [ctypes.c_int, ctypes.c_ulong]


class Server:
    """The warm process: forks agents, buries them, tells the harness."""

    def __init__(
        self,
        channel: socket.socket,
        hosts: Hosts,
        control: str,
        trace: str,
        stage: Stage,
    ) -> None:
        self.channel = channel
        self.stage = stage
        self.hosts = hosts
        self.control = control
        self.trace = trace
        self.pids: dict[int, int] = {}
        self.casts = stage.casts
        """Whether any of the protocols sends to groups."""
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        """Serves until the harness closes its end, be there answers that it did not read."""
        try:
            self._serve()
        finally:
            self._end()

    def _serve(self) -> None:
        # A pipe written by the signal handler wakes select(2) for a death.
        death, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        channel = self.channel.fileno()
        while True:
            readable, _, _ = select([channel, death], [], [])
            if death in readable:
                os.read(death, 4096)
                self._bury()
            if channel in readable:
                data, descriptors = self._hear()
                if not data:
                    return
                self._obey(json.loads(data), descriptors)

    def _hear(self) -> tuple[bytes, list[int]]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self.channel, MESSAGE_BYTES, MAX_DESCRIPTORS)
        except ConnectionResetError:  # closed with our answers unread
            return b"", []
        return data, descriptors

    def _obey(self, command: dict[str, Any], descriptors: list[int]) -> None:
        try:
            if command["do"] == "spawn":
                self._spawn(command["nodes"], descriptors, command["nice"])
            else:
                pid = self.pids.get(command["node"])
                if pid is not None:  # not reaped yet, so the number can't be another's
                    os.kill(pid, command["signal"])
        except Exception as error:
            self._tell({"is": "error", "text": f"{type(error).__name__}: {error}"})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _spawn(self, nodes: list[int], descriptors: list[int], nice: int) -> None:
        pids = {}
        for node, namespace in zip(nodes, descriptors, strict=True):
            if node in self.pids:
                raise ValueError(f"node {node} lives as {self.pids[node]}; kill it first")
            pids[node] = self.pids[node] = self._fork(node, namespace, nice)
        self._tell({"is": "spawned", "pids": pids})

    def _fork(self, node: int, namespace: int, nice: int) -> int:
        """Opens the agent's sockets, so that what fails is known here, and forks it."""
        # Before the change of namespace: the queue length of a unix socket is that of the
        # namespace it was made in (net.unix.max_dgram_qlen), and the lab can raise its own.
        control = open_control(self.control, node)
        parent = os.getpid()
        enter(namespace)
        try:
            member_of = self.hosts.member_of(node) if self.casts else ()
            udp = open_udp(self.hosts.address(node), self.hosts.port, member_of)
            pid = os.fork()
            if pid == 0:
                self._become(Runner(node, self.hosts, udp, control), nice, parent)
        finally:
            enter(self.home)
        udp.close()
        control.close()
        return pid

    def _become(self, runner: Runner, nice: int, parent: int) -> NoReturn:
        """What the child does: it lives as the agent and never returns."""
        status = 1
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            signal.set_wakeup_fd(-1)
            self.channel.close()
            if nice:
                os.nice(nice)
            self.stage.play(rounds=3)
            runner.kept = Kept(f"{self.trace}/{runner.node}.kept")
            runner.loop(Trace(f"{self.trace}/{runner.node}.trace"))
            status = 0
        except BaseException as error:
            text = f"agent {runner.node}: {type(error).__name__}: {error}"
            print(text, file=sys.stderr, flush=True)
        finally:
            os._exit(status)

    def _bury(self) -> None:
        nodes = {pid: node for node, pid in self.pids.items()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            node = nodes[pid]
            if self.pids.get(node) == pid:
                del self.pids[node]
            code = os.waitstatus_to_exitcode(status)
            self._tell({"is": "died", "node": node, "status": code})

    def _end(self) -> None:
        """Ends the agents and waits for them: after the zygote nothing is left in a host."""
        for pid in self.pids.values():
            os.kill(pid, signal.SIGKILL)
        for pid in self.pids.values():
            os.waitpid(pid, 0)

    def _tell(self, message: dict[str, Any]) -> None:
        with suppress(ConnectionError):  # the harness is gone: the next message read says so
            self.channel.send(json.dumps(message).encode())


def enter(namespace: int) -> None:
    """Moves this process into a network namespace (os.setns came with Python 3.12)."""
    if libc.setns(namespace, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"setns to a network namespace: {os.strerror(code)}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="zygote", description="Forks agents into namespaces.")
    parser.add_argument("--hosts", type=Path, required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--trace", required=True)
    parser.add_argument("protocols", nargs="*")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the harness, which ends us
    for name in options.protocols:
        registry.load(name)
    stage = Stage(options.protocols)
    stage.play()
    prctl(PR_SET_PDEATHSIG, 0)  # rehearsed too
    channel = socket.socket(fileno=0)
    hosts = Hosts.load(options.hosts)
    server = Server(channel, hosts, options.control, options.trace, stage)
    # What lives now lives for ever: the agents' collector must not touch (and so copy) it.
    gc.collect()
    gc.freeze()
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
