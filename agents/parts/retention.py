"""How long a node goes on gossiping a rumour: six rules with different residues, never mixed.

- `rounds`: R = ceil(c ln n) of the node's own rounds after receipt, n = N-1 (natural logarithm).
- `age`: every copy carries the rumour's age in rounds, and everybody stops at age R.
- `infect_and_die`: one round.
- `counter`: until k_counter sends; `coin`: after each send, with probability 1/k_counter. Both are
  the *blind* forms of Demers et al. (PODC'87), with an interest test after every send: a one-way
  push has no feedback. They may stop in the middle of a round.
- `forever`: never; to measure the time to completion.

Worked number: c = 2 and N = 1001 give R = ceil(2 ln 1000) = 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, log
from random import Random

from agents.options import OptionError, option

KINDS = ("rounds", "age", "infect_and_die", "counter", "coin", "forever")
WHEN = (
    "rounds: after R of its own rounds; age: when the rumour is R rounds old, which copies carry; "
    "infect_and_die: after 1 round; counter: after k_counter sends; "
    "coin: after each send, with probability 1/k_counter; forever: never"
)
MAX_AGE = 0xFFFF  # two bytes on the wire


@dataclass(frozen=True)
class RumourOptions:
    """The options of protocols that push rumours. The lecture's values are the defaults."""

    fan_out: int = option(2, unit="targets", low=1, help="targets a rumour is sent to in a round")
    replacement: bool = option(True, help="whether one round may draw the same target twice")
    retention: str = option(
        "rounds", choices=KINDS, help=f"when a node stops gossiping a rumour. {WHEN}"
    )
    c: float = option(
        2.0, low=0.01, high=100, help="R = ceil(c ln(N-1)) for N nodes; for rounds and age only"
    )
    k_counter: int = option(
        2,
        unit="sends",
        low=1,
        help="sends until a node stops, with coin on average; for counter and coin only",
    )

    def check(self, nodes: int) -> None:
        """Raises `OptionError` when the fan-out does not fit a group of that many nodes."""
        check_fan_out(self.fan_out, nodes, type(self).fan_out)


def check_fan_out(fan_out: int, nodes: int, default: int) -> None:
    """Raises `OptionError` when a node of a group has not so many others."""
    others = max(nodes - 1, 0)
    if fan_out > others:
        raise OptionError(
            f"fan_out={fan_out}: {nodes} nodes have {others} other(s) each; "
            f"choose fan_out <= {others} or more nodes (default {default})"
        )


def round_limit(c: float, nodes: int) -> int:
    """R = ceil(c ln(N-1)), at least 1: two nodes would otherwise never send (ln 1 = 0)."""
    return max(1, ceil(c * log(nodes - 1))) if nodes > 2 else 1


@dataclass(frozen=True, slots=True)
class Retention:
    """One rule with its numbers; `hold` makes the state of one rumour at one node."""

    kind: str
    limit: float
    """Rounds that a rumour may take part in, infinite where sends decide."""
    k_counter: int

    @classmethod
    def of(cls, options: RumourOptions, nodes: int) -> Retention:
        kind = options.retention
        limit: float = inf
        if kind in ("rounds", "age"):
            limit = round_limit(options.c, nodes)
        elif kind == "infect_and_die":
            limit = 1
        return cls(kind, limit, options.k_counter)

    def hold(self, age: int = 0) -> Hold:
        """The state of a rumour that was born here (age 0) or came with this age."""
        return Hold(self, age)


class Hold:
    """How long this node still gossips one rumour. `age` is what its copies carry."""

    __slots__ = ("_over", "_rounds", "_rule", "_sends", "age")

    def __init__(self, rule: Retention, age: int) -> None:
        self.age = age
        self._rule = rule
        self._rounds = age if rule.kind == "age" else 0
        self._sends = 0
        self._over = False

    @property
    def active(self) -> bool:
        """Whether the node sends the rumour in its next round."""
        return not self._over and self._rounds < self._rule.limit

    def begin_round(self) -> None:
        """A round of this node begins, in which it sends the rumour."""
        self._rounds += 1
        self.age = min(self.age + 1, MAX_AGE)

    def sent(self, rng: Random) -> bool:
        """A copy was sent; returns whether this round goes on (the blind interest test)."""
        self._sends += 1
        if self._rule.kind == "counter":
            self._over = self._sends >= self._rule.k_counter
        elif self._rule.kind == "coin":
            self._over = rng.random() < 1 / self._rule.k_counter
        return not self._over

    def heard(self, age: int) -> None:
        """Another copy arrived: the greatest age known counts, so that everybody stops by R."""
        if self._rule.kind == "age" and age > self.age:
            self._rounds = self.age = age
