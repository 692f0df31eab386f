"""Mininet's iperf test, for any iperf 2.

Mininet 2.3 waits for two reports of the TCP server, one of them of the telnet that it tried the
port with; iperf from 2.1 on does not report that one, so the wait never ends. Here the kernel's
socket table says when the server listens, and neither telnet nor killall is needed.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

from testbed.errors import TestbedError

# Beyond the transmission itself: the start of iperf, and the server's report after the end.
_PATIENCE_S = 10.0

_RATE = re.compile(r"[\d.]+ \w+/sec")
_LISTENING = {"tcp": "0A", "udp": "07"}  # states in /proc/net/tcp and /proc/net/udp


def iperf(
    client: Any, server: Any, *, udp_rate: str | None, fmt: str | None, seconds: int, port: int
) -> tuple[str, str]:
    """Sends from `client` to `server` for `seconds`, by TCP or by UDP at `udp_rate` ("10M").

    Returns the rates that the server and the client report, e.g. ("9.41 Mbits/sec", ...). Raises
    TestbedError when either does not report.
    """
    base = ["iperf", "-p", str(port)]
    if udp_rate:
        base.append("-u")
    if fmt:
        base += ["-f", fmt]
    listener = server.popen([*base, "-s"])
    try:
        _until(lambda: _listens(listener, "udp" if udp_rate else "tcp", port), server, port)
        rate = ["-b", udp_rate] if udp_rate else []
        sent, problem, _ = client.pexec([*base, "-t", str(seconds), "-c", server.IP(), *rate])
        client_rates = _RATE.findall(sent)
        if not client_rates:
            raise TestbedError(
                f"{client}: iperf to {server} reports no rate: {(problem or sent).strip()!r};"
                " can the two ping each other?"
            )
        heard: list[str] = []
        _until(lambda: bool(_RATE.findall(_more(listener, heard))), server, port)
        return _RATE.findall("".join(heard))[-1], client_rates[-1]
    finally:
        listener.kill()
        listener.communicate()


def _until(done: Callable[[], bool], server: Any, port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise TestbedError(
                f"{server}: iperf -s on port {port} neither listens nor reports after"
                f" {_PATIENCE_S:g} s; is the port in use?"
            )
        time.sleep(0.01)


def _listens(listener: Popen[bytes], kind: str, port: int) -> bool:
    wanted = re.compile(rf":{port:04X} \S+ {_LISTENING[kind]} ")
    for suffix in ("", "6"):
        try:
            with open(f"/proc/{listener.pid}/net/{kind}{suffix}") as table:
                if wanted.search(table.read()):
                    return True
        except FileNotFoundError:  # a kernel without IPv6
            continue
    return False


def _more(listener: Popen[bytes], heard: list[str]) -> str:
    assert listener.stdout
    while select.select([listener.stdout], [], [], 0)[0]:
        data = listener.stdout.read1(4096)  # type: ignore[attr-defined]
        if not data:
            break
        heard.append(data.decode(errors="replace"))
    return "".join(heard)
