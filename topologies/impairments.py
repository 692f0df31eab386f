"""What shaping does to one direction of one link, and the impairments of the links of a topology.

The model is that of sch_netem, so that each backend and the simulator mean the same by a field. A
packet is first lost or not, then perhaps copied and corrupted; then it waits for its time. The time
is delay and jitter from its arrival, or none at all for the share that is reordered. A rate makes
the link a queue: no packet ends before the one ahead of it has, and each takes its own time more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypedDict, get_args

from topologies.errors import GraphError, near

Distribution = Literal["uniform", "normal", "pareto"]
LossKind = Literal["end_to_end", "per_link"]


@dataclass(frozen=True, slots=True)
class Impairment:
    """What shaping does to one direction of one link. The defaults: nothing.

    Ratios are 0..1 of the packets (a loss of 1 is a dead link). Raises GraphError for a value
    outside its domain, nan included, and for a field that means nothing without another.
    """

    loss_ratio: float = 0.0
    """In the long run, bursts or not."""
    burst_packets: float | None = None
    """Mean length, in packets, of the spells in which the link is bad (Gilbert-Elliott); None:
    packets are lost independently."""
    bad_loss_ratio: float = 1.0
    """Loss within a bad spell."""
    good_loss_ratio: float = 0.0
    """Loss between them."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Half the width of a uniform jitter, the standard deviation of the others."""
    jitter_distribution: Distribution = "uniform"
    """`pareto` has the shape 3; `normal` and `pareto` are cut off at 4 standard deviations, which
    takes 0.023 of them from the mean of `pareto`."""
    jitter_correlation: float = 0.0
    """Of one packet's jitter with the next one's, as normal scores; the distribution stays."""
    reorder_ratio: float = 0.0
    """Share of the packets that skip delay and jitter, and so overtake."""
    duplicate_ratio: float = 0.0
    """Share of the packets that are sent twice; the second one may be lost or late by itself."""
    corrupt_ratio: float = 0.0
    """Share of the packets in which one bit is flipped."""
    rate_mbit: float | None = None
    """Of Ethernet frames: an IP packet and 14 bytes. None is unlimited. A link with a rate keeps
    the order of its packets, whatever the jitter."""
    queue_packets: int | None = None
    """Packets that the link holds, delayed ones included; one more is dropped. None: never."""

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if value is None and field.default is None:
                continue
            if name == "jitter_distribution":
                if value not in get_args(Distribution):
                    raise GraphError(f"{name} = {value!r}: {near(str(value), _DISTRIBUTIONS)}")
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise GraphError(f"{name} = {value!r}: not a number; give one")
            # Written so that nan fails too.
            if name.endswith("_ratio") and not 0 <= value <= 1:
                raise GraphError(f"{name} = {value}: outside 0..1; 0.5 is half of the packets")
            if name.endswith("_ms") and not 0 <= value < math.inf:
                raise GraphError(f"{name} = {value}: give a finite number of milliseconds from 0")
        if self.rate_mbit is not None and not 0 < self.rate_mbit < math.inf:
            raise GraphError(f"rate_mbit = {self.rate_mbit}: give a rate over 0, or none")
        if not 0 <= self.jitter_correlation < 1:
            raise GraphError(f"jitter_correlation = {self.jitter_correlation}: give 0 to below 1")
        if self.queue_packets is not None and not (
            isinstance(self.queue_packets, int) and self.queue_packets >= 1
        ):
            raise GraphError(f"queue_packets = {self.queue_packets}: give a whole number from 1")
        self._check_company()
        if self.burst_packets is not None:
            self._check_burst(self.burst_packets)

    def _check_company(self) -> None:
        if self.reorder_ratio and not self.delay_ms:
            raise GraphError(
                f"reorder_ratio = {self.reorder_ratio}: without delay_ms there is nothing to "
                "overtake; give a delay"
            )
        shaped = self.jitter_correlation or self.jitter_distribution != "uniform"
        if shaped and not self.jitter_ms:
            raise GraphError(
                "jitter_distribution, jitter_correlation: mean nothing without jitter_ms; give it"
            )
        if self.burst_packets is None and (self.bad_loss_ratio, self.good_loss_ratio) != (1.0, 0.0):
            raise GraphError(
                "bad_loss_ratio, good_loss_ratio: mean nothing without burst_packets; give it"
            )

    def _check_burst(self, burst_packets: float) -> None:
        if not 1 <= burst_packets < math.inf:
            raise GraphError(f"burst_packets = {burst_packets}: give a number of packets from 1")
        if not self.good_loss_ratio <= self.loss_ratio < self.bad_loss_ratio:
            raise GraphError(
                f"loss_ratio = {self.loss_ratio}: not from good_loss_ratio = "
                f"{self.good_loss_ratio} to below bad_loss_ratio = {self.bad_loss_ratio}; it is "
                "their mean"
            )
        worsens = self.spells[0]
        if worsens > 1:
            raise GraphError(
                f"loss_ratio = {self.loss_ratio}, burst_packets = {burst_packets}: spells so short "
                "cannot lose so much; give longer ones"
            )

    @property
    def spells(self) -> tuple[float, float]:
        """Chances, a packet, that a good link turns bad and that a bad one turns good.

        A loss of 0.2 in bursts of 4: (0.0625, 0.25), bad for a fifth of the time.
        """
        assert self.burst_packets is not None
        bad = (self.loss_ratio - self.good_loss_ratio) / (
            self.bad_loss_ratio - self.good_loss_ratio
        )
        ends = 1 / self.burst_packets
        return ends * bad / (1 - bad), ends

    @property
    def perfect(self) -> bool:
        """True when there is nothing to shape."""
        return self == PERFECT


