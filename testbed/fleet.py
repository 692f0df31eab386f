"""The agents of a lab as the harness sees them: started in bulk, killed, their deaths reported."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import agents.zygote
from agents.hosts import Hosts
from testbed.errors import TestbedError

BATCH = 200  # nodes in a message: below SCM_MAX_FD (253)


class Zygote:
    """The process that forks agents. They die with it, and it dies when this is closed.

    `control` is the folder of the control sockets: bind `<control>/harness` (SOCK_DGRAM) before the
    first `spawn`. `trace` gets a file a node and `agents.log`, what the agents had to complain of.
    """

    def __init__(
        self,
        hosts: Hosts,
        *,
        control: Path,
        trace: Path,
        protocols: Sequence[str],
        python: str = sys.executable,
    ) -> None:
        table = control / "hosts.json"
        hosts.save(table)
        self._log = trace / "agents.log"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # -I -S: no site-packages and no user's settings, so that an agent stays small.
        command = [python, "-I", "-S", "-B", str(Path(agents.zygote.__file__))]
        command += ["--hosts", str(table), "--control", str(control), "--trace", str(trace)]
        command += protocols
        with theirs, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                # As number 0: select(2) takes none over 1023, and we may hold more files.
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
            )
        self._channel = ours
        self._deaths: list[tuple[int, int]] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """Readable when there may be deaths to fetch; for select(2)."""
        return self._channel.fileno()

    def spawn(self, nodes: Sequence[tuple[int, int]], nice: int = 0) -> dict[int, int]:
        """Starts an agent for each (node, network namespace descriptor); returns their pids.

        `nice` is added to each agent's niceness. Raises `TestbedError` when one cannot start.
        """
        pids: dict[int, int] = {}
        for first in range(0, len(nodes), BATCH):
            batch = nodes[first : first + BATCH]
            command = {"do": "spawn", "nodes": [node for node, _ in batch], "nice": nice}
            self._tell(command, [descriptor for _, descriptor in batch])
            while (answer := self._hear())["is"] != "spawned":
                self._note(answer)
            pids |= {int(node): pid for node, pid in answer["pids"].items()}
        return pids

    def kill(self, node: int, number: int = signal.SIGKILL) -> None:
        """Sends a signal to a node's agent; one that is dead already is left in peace."""
        self._tell({"do": "kill", "node": node, "signal": int(number)})

    def deaths(self) -> list[tuple[int, int]]:
        """The deaths since the last call, as (node, exit status or minus the signal)."""
        while True:
            try:
                self._note(self._hear(socket.MSG_DONTWAIT))
            except BlockingIOError:
                deaths, self._deaths = self._deaths, []
                return deaths

    def close(self) -> None:
        """Ends the zygote and with it every agent."""
        self._channel.close()
        self._process.wait()

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _tell(self, command: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._channel, [json.dumps(command).encode()], list(descriptors))
        except OSError:
            raise self._gone() from None

    def _hear(self, flags: int = 0) -> dict[str, Any]:
        try:
            data = self._channel.recv(1 << 17, flags)
        except ConnectionError:
            data = b""
        if not data:
            raise self._gone()
        answer: dict[str, Any] = json.loads(data)
        return answer

    def _note(self, answer: dict[str, Any]) -> None:
        if answer["is"] != "died":
            raise TestbedError(f"agents: {answer['text']}")
        self._deaths.append((answer["node"], answer["status"]))

    def _gone(self) -> TestbedError:
        status = self._process.wait()
        said = self._log.read_text(errors="replace").splitlines()
        last = f": {said[-1]}" if said else ""
        return TestbedError(f"agents: their zygote (pid {self.pid}) ended with {status}{last}")


def check_room(traces: Path) -> None:
    """Raises `TestbedError` when the folder of the traces is full: then agents die of it."""
    if not os.statvfs(traces).f_bavail:
        remedy = "a lab keeps them in memory: ask for fewer runs or nodes"
        raise TestbedError(f"{traces}: no space left for the agents' traces; {remedy}")


def harness_socket(control: Path) -> socket.socket:
    """Binds the harness's end of the control plane, non-blocking."""
    _lengthen_queues()
    harness = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    harness.bind(os.fspath(control / "harness"))
    return harness


def _lengthen_queues() -> None:
    """Lets the harness's socket hold what all agents have to say at once.

    With the kernel's ten datagrams, a thousand agents wake for each place that falls free in it.
    The sysctl is the lab's own; kernels that do not offer it there leave the reports slower.
    """
    with suppress(OSError):
        Path("/proc/sys/net/unix/max_dgram_qlen").write_text("65536")
