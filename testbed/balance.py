"""One balance of the books: what came to a place against what went on from it, in datagrams."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from testbed.health import REMEDY

DROPPED, REFUSED = "dropped by devices of", "refused by"
"""How the network itself loses packets."""
REMEDIES = {DROPPED: REMEDY, REFUSED: "the topology's own routes at the router"}


@dataclass(frozen=True, slots=True)
class Balance:
    """Datagrams that came to a place, and where they went from it."""

    place: str
    came: Mapping[str, int]
    went: Mapping[str, int]
    at_most: Mapping[str, int] = field(default_factory=dict)
    """Where datagrams may have gone as well, each with the most that it can explain."""
    more: int = 0
    """The most that may have come as well: copies that nobody has counted."""
    unasked: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """As `at_most`, by how (`DROPPED`, `REFUSED`) and by which host or router: losses that no
    impairment is asked for. They explain what is missing, but not in favour of the runs."""

    @property
    def missing(self) -> int:
        """Datagrams that surely did not go on; negative: that came from nowhere."""
        missing = sum(self.came.values()) - sum(self.went.values())
        if missing < 0:
            return min(0, missing + self.more)
        return max(0, missing - sum(self.at_most.values()))

    @property
    def unexplained(self) -> int:
        """Datagrams that vanished here; negative: that came from nowhere."""
        missing = self.missing
        return missing if missing < 0 else max(0, missing - sum(self.unasked.values()))

    def lost(self, spared: Collection[str] = ()) -> int:
        """Datagrams that the network surely lost, hosts and routers `spared` left out."""
        excused = sum(packets for (_, who), packets in self.unasked.items() if who in spared)
        return max(0, min(self.missing, sum(self.unasked.values())) - excused)

    def worded(self) -> str:
        """The terms, those that are 0 left out."""
        text = f"{_joined(self.came.items())} against {_joined(self.went.items())}"
        bounds = [*self.at_most.items(), *_named(self.unasked)]
        if any(packets for _, packets in bounds):
            text += f" and at most {_joined(bounds)}"
        return text


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A number of datagrams, and the place where they cannot be accounted for."""

    place: str
    packets: int
    why: str

    @classmethod
    def of(cls, balance: Balance) -> Unexplained:
        packets, why = balance.unexplained, balance.worded()
        if packets < 0:
            why += "; does another program send UDP here?"
        return cls(balance.place, packets, why)

    def __str__(self) -> str:
        word = "vanished" if self.packets > 0 else "came from nowhere"
        return f"{self.place}: {abs(self.packets)} datagrams {word}: {self.why}"


def accused(balance: Balance, packets: int) -> str:
    """The complaint that the network lost datagrams that nobody asked it to lose."""
    kinds = {how for (how, _), most in balance.unasked.items() if most}
    return (
        f"{balance.place}: {packets} datagrams were lost that nobody asked to lose: at most "
        f"{_joined(_named(balance.unasked))}; the remedy is "
        + " and ".join(remedy for how, remedy in REMEDIES.items() if how in kinds)
    )


def _named(unasked: Mapping[tuple[str, str], int]) -> list[tuple[str, int]]:
    return [(f"{how} {who}", packets) for (how, who), packets in unasked.items()]


def _joined(terms: Iterable[tuple[str, int]]) -> str:
    return " + ".join(f"{number} {name}" for name, number in terms if number) or "0"