_DISTRIBUTIONS = get_args(Distribution)
PERFECT = Impairment()
_MAY_LACK = frozenset(field.name for field in fields(Impairment) if field.default is None)


def parse(text: str) -> dict[str, Any]:
    """The fields that a text like `delay_ms=20,rate_mbit=none` names. Raises GraphError."""
    known = {field.name for field in fields(Impairment)}
    found: dict[str, Any] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals:
            raise GraphError(f"{part!r}: write name=value, joined by commas")
        if name not in known:
            raise GraphError(f"unknown impairment {name!r}; {near(name, known)}")
        found[name] = value if name == "jitter_distribution" else _number(name, value)
    return found


def _number(name: str, value: str) -> float | int | None:
    """A field's value; `none` for one that need not have any."""
    may_lack = name in _MAY_LACK
    if may_lack and value == "none":
        return None
    try:
        return int(value) if name == "queue_packets" else float(value)
    except ValueError as error:
        remedy = "give one, or none" if may_lack else "give one"
        raise GraphError(f"{name} = {value!r}: not a number; {remedy}") from error


class OfLinks(TypedDict):
    """What `Graph.grow` takes: the impairments of the access links and of those of routers."""

    receive: Impairment
    send: Impairment
    across: Impairment
    across_up: Impairment


def of_links(
    loss_ratio: float = 0.0,
    loss: LossKind = "end_to_end",
    link_loss_ratio: float = 0.0,
    access_delay_ms: float = 0.0,
    core_delay_ms: float = 0.0,
    access: str = "",
    access_up: str = "",
    core: str = "",
    core_up: str = "",
) -> OfLinks:
    """Impairments from the parameters that all topologies have; see `topologies.parameters`.

    `access` and `core` are texts as `parse` takes them, for both directions; what `access_up` and
    `core_up` say of the direction away from the hosts comes on top. Raises GraphError.
    """
    if loss == "per_link" and link_loss_ratio:
        raise GraphError(
            f"link_loss_ratio = {link_loss_ratio}: with loss = 'per_link' loss_ratio is that of "
            "every link; leave one of the two out"
        )
    per_link = loss_ratio if loss == "per_link" else 0.0
    near_hosts = {"delay_ms": access_delay_ms}
    routers = {"delay_ms": core_delay_ms, "loss_ratio": per_link or link_loss_ratio}
    down, up = parse(access), parse(access) | parse(access_up)
    return {
        "receive": _made(near_hosts | {"loss_ratio": loss_ratio} | down),
        "send": _made(near_hosts | {"loss_ratio": per_link} | up),
        "across": _made(routers | parse(core)),
        "across_up": _made(routers | parse(core) | parse(core_up)),
    }


def _made(values: dict[str, Any]) -> Impairment:
    if not values["loss_ratio"]:
        # The form of a loss that there is none of, in one direction say.
        values = {name: each for name, each in values.items() if name not in _FORM_OF_LOSS}
    return replace(PERFECT, **values)


_FORM_OF_LOSS = ("burst_packets", "bad_loss_ratio", "good_loss_ratio")
