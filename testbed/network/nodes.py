"""Mininet's nodes with a namespace made by a system call, and a shell that starts on first use.

Stock Mininet starts a bash for every node, and configures it by typing commands. Here a node is
a descriptor of a network namespace; `shell`, `pid`, `stdin` and `stdout` start the bash when they
are first asked for, so all of Mininet's methods work as they are. What a stock node has done by
ifconfig, arp and route goes over netlink. A stopped node takes its processes with it.
"""

from __future__ import annotations

import ipaddress
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mininet.link
import mininet.node

from testbed.errors import TestbedError
from testbed.kernel import namespaces, rtnetlink, sysctls
from testbed.kernel.netlink import Channel
from testbed.network.bulk import namespace_problem

# As `mnexec -n` does it, less the network namespace: own mounts (for privateDirs) and a /sys that
# shows the node's interfaces. The exec keeps the pid.
_OWN_MOUNTS = [
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    'mount -t sysfs sysfs /sys 2>/dev/null; exec "$@"',
    "sh",
]


class Node(mininet.node.Node):
    """A mininet.node.Node; see the module. `netns=FD` hands it a namespace that exists already."""

    # Set on the class, since Mininet's own __init__ starts the shell before it returns.
    settings: Mapping[str, str] = sysctls.NODE
    _netns: int | None = None
    ended = False
    _starting = False
    _shell: subprocess.Popen[bytes] | None = None
    _pid: int | None = None
    _stdin: Any = None
    _stdout: Any = None
    _poll: select.poll | None = None
    _processes: list[subprocess.Popen[bytes]]

    @property
    def netns(self) -> int:
        """Descriptor of the node's network namespace, open until the node is stopped."""
        if self._netns is None:
            raise TestbedError(f"{self.name}: its namespace is gone; the node was stopped")
        return self._netns

    @contextmanager
    def channel(self) -> Iterator[Channel]:
        """A netlink socket in the node's namespace."""
        with namespaces.entered(self.netns):
            channel = Channel(self.name)
        with channel:
            yield channel

    # Processes

    def startShell(self, mnopts: str | None = None) -> None:
        """Starts the bash; called by Mininet's __init__, makes the namespace instead."""
        if self._netns is None:
            self._processes = []
            self._netns = self._open_namespace()
            return
        self._starting = True
        try:
            super().startShell(mnopts)
        finally:
            self._starting = False

    def _open_namespace(self) -> int:
        given: int | None = self.params.get("netns")
        if given is not None:
            return given
        if not self.inNamespace:
            return namespaces.network()
        try:
            descriptor = namespaces.new_network()
        except OSError as error:
            raise TestbedError(namespace_problem(self.name, error)) from error
        with namespaces.entered(descriptor):
            sysctls.apply(self.settings, self.name)
            with Channel(self.name) as channel:
                channel.ask([rtnetlink.switch(rtnetlink.LOOPBACK, True, "lo")])
        return descriptor

    def _started(self) -> bool:
        if not (self._starting or self._shell or self._netns is None):
            self.startShell()
        return self._shell is not None

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[bytes]:
        if self._starting:
            if self.inNamespace:  # cmd: mnexec, its options, what to run
                cmd = ["mnexec", "-cd", *_OWN_MOUNTS, *cmd[2:]]
            with namespaces.entered(self.netns):
                shell: subprocess.Popen[bytes] = super()._popen(cmd, **params)
            return shell
        process: subprocess.Popen[bytes] = super()._popen(cmd, **params)
        self._processes = [old for old in self._processes if old.poll() is None]
        self._processes.append(process)
        return process

    @property
    def shell(self) -> subprocess.Popen[bytes] | None:
        """The node's bash, started if need be; None once the node is stopped."""
        self._started()
        return self._shell

    @shell.setter
    def shell(self, value: subprocess.Popen[bytes] | None) -> None:
        self._shell = value

    @property
    def pid(self) -> int | None:
        """Process number of the node's bash, started if need be."""
        self._started()
        return self._pid

    @pid.setter
    def pid(self, value: int | None) -> None:
        self._pid = value

    @property
    def stdin(self) -> Any:
        self._started()
        return self._stdin

    @stdin.setter
    def stdin(self, value: Any) -> None:
        self._stdin = value

    @property
    def stdout(self) -> Any:
        self._started()
        return self._stdout

    @stdout.setter
    def stdout(self, value: Any) -> None:
        self._stdout = value

    @property
    def pollOut(self) -> Any:
        self._started()
        return self._poll

    @pollOut.setter
    def pollOut(self, value: Any) -> None:
        self._poll = value

    def terminate(self) -> None:
        """Ends the node's processes and lets go of its namespace. May be called again."""
        if self.ended:
            return
        self.ended = True
        for process in self._processes:
            if process.poll() is None:
                _kill(process)
        self._processes.clear()
        if self._shell is not None:
            if self._shell.poll() is None:
                os.killpg(self._shell.pid, signal.SIGHUP)
            for table in (self.outToNode, self.inToNode):
                table.pop(self._stdout.fileno(), None)
            self.cleanup()
        if self._netns is not None:
            os.close(self._netns)
            self._netns = None

    # Configuration

    def config(
        self,
        mac: str | None = None,
        ip: str | None = None,
        defaultRoute: Any = None,
        lo: str = "up",
        **_params: Any,
    ) -> dict[str, Any]:
        """As Mininet's; lo is up from the start."""
        results: dict[str, Any] = {}
        self.setParam(results, "setMAC", mac=mac)
        self.setParam(results, "setIP", ip=ip)
        self.setParam(results, "setDefaultRoute", defaultRoute=defaultRoute)
        if lo != "up":
            self.cmd("ifconfig lo " + lo)
        return results

    def setARP(self, ip: str, mac: str) -> str:
        """Adds a permanent neighbour, on the interface that leads to it."""
        address = ipaddress.IPv4Address(ip)
        with self.channel() as channel:
            index = rtnetlink.device_to(channel, address)
            channel.ask([rtnetlink.neighbour(index, address, mac, f"interface {index}")])
        return ""

    def setDefaultRoute(self, intf: Any = None) -> None:
        """As Mininet's: an interface, or words for `ip route add default`."""
        words = str(intf).split() if " " in str(intf) else ["dev", str(intf)]
        way = dict(zip(words[::2], words[1::2], strict=False))
        if len(words) % 2 or not way.keys() <= {"dev", "via"}:
            super().setDefaultRoute(intf)
            return
        via = ipaddress.IPv4Address(way["via"]) if "via" in way else None
        with self.channel() as channel:
            if "dev" in way:
                index = rtnetlink.link(channel, way["dev"]).index
            else:
                assert via  # one of the two was given
                index = rtnetlink.device_to(channel, via)
            route = rtnetlink.route(
                ipaddress.IPv4Network("0.0.0.0/0"), via, index, way.get("dev", f"{index}")
            )
            channel.ask([route])

    def setHostRoute(self, ip: str, intf: Any) -> str:
        """Adds a route to one host straight out of an interface."""
        with self.channel() as channel:
            index = rtnetlink.link(channel, str(intf)).index
            channel.ask([rtnetlink.route(ipaddress.IPv4Network(ip), None, index, str(intf))])
        return ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that was started by popen(), with what it started."""
    # `mnexec -d` made it the leader of its own group, unless the caller replaced that command.
    if os.getpgid(process.pid) == process.pid:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


class Host(Node, mininet.node.Host):
    """A host."""


class Router(Node):
    """A node that forwards: IP forwarding on, redirects and reverse-path checks off."""

    settings = sysctls.NODE | sysctls.ROUTER


def netns_of(node: Any) -> int:
    """A new descriptor of a node's network namespace, stock nodes included."""
    if isinstance(node, Node):
        return os.dup(node.netns)
    return os.open(f"/proc/{node.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
