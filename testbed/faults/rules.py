"""Partitions, lost datagrams and dead links at the routers, switched on and off in microseconds.

Every router has a table of rules for all that may happen, each of which looks first into a set of
its own: empty, and the rule is off. To switch it is one element in one set, the same message to
every router, so a partition of a thousand hosts costs no more than one of four. What a rule drops
is counted by the device that the packet would have left by: those are the terms that explain it.

Towards a host the rules sit behind the counters of what it is offered and before the loss of its
link, on its port of the bridge; so they see multicast copies, and what stays within a subnet. What
a router forwards, and what is for a host whose link is down, meets them in the forward hook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Protocol

from testbed.errors import TestbedError
from testbed.faults import Fault
from testbed.faults.timeline import Timeline
from testbed.kernel.nft import Nft, NftError
from testbed.kernel.nftset import SetSwitch
from testbed.shaping.nftables import MODULUS, threshold
from topologies.elements import bridge_device, link_device, router_port
from topologies.graph import Graph

TABLE = "testbed_faults"
_IPV4 = b"\x08\x00"
_PRIORITY = 0
"""Behind the counters (-300), before the loss of the link (300)."""


class Node(Protocol):
    """What rules need of a node: the descriptor of its network namespace."""

    @property
    def netns(self) -> int: ...


class Nodes(Protocol):
    """What rules need of a network: its nodes by name."""

    def get(self, name: str) -> Node: ...


@dataclass(frozen=True, slots=True)
class Cut:
    """Datagrams that rules for faults have dropped."""

    ports: Mapping[str, int] = field(default_factory=dict)
    """Towards each host, by its name."""
    forwarded: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By router, and by the device that they would have left by."""


