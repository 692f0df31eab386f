"""Loss by nftables, for kernels without sch_netem: `numgen random mod 2^31 < x`, then drop.

The rules sit where netem would: after routing, on the device that the packet leaves by. Towards a
host that device is a port of its subnet's bridge, so the table is of the bridge family, and copies
that a multicast makes for several hosts are dropped independently. What a host sends is dropped
where it comes into the bridge: dropped at the host, it would be an error of the sender's call. A
verdict map keyed by the device finds the rule, so 512 hosts cost one hash lookup a packet, not 512
comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from testbed.errors import ShapingError
from testbed.kernel.nft import Nft, NftError
from testbed.shaping.interface import Backend, Nodes, Port, Shaped
from topologies.elements import Impairment

TABLE = "testbed_loss"
TABLE_IN = "testbed_loss_in"

# The largest power of two that numgen takes: the kernel maps 32 random bits to [0, modulus) by
# (bits * modulus) >> 32, which is unbiased only when the modulus divides 2^32.
MODULUS = 2**31


class Place(NamedTuple):
    """A table, and the hook from which it looks packets up by their device."""

    family: str
    table: str
    hook: str
    key: str
    priority: int

    def holds(self, port: Port) -> bool:
        return (port.bridged, port.inward) == (self.family == "bridge", self.table == TABLE_IN)


PLACES = (
    # After everything else in postrouting, as a queueing discipline would be.
    Place("bridge", TABLE, "postrouting", "oifname", 300),
    Place("ip", TABLE, "postrouting", "oifname", 300),
    # Before everything else: what is lost on its way to the router is not seen by it.
    Place("bridge", TABLE_IN, "prerouting", "iifname", -300),
)


class Nftables(Backend):
    name = "nftables"
    can = frozenset({"loss_ratio"})
    resolution = 0.5 / MODULUS
    changes = False

    def probe(self, netns: int) -> str | None:
        link = Port("probe", "probe0", "probe", False, Impairment(loss_ratio=0.5))
        host = Port("probe", "probe1", "probe", True, Impairment(loss_ratio=0.5))
        try:
            _replace(netns, "probe", [link, host, replace(host, inward=True)])
        except (NftError, ShapingError) as error:
            return (
                f"{error}; it needs the package libnftables1 and the kernel modules nf_tables, "
                "nft_numgen and nf_tables_bridge"
            )
        return None

    def refusal(self, impairment: Impairment) -> str | None:
        if impairment.loss_ratio == threshold(impairment.loss_ratio) / MODULUS:
            return None
        if 0 < threshold(impairment.loss_ratio) < MODULUS:
            return None
        return f"nftables counts in steps of {1 / MODULUS:.2g}; use 0, 1 or a value between"

    def apply(self, nodes: Nodes, node: str, ports: Sequence[Port], seed: int) -> None:
        _replace(nodes.get(node).netns, node, ports)

    def read_back(self, netns: int) -> dict[str, Impairment]:
        return {
            way: Impairment(loss_ratio=ratio)
            for place, objects in self._tables(netns)
            for way, ratio in parse_ratios(objects, place).items()
        }

    def counted(self, netns: int) -> dict[str, Shaped]:
        return {
            way: shaped
            for place, objects in self._tables(netns)
            for way, shaped in parse_counts(objects, place).items()
        }

    def _tables(self, netns: int) -> Iterator[tuple[Place, list[dict[str, Any]]]]:
        nft = Nft(netns)
        try:
            for place in PLACES:
                yield place, nft.listed(f"table {place.family} {place.table}")
        finally:
            nft.close()


def _replace(netns: int, node: str, ports: Sequence[Port]) -> None:
    text = "".join(
        table_text(place, [port for port in ports if place.holds(port)]) for place in PLACES
    )
    nft = Nft(netns)
    try:
        nft.change(text)
    except NftError as error:
        raise ShapingError(f"{node}: {error}") from error
    finally:
        nft.close()


def threshold(loss_ratio: float) -> int:
    """The x of `numgen random mod 2^31 < x`. threshold(0.3) = 644245094"""
    return round(loss_ratio * MODULUS)


def table_text(place: Place, ports: Sequence[Port]) -> str:
    """The commands that replace one table by one that shapes these ports.

    A listed set element counts the packets that match it, so losses are known by device without
    a dynamic set that could fill up.
    """
    # `table` first, so that `delete` has something to delete on the first call.
    table, key = f"table {place.family} {place.table}", place.key
    start = f"{table}\ndelete {table}\n{table} {{\n"
    if not ports:
        return start + "}\n"
    devices = ", ".join(f'"{port.device}"' for port in ports)
    jumps = ", ".join(
        f'"{port.device}" : goto loss_{threshold(port.impairment.loss_ratio)}' for port in ports
    )
    lines = [
        f"set lost_udp {{ type ifname; counter; elements = {{ {devices} }}; }}",
        f"set lost_other {{ type ifname; counter; elements = {{ {devices} }}; }}",
        "chain lost {",
        f"meta l4proto udp {key} @lost_udp drop",
        f"{key} @lost_other drop",
        "}",
    ]
    for x in sorted({threshold(port.impairment.loss_ratio) for port in ports}):
        # Below 1 by chance; 1 always, since the modulus itself is never drawn.
        condition = "" if x >= MODULUS else f"numgen random mod {MODULUS} < {x} "
        lines += [f"chain loss_{x} {{", f"{condition}goto lost", "}"]
    lines += [
        f"map ports {{ type ifname : verdict; counter; elements = {{ {jumps} }}; }}",
        f"chain met {{ type filter hook {place.hook} priority {place.priority};",
        f"{key} vmap @ports",
        "}",
    ]
    return start + "\n".join(lines) + "\n}\n"


def parse_ratios(objects: Sequence[dict[str, Any]], place: Place) -> dict[str, float]:
    """Loss ratios by `Port.way`, from the rules that a packet really meets.

    What does not form the chain hook -> map -> condition -> drop is not read as loss.
    """
    rules: dict[str, list[list[dict[str, Any]]]] = {}
    for each in objects:
        if "rule" in each:
            rules.setdefault(each["rule"]["chain"], []).append(each["rule"]["expr"])
    hooked = [each["chain"]["name"] for each in objects if "hook" in each.get("chain", {})]
    looked_up = any(
        expression[:1] == [{"vmap": {"key": {"meta": {"key": place.key}}, "data": "@ports"}}]
        for chain in hooked
        for expression in rules.get(chain, [])
    )
    if not looked_up or not any({"drop": None} in rule for rule in rules.get("lost", [])):
        return {}
    ratios = {}
    for device, chain, _ in _ports_of(objects):
        ratio = _ratio_of(rules.get(chain, []))
        if ratio is not None:
            ratios[_way(device, place)] = ratio
    return ratios


def parse_counts(objects: Sequence[dict[str, Any]], place: Place) -> dict[str, Shaped]:
    """Passed and dropped packets by `Port.way`."""
    lost: dict[str, dict[str, int]] = {"lost_udp": {}, "lost_other": {}}
    for each in objects:
        found = each.get("set", {})
        if found.get("name") in lost:
            for element in found.get("elem", []):
                body = element["elem"]
                lost[found["name"]][body["val"]] = body["counter"]["packets"]
    counts = {}
    for device, _, offered in _ports_of(objects):
        udp, other = lost["lost_udp"][device], lost["lost_other"][device]
        counts[_way(device, place)] = Shaped(offered - udp - other, udp + other, udp)
    return counts


def _way(device: str, place: Place) -> str:
    return f"{device} in" if place.table == TABLE_IN else device


def _ports_of(objects: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, int]]:
    """(device, chain, packets) of each element of the verdict map."""
    for each in objects:
        if each.get("map", {}).get("name") == "ports":
            for key, verdict in each["map"].get("elem", []):
                element = key["elem"]
                yield element["val"], verdict["goto"]["target"], element["counter"]["packets"]


def _ratio_of(rules: Sequence[Sequence[dict[str, Any]]]) -> float | None:
    if len(rules) != 1 or rules[0][-1:] != [{"goto": {"target": "lost"}}]:
        return None
    if len(rules[0]) == 1:
        return 1.0
    match = rules[0][0].get("match", {})
    numgen = match.get("left", {}).get("numgen", {})
    if match.get("op") != "<" or numgen.get("mode") != "random" or numgen.get("offset") != 0:
        return None
    # libnftables prints the modulus as a signed 32-bit number (1.0.6: 2^31 comes out negative).
    return float(match["right"]) / (int(numgen["mod"]) % 2**32)
