"""Counts packets at routers with the kernel's own counters, before any rule can drop them.

In each router's forward hook one nftables set counts the testbed's datagrams by (device in, device
out, message type); the type is the first byte of the UDP payload. Its size is every combination
there can be, and a plain counter over the same datagrams must equal its sum, since a full set drops
keys without a word. ICMP and the rest are counted apart. In the postrouting hook of the bridges a
second table counts what each host is about to be sent, before loss takes its share.
Bytes are those of the IP packet, headers included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agents.hosts import PORT
from testbed.errors import TestbedError
from testbed.kernel.nft import Nft, NftError
from topologies.elements import bridge_device, link_device, router_port
from topologies.graph import Graph

TABLE = "testbed_counters"
TYPES = 256

# Before every other rule of the forward hook, and before the loss (300) of postrouting.
_FORWARD_PRIORITY = -300
_PORTS_PRIORITY = -300


class CountersError(TestbedError):
    """Counters cannot be put in place, or what they say cannot be read."""


@dataclass(frozen=True, slots=True)
class Count:
    """Datagrams of one message type that a router forwarded one way since it was installed.

    `input` and `output` are names of subnets, or of the router at the lower end of a link, or "up".
    """

    router: str
    input: str
    output: str
    type: int
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Packets that a router forwarded, whatever their way: the unkeyed counters."""

    datagrams: int
    """The testbed's own; equals the sum of all counts once traffic has stopped."""
    icmp: int
    other: int


@dataclass(frozen=True, slots=True)
class Offered:
    """Packets about to be sent to one host, before loss: UDP, and everything else."""

    udp: int
    other: int


class Node(Protocol):
    """What counters need of a node: the descriptor of its network namespace."""

    @property
    def netns(self) -> int: ...


class Nodes(Protocol):
    """What counters need of a network: its nodes by name."""

    def get(self, name: str) -> Node: ...


class Counters:
    """The counters of every router of one network."""

    def __init__(self, net: Nodes, graph: Graph, *, size: int | None = None) -> None:
        """`size` limits the keyed set of each router; None is the number of possible keys."""
        self._names = {router.name: device_names(graph, router.name) for router in graph.routers}
        self._ports = {
            router.name: {
                router_port(host): host.name
                for subnet in graph.subnets_of(router.name)
                for host in graph.hosts_of(subnet.name)
            }
            for router in graph.routers
        }
        self._nft: dict[str, Nft] = {}
        try:
            for router, names in self._names.items():
                nft = self._nft[router] = Nft(net.get(router).netns)
                keys = size or len(names) ** 2 * TYPES
                nft.change(table_text(keys, PORT) + ports_text(list(self._ports[router])))
        except NftError as error:
            self.close()
            raise CountersError(
                f"{router}: cannot count packets: {error}; it needs the package libnftables1 and "
                "the kernel modules nf_tables and nf_tables_bridge"
            ) from error

    def read(self, router: str) -> list[Count]:
        """The counts so far, by way and type. Takes 0.1 ms; see `Sampler`."""
        names = self._names[router]
        listed = self._listed(router, f"set ip {TABLE} traffic")
        return [
            Count(router, names.get(came, came), names.get(went, went), kind, packets, size)
            for came, went, kind, packets, size in parse_traffic(listed)
        ]

    def totals(self, router: str) -> Totals:
        packets = parse_counters(self._listed(router, f"counters table ip {TABLE}"))
        return Totals(packets["datagrams"], packets["pings"], packets["others"])

    def offered(self, router: str) -> dict[str, Offered]:
        """Packets on their way to each host below the router, by the host's name."""
        listed = self._listed(router, f"table bridge {TABLE}")
        udp, other = parse_ports(listed, "offered_udp"), parse_ports(listed, "offered_other")
        return {host: Offered(udp[port], other[port]) for port, host in self._ports[router].items()}

    def _listed(self, router: str, what: str) -> list[dict[str, Any]]:
        try:
            return self._nft[router].listed(what)
        except NftError as error:
            raise CountersError(
                f"{router}: its counters are gone: {error}; did something flush the rules there?"
            ) from error

    def complaints(self) -> list[str]:
        """Why the counts cannot be trusted; to be asked once traffic has stopped."""
        found = []
        for router in self._nft:
            total = self.totals(router).datagrams
            keyed = sum(count.packets for count in self.read(router))
            if keyed != total:
                found.append(
                    f"{router}: counted {total} datagrams, {keyed} of them by type; "
                    "the set of counters is full or was changed during the run"
                )
        return found

    def close(self) -> None:
        """Lets go of the sockets; the counters go with the namespaces."""
        for nft in self._nft.values():
            nft.close()