class Rules:
    """The rules of one network. Raises `TestbedError` where nftables refuses them."""

    def __init__(self, net: Nodes, graph: Graph) -> None:
        self._graph = graph
        self._routers = [router.name for router in graph.routers]
        self._nft = {name: Nft(net.get(name).netns) for name in self._routers}
        self._switches = {name: SetSwitch(net.get(name).netns, name) for name in self._routers}
        self._sets: list[str] = []
        """The sets of the faults arranged for; all routers have the same."""
        self._on: set[str] = set()
        try:
            for name in self._routers:
                self._nft[name].change(self._frame(name))
        except NftError as error:
            self.close()
            raise TestbedError(
                f"faults: {error}; it needs nf_tables and nf_tables_bridge"
            ) from None

    def close(self) -> None:
        for name in self._routers:
            self._nft[name].close()
            self._switches[name].close()

    def arrange(self, faults: Sequence[Fault], timeline: Timeline) -> None:
        """Puts the rules of a timeline in place, all of them off."""
        sets = ["down", *(f"on_{place}" for place in range(len(faults)))]
        for name in self._routers:
            self._nft[name].change(self._forget(name) + self._arranged(name, faults, timeline))
        self._sets = sets
        self._on = set()

    def switch(self, fault: int, on: bool) -> None:
        """Has the rules of a fault hold at every router, or no more."""
        self._change("bridge", f"on_{fault}", [_IPV4], on)
        self._change("ip", f"on_{fault}", [_IPV4], on)

    def unplugged(self, addresses: Sequence[IPv4Address], down: bool) -> None:
        """Drops what is for hosts whose link is down, before the bridge does so uncounted."""
        if addresses:
            self._change("ip", "down", [address.packed for address in addresses], down)

    def cut(self) -> Cut:
        """What was dropped so far; exact once traffic has stopped."""
        ports = {router_port(host): host.name for host in self._graph.hosts}
        towards: dict[str, int] = {}
        forwarded: dict[str, dict[str, int]] = {}
        for name in self._routers:
            listed = self._nft[name].listed(f"set bridge {TABLE} cut_udp")
            towards |= {ports[device]: count for device, count in _counts(listed).items()}
            forwarded[name] = _counts(self._nft[name].listed(f"set ip {TABLE} cut_udp"))
        return Cut(towards, forwarded)

    def _change(self, family: str, name: str, keys: Sequence[bytes], present: bool) -> None:
        switches = self._switches.values()
        for switch in switches:
            switch.ask(family, TABLE, name, keys, present)
        for switch in switches:
            switch.answer()

    def _frame(self, router: str) -> str:
        """What stays: the hooks, and the counters of what was dropped."""
        hosts = [router_port(host) for host in self._hosts(router)]
        return "".join(
            f"table {family} {TABLE}\ndelete table {family} {TABLE}\ntable {family} {TABLE} {{\n"
            f"set cut_udp {{ type ifname; counter; {_elements(devices)} }}\n"
            f"set cut_other {{ type ifname; counter; {_elements(devices)} }}\n"
            "chain cut {\nmeta l4proto udp oifname @cut_udp drop\noifname @cut_other drop\n}\n"
            f"chain out {{ type filter hook {hook} priority {_PRIORITY}; }}\n}}\n"
            for family, hook, devices in (
                ("bridge", "postrouting", hosts),
                ("ip", "forward", self._devices(router)),
            )
        )

    def _forget(self, router: str) -> str:
        text = f"flush chain bridge {TABLE} out\nflush chain ip {TABLE} out\n"
        for family in ("bridge", "ip"):
            listed = self._nft[router].listed(f"table {family} {TABLE}")
            names = [each["set"]["name"] for each in listed if "set" in each]
            text += "".join(
                f"delete set {family} {TABLE} {name}\n"
                for name in names
                if not name.startswith("cut_")
            )
        return text

    def _arranged(self, router: str, faults: Sequence[Fault], timeline: Timeline) -> str:
        """Sets and rules of every fault, as commands."""
        text = [f"add set ip {TABLE} down {{ type ipv4_addr; }}"]
        text += [f"add rule ip {TABLE} out ip daddr @down goto cut"]
        for place, fault in enumerate(faults):
            for family in ("bridge", "ip"):
                text.append(f"add set {family} {TABLE} on_{place} {{ type ether_type; }}")
            if fault.kind == "partition":
                text += self._parted(router, place, timeline.sides[place])
            elif fault.kind == "loss":
                text += self._lossy(router, place, fault, timeline.targets[place])
        return "\n".join(text) + "\n"

    def _parted(self, router: str, place: int, sides: Sequence[frozenset[int]]) -> list[str]:
        named = set().union(*sides)
        rest = frozenset(range(self._graph.nodes)) - named
        text = [self._addresses(f"hosts_{place}", range(self._graph.nodes))]
        for number, side in enumerate([*sides, rest]):
            ports = [router_port(h) for h in self._hosts(router) if h.node in side]
            if not side or not ports:
                continue
            name = f"{place}_{number}"
            text += [
                self._addresses(f"side_{name}", sorted(side)),
                f"add set bridge {TABLE} ports_{name} {{ type ifname; {_elements(ports)} }}",
                f"add rule bridge {TABLE} out meta protocol @on_{place} oifname @ports_{name} "
                f"ip saddr @hosts_{place} ip saddr != @side_{name} goto cut",
            ]
        return text

    def _lossy(self, router: str, place: int, fault: Fault, targets: Sequence[int]) -> list[str]:
        x = threshold(fault.loss_ratio or 0.0)
        chance = "" if x >= MODULUS else f"numgen random mod {MODULUS} < {x} "
        if fault.router is not None:
            rule = f"add rule ip {TABLE} out meta protocol @on_{place} {chance}goto cut"
            return [rule] if fault.router == router else []
        ports = [router_port(h) for h in self._hosts(router) if h.node in set(targets)]
        if not ports:
            return []
        return [
            f"add set bridge {TABLE} ports_{place} {{ type ifname; {_elements(ports)} }}",
            f"add rule bridge {TABLE} out meta protocol @on_{place} oifname @ports_{place} "
            f"{chance}goto cut",
        ]

    def _addresses(self, name: str, nodes: Sequence[int]) -> str:
        addresses = ", ".join(str(self._graph.hosts[node].address) for node in nodes)
        return f"add set bridge {TABLE} {name} {{ type ipv4_addr; elements = {{ {addresses} }}; }}"

    def _hosts(self, router: str) -> list[Any]:
        subnets = self._graph.subnets_of(router)
        return [host for subnet in subnets for host in self._graph.hosts_of(subnet.name)]

    def _devices(self, router: str) -> list[str]:
        """What a router forwards to: its subnets' bridges and its links."""
        links = self._graph.links
        return [
            *(bridge_device(subnet) for subnet in self._graph.subnets_of(router)),
            *(link_device(link, "upper") for link in links if link.upper == router),
            *(link_device(link, "lower") for link in links if link.lower == router),
        ]


def _elements(names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"elements = {{ {quoted} }};" if names else ""


def _counts(objects: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        element["elem"]["val"]: element["elem"]["counter"]["packets"]
        for each in objects
        for element in each.get("set", {}).get("elem", [])
    }
