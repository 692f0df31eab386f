"""Mininet's links and interfaces, made and configured over netlink instead of by ip and ifconfig.

They join nodes of testbed.network.nodes and stock ones alike: a stock node's namespace is found
through its shell's pid.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mininet.link

from testbed.errors import TestbedError
from testbed.kernel import namespaces, rtnetlink
from testbed.kernel.netlink import Channel, NetlinkError, Request
from testbed.network.nodes import Node, netns_of

_SETTLED_S = 10.0


@contextmanager
def _channel(node: Any) -> Iterator[Channel]:
    descriptor = netns_of(node)
    try:
        with namespaces.entered(descriptor):
            channel = Channel(node.name)
    finally:
        os.close(descriptor)
    with channel:
        yield channel


class Intf(mininet.link.Intf):
    """An interface. `setup` is what the kernel forgets at `down`; `up` asks for it again."""

    setup: Sequence[Request] = ()

    @classmethod
    def existing(
        cls, name: str, node: Any, port: int, mac: str, link: Any, setup: Sequence[Request] = ()
    ) -> Any:
        """An interface that is there and up already."""
        intf = cls(name, node, port=port, link=link, mac=mac, moveIntfFn=_stay, up=None)
        intf.setup = setup
        return intf

    def ifconfig(self, *args: str) -> str:
        """As Mininet's; `up` and `down` go over netlink."""
        if args in (("up",), ("down",)):
            self._switch(args == ("up",))
            return ""
        output: str = super().ifconfig(*args)
        return output

    def _switch(self, up: bool) -> None:
        with _channel(self.node) as channel:
            index = rtnetlink.link(channel, self.name).index
            channel.ask([rtnetlink.switch(index, up, self.name), *(self.setup if up else ())])
        if up and isinstance(self.link, Link) and self.link.made:
            self.link.settle()

    def setIP(self, ipstr: str, prefixLen: int | None = None) -> str:
        """Gives the interface this address (`10.0.0.1/8`, or the length apart) and no other."""
        if "/" in ipstr:
            self.ip, _, self.prefixLen = ipstr.partition("/")
        elif prefixLen is None:
            raise ValueError(f"{self.name}: {ipstr} has no prefix length; write {ipstr}/24")
        else:
            self.ip, self.prefixLen = ipstr, str(prefixLen)
        with _channel(self.node) as channel:
            index = rtnetlink.link(channel, self.name).index
            rtnetlink.forget_addresses(channel, index, self.name)
            own = ipaddress.IPv4Address(self.ip)
            channel.ask(
                [
                    rtnetlink.switch(index, True, self.name),
                    rtnetlink.address(index, own, int(self.prefixLen), self.name),
                    *self.setup,
                ]
            )
        return ""

    def setMAC(self, macstr: str) -> str:
        """Gives the interface another hardware address."""
        self.mac = macstr
        with _channel(self.node) as channel:
            index = rtnetlink.link(channel, self.name).index
            channel.ask([rtnetlink.set_mac(index, macstr, self.name)])
        return ""

    def isUp(self, setUp: bool = False) -> bool:
        """True if the interface is set up, or has just been by `setUp`."""
        if setUp:
            self._switch(True)
            return True
        with _channel(self.node) as channel:
            return rtnetlink.link(channel, self.name).up

    def delete(self) -> None:
        """Deletes the interface and with it its peer; nothing happens where it is gone already."""
        if not (isinstance(self.node, Node) and self.node.ended):
            try:
                with _channel(self.node) as channel:
                    index = rtnetlink.link(channel, self.name).index
                    channel.ask([rtnetlink.delete(index, self.name)])
            except NetlinkError as error:
                if error.errno != errno.ENODEV:
                    raise
        self.node.delIntf(self)
        self.link = None

    def status(self) -> str:
        """OK, or MISSING."""
        try:
            with _channel(self.node) as channel:
                rtnetlink.link(channel, self.name)
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise
            return "MISSING"
        return "OK"


def _stay(*_args: Any, **_kwargs: Any) -> None:
    """Stands for Mininet's moveIntf where an interface is made in its namespace."""


class Link(mininet.link.Link):
    """A veth pair made in the two nodes' namespaces."""

    intf1: Any
    intf2: Any
    made = False

    def __init__(self, node1: Any, node2: Any, intf: Any = Intf, **params: Any) -> None:
        if intf is mininet.link.Intf:  # the default that Mininet passes on
            intf = Intf
        super().__init__(node1, node2, intf=intf, **params)
        self.made = True
        self.settle()

    def settle(self) -> None:
        """Waits until the kernel has noticed at both ends that they are up, if they are."""
        deadline = time.monotonic() + _SETTLED_S
        for intf in (self.intf1, self.intf2):
            with _channel(intf.node) as channel:
                while rtnetlink.link(channel, intf.name).settling:
                    if time.monotonic() > deadline:
                        raise TestbedError(
                            f"{intf}: up at both ends and passes no frames after {_SETTLED_S:g} s;"
                            " is the machine overloaded?"
                        )
                    time.sleep(0.001)

    @classmethod
    def existing(cls, ends: Sequence[tuple[str, Any, int, str, Sequence[Request]]]) -> Any:
        """A link that is there and up already."""
        link = cls.__new__(cls)
        link.fast = link.made = True
        link.intf1, link.intf2 = (
            Intf.existing(name, node, port, mac, link, setup)
            for name, node, port, mac, setup in ends
        )
        return link

    @classmethod
    def makeIntfPair(
        cls,
        intfname1: str,
        intfname2: str,
        addr1: str | None = None,
        addr2: str | None = None,
        node1: Any = None,
        node2: Any = None,
        deleteIntfs: bool = True,
    ) -> None:
        """Makes the pair; without nodes (`fast=False`) as Mininet does."""
        if node1 is None or node2 is None:
            super().makeIntfPair(intfname1, intfname2, addr1, addr2, node1, node2, deleteIntfs)
            return
        far = netns_of(node2)
        try:
            with _channel(node1) as channel:
                pair = rtnetlink.veth(intfname1, 0, addr1, intfname2, 0, addr2, far)
                channel.ask([pair])
        finally:
            os.close(far)

    def stop(self) -> None:
        """Deletes the link unless the death of one of its namespaces will, which is faster."""
        if self.intf1 is None or self.intf2 is None:
            return
        intfs = (self.intf1, self.intf2)
        if not any(isinstance(intf.node, Node) and intf.node.inNamespace for intf in intfs):
            self.delete()
            return
        for intf in intfs:
            intf.node.delIntf(intf)
            intf.link = None
        self.intf1 = self.intf2 = None

    def delete(self) -> None:
        """Deletes both interfaces."""
        if self.intf1 is not None:
            super().delete()
