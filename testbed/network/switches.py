"""Mininet's Linux bridge as a switch, made over netlink."""

from __future__ import annotations

import itertools
from typing import Any

import mininet.node

from testbed.kernel import rtnetlink, sysctls
from testbed.network.links import Intf
from testbed.network.nodes import Node


class Bridge(Node, mininet.node.Switch):
    """A Linux bridge; as Mininet's LinuxBridge it is in the network namespace of the caller.

    `inNamespace=True` gives it one of its own. `stp` runs the kernel's spanning tree with priority
    `prio` (0..65535, lowest wins), which switches in a loop need; frames pass after 30 s, see
    `connected`.
    """

    settings = sysctls.NODE | sysctls.BRIDGE
    running = False
    _priorities = itertools.count(100)

    def __init__(
        self,
        name: str,
        dpid: str | None = None,
        opts: str = "",
        listenPort: int | None = None,
        stp: bool = False,
        prio: int | None = None,
        **params: Any,
    ) -> None:
        # Not Switch.__init__: its control interface would start the shell, to set lo up.
        mininet.node.Node.__init__(self, name, **params)
        self.dpid = self.defaultDpid(dpid)
        self.opts = opts
        self.listenPort = listenPort
        self.controlIntf = None if self.inNamespace else Intf("lo", self, port=0, up=None)
        self.stp = stp
        self.prio = next(self._priorities) if prio is None else prio

    def start(self, _controllers: Any = None) -> None:
        """Makes the bridge, with all interfaces of the switch as its ports."""
        with self.channel() as channel:
            channel.ask([rtnetlink.bridge(self.name, stp=self.stp, priority=self.prio)])
        self.running = True
        for intf in self._ports():
            self.attach(intf)

    def stop(self, deleteIntfs: bool = True) -> None:
        """Deletes the bridge; `start` makes it again."""
        if self.running and not self.ended:
            self.running = False
            with self.channel() as channel:
                channel.ask([rtnetlink.delete(rtnetlink.link(channel, self.name).index, self.name)])
        super().stop(deleteIntfs and not self.ended)

    def attach(self, intf: Any) -> None:
        """Makes an interface of the node a port of the running bridge."""
        with self.channel() as channel:
            bridge = rtnetlink.link(channel, self.name).index
            port = rtnetlink.link(channel, str(intf)).index
            channel.ask([rtnetlink.join(port, bridge, str(intf))])

    def detach(self, intf: Any) -> None:
        """Takes a port out of the bridge."""
        with self.channel() as channel:
            channel.ask([rtnetlink.join(rtnetlink.link(channel, str(intf)).index, 0, str(intf))])

    def addIntf(self, intf: Any, port: int | None = None, **params: Any) -> None:
        """As Mininet's; a link added to a running switch works at once."""
        super().addIntf(intf, port=port, **params)
        if self.running:
            self.attach(intf)

    def connected(self) -> bool:
        """True when every port passes frames."""
        names = {str(intf) for intf in self._ports()}
        with self.channel() as channel:
            return all(link.running for link in rtnetlink.links(channel) if link.name in names)

    def dpctl(self, *args: Any) -> str:
        """Runs brctl, as Mininet's LinuxBridge does."""
        output: str = self.cmd("brctl", *args)
        return output

    def _ports(self) -> list[Any]:
        return [intf for intf in self.intfList() if intf is not self.controlIntf]