class Sampler:
    """Collects the counts of some routers over time; the caller decides when.

    Rows are (time_ns, router, input, output, type, packets, bytes), cumulative.
    """

    def __init__(self, counters: Counters, routers: Sequence[str]) -> None:
        self._counters = counters
        self._routers = tuple(routers)
        self.rows: list[tuple[int, str, str, str, int, int, int]] = []

    def sample(self, now_ns: int) -> None:
        for router in self._routers:
            for count in self._counters.read(router):
                self.rows.append(
                    (
                        now_ns,
                        router,
                        count.input,
                        count.output,
                        count.type,
                        count.packets,
                        count.bytes,
                    )
                )


def install(net: Nodes, graph: Graph) -> Counters:
    """Starts counting at every router of a network that is up. Raises CountersError."""
    return Counters(net, graph)


def device_names(graph: Graph, router: str) -> dict[str, str]:
    """Where each device of a router leads: {"br-s1": "s1", "d-r2": "r2", "up": "up"}."""
    names = {bridge_device(subnet): subnet.name for subnet in graph.subnets_of(router)}
    for link in graph.links:
        if link.upper == router:
            names[link_device(link, "upper")] = link.lower
        if link.lower == router:
            names[link_device(link, "lower")] = "up"
    return names


def table_text(keys: int, port: int) -> str:
    """The commands that start the counters of one router anew."""
    return f"""table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
counter datagrams {{ }}
counter pings {{ }}
counter others {{ }}
set traffic {{
typeof iifname . oifname . @th,64,8; size {keys}; flags dynamic; counter;
}}
chain keyed {{
counter name datagrams
update @traffic {{ iifname . oifname . @th,64,8 }}
}}
chain forward {{
type filter hook forward priority {_FORWARD_PRIORITY};
udp dport {port} goto keyed
meta l4proto icmp counter name pings accept
counter name others
}}
}}
"""


def ports_text(devices: Sequence[str]) -> str:
    """The commands that count what leaves by each of a router's bridge ports."""
    start = f"table bridge {TABLE}\ndelete table bridge {TABLE}\ntable bridge {TABLE} {{\n"
    if not devices:
        return start + "}\n"
    elements = ", ".join(f'"{device}"' for device in devices)
    return (
        start
        + f"""set offered_udp {{ type ifname; counter; elements = {{ {elements} }}; }}
set offered_other {{ type ifname; counter; elements = {{ {elements} }}; }}
chain out {{
type filter hook postrouting priority {_PORTS_PRIORITY};
meta l4proto udp oifname @offered_udp accept
oifname @offered_other accept
}}
}}
"""
    )


def parse_traffic(objects: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int, int, int]]:
    """(device in, device out, type, packets, bytes) of each key of the set, sorted."""

    def rows(element: Mapping[str, Any]) -> tuple[str, str, int, int, int]:
        came, went, kind = element["val"]["concat"]
        packets, size = (int(element["counter"][name]) for name in ("packets", "bytes"))
        return str(came), str(went), int(kind), packets, size

    return sorted(_elements(objects, "traffic", rows))


def parse_ports(objects: Sequence[Mapping[str, Any]], name: str) -> dict[str, int]:
    """Packets by device of one of the sets of `ports_text`."""
    return dict(
        _elements(objects, name, lambda each: (str(each["val"]), int(each["counter"]["packets"])))
    )


def parse_counters(objects: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Packets by the counter's name."""
    found = [each["counter"] for each in objects if "counter" in each]
    try:
        return {str(each["name"]): int(each["packets"]) for each in found}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _strange("counters", error) from error


def _elements(
    objects: Sequence[Mapping[str, Any]], name: str, row: Callable[[Mapping[str, Any]], Any]
) -> list[Any]:
    try:
        return [
            row(element["elem"])
            for each in objects
            if each.get("set", {}).get("name") == name
            for element in each["set"].get("elem", [])
        ]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _strange(f"set {name}", error) from error


def _strange(what: str, error: Exception) -> CountersError:
    return CountersError(
        f"{what}: nftables lists it in a form that is not known ({error!r}); "
        "is libnftables older than 1.0 or newer than what this was written for?"
    )
