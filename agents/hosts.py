"""Who is where: the address of every node, the nested groups it belongs to, and all subnets.

One table serves a thousand agents, which share its memory by fork: addresses are packed bytes,
since reading a Python object writes to its reference count and so copies its page.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, inet_ntoa, inet_pton

from agents import groups as multicast
from agents.api import NodeId, View
from agents.options import OptionError

PORT = 9000

# What reading a file that holds something else may raise.
_NO_TABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The table. `make` builds it; `save` and `load` carry it to the agents."""

    packed: bytes
    """IPv4 addresses in network order, four bytes a node."""
    groups: tuple[tuple[range, ...], ...]
    """The different tuples of nested groups, as in `View`."""
    member: array[int]
    """For each node, the index of its tuple in `groups`."""
    port: int
    subnets: tuple[range, ...]
    """All subnets, in the order of their nodes."""

    @classmethod
    def make(
        cls,
        addresses: Sequence[str],
        groups: Sequence[tuple[range, ...]] | None = None,
        port: int = PORT,
    ) -> Hosts:
        """Builds the table; without groups all nodes are in one. Raises `OptionError`."""
        try:
            packed = b"".join(inet_pton(AF_INET, str(address)) for address in addresses)
        except (OSError, ValueError):
            raise OptionError(f"addresses {list(addresses)[:3]}...: give IPv4 addresses") from None
        nested = groups if groups is not None else [(range(len(addresses)),)] * len(addresses)
        if len(nested) != len(addresses):
            raise OptionError(f"{len(nested)} groups for {len(addresses)} nodes; give one each")
        different = tuple(dict.fromkeys(tuple(g) for g in nested))
        index = {g: i for i, g in enumerate(different)}
        member = array("I", (index[tuple(g)] for g in nested))
        return cls(packed, different, member, port, multicast.subnets(different))

    def __len__(self) -> int:
        return len(self.member)

    def address(self, node: NodeId) -> str:
        """The address of a node in 0..N-1."""
        return inet_ntoa(self.packed[4 * node : 4 * node + 4])

    def view(self, node: NodeId) -> View:
        """What the node knows of the others."""
        return View(node, self.groups[self.member[node]], self.subnets)

    def member_of(self, node: NodeId) -> tuple[int, int]:
        """The groups of `agents.groups` that the node is a member of: everyone, and its subnet."""
        return multicast.ALL, multicast.own(self.view(node))

    def save(self, path: Path) -> None:
        """Writes the table as JSON."""
        groups = [[[r.start, r.stop] for r in nested] for nested in self.groups]
        addresses = [self.address(node) for node in range(len(self))]
        table = {"port": self.port, "addresses": addresses}
        path.write_text(json.dumps({**table, "groups": groups, "member": list(self.member)}))

    @classmethod
    def load(cls, path: Path) -> Hosts:
        """Reads a table that `save` wrote; without groups all nodes are in one.

        Raises `OptionError` for a file that is no such table.
        """
        try:
            table = json.loads(path.read_text())
            addresses, port = list(table["addresses"]), table.get("port", PORT)
            groups = None
            if "groups" in table:
                nested = [tuple(range(*r) for r in g) for g in table["groups"]]
                groups = [nested[i] for i in table["member"]]
                if not all(
                    g and all(r and r[0] >= 0 and r[-1] < len(addresses) for r in g) for g in nested
                ):
                    raise ValueError("groups are ranges of nodes")
            if not (type(port) is int and 0 < port < 1 << 16):
                raise ValueError(f"port {port!r}")
        except _NO_TABLE as error:
            raise OptionError(
                f"hosts file {path}: {type(error).__name__}: {error}; "
                'write {"addresses": ["10.0.0.1", ...]}'
            ) from None
        return cls.make(addresses, groups, port)
