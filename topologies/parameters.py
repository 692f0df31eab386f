"""The parameters of a topology's `build`: read from its signature, checked when it is called.

The command line, experiment files and `mn` all describe and check parameters from the annotations:
`subnets: Annotated[int, Domain(low=1, help="around the core")] = 2`.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from topologies.elements import GraphError, near
from topologies.impairments import LossKind

MOST = 1 << 20
"""Of hosts, or of subnets. Far over what a machine holds; a slip gets an error, not all memory."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that a parameter takes, both bounds included, in words for `help`."""

    low: float | None = None
    high: float | None = None
    unit: str = ""
    help: str = ""


Lan = Literal["routed", "switched"]
Sizes = int | Sequence[int]

# What topologies have in common.
Hosts = Annotated[
    int | None,
    Domain(2, MOST, "hosts", "`nodes` of experiments; spread over the subnets, default 4 each"),
]
HostsPerSubnet = Annotated[
    Sizes | None, Domain(1, None, "hosts", "one number for all subnets, or one for each: 3,5")
]
ReceiverLoss = Annotated[float, Domain(0, 1, "", "share of datagrams lost, where `loss` says")]
WhereLost = Annotated[
    LossKind,
    Domain(help="end_to_end: loss_ratio once, on the way into the host; per_link: on every link"),
]
LinkLoss = Annotated[float, Domain(0, 1, "", "loss on each link of two routers, each way")]
DelayOfAccess = Annotated[float, Domain(0, 3.6e6, "ms", "delay between host and router, each way")]
DelayOfCore = Annotated[
    float, Domain(0, 3.6e6, "ms", "delay of each link of two routers, each way")
]
OfAccess = Annotated[
    str, Domain(help="more impairments of hosts' links, both ways: jitter_ms=5,rate_mbit=10")
]
OfAccessUp = Annotated[
    str, Domain(help="in addition to `access`, from the host to its router only")
]
OfCore = Annotated[
    str,
    Domain(help="more impairments of links of two routers, both ways: jitter_ms=5,rate_mbit=10"),
]
OfCoreUp = Annotated[str, Domain(help="in addition to `core`, towards the core router only")]
LanKind = Annotated[
    Lan, Domain(help="routed: the router forwards inside a subnet too; switched: a plain LAN")
]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a `build`. `kind` is int, float, str, or tuple for a list of sizes."""

    name: str
    kind: type
    default: Any
    unit: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    help: str

    @property
    def domain(self) -> str:
        """The values allowed, in words."""
        if self.choices:
            return " or ".join(self.choices)
        words = {int: "a whole number", float: "a number", tuple: "whole numbers"}
        low = "" if self.low is None else f" from {self.low:g}"
        high = "" if self.high is None else f" to {self.high:.12g}"
        return f"{words.get(self.kind, 'a text')}{low}{high}"

    def check(self, value: Any) -> Any:
        """Returns the value in the parameter's type; raises GraphError. Text is not converted."""
        if value is None and self.default is None:
            return None
        if self.kind is tuple and isinstance(value, list | tuple):
            return tuple(self._number(item, value) for item in value) or self._refuse(value)
        if self.choices:
            return value if value in self.choices else self._refuse(value)
        if self.kind is str:
            return value if isinstance(value, str) else self._refuse(value)
        return self._number(value, value)

    def parse(self, text: str) -> Any:
        """As `check`, from text; the numbers of a list are joined by `,` or `+`."""
        try:
            if self.kind is str:
                return self.check(text)
            if self.kind is float:
                return self.check(float(text))
            numbers = [int(part) for part in text.replace("+", ",").split(",")]
        except ValueError as error:
            if isinstance(error, GraphError):
                raise
            self._refuse(text)
        if len(numbers) > 1 and self.kind is not tuple:
            self._refuse(text)
        return self.check(numbers if len(numbers) > 1 else numbers[0])

    def _number(self, value: Any, whole: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._refuse(whole)
        if self.kind is not float and not isinstance(value, int):
            self._refuse(whole)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not low <= value <= high:  # nan is refused, too
            self._refuse(whole)
        return float(value) if self.kind is float else value

    def _refuse(self, value: Any) -> Any:
        default = "" if self.default in (None, "") else f" (default {self.default})"
        raise GraphError(f"{self.name} = {value!r}: give {self.domain}{default}")


def describe(build: Callable[..., Any]) -> tuple[Parameter, ...]:
    """The parameters of a `build`, in the order of its signature."""
    hints = get_type_hints(build, include_extras=True)
    signature = inspect.signature(build).parameters.values()
    return tuple(_parameter(each.name, hints[each.name], each.default) for each in signature)


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    about = Domain()
    if get_origin(hint) is Annotated:
        hint, about = get_args(hint)
    options = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    choices = tuple(options) if get_origin(hint) is Literal else ()
    kinds = {get_origin(kind) or kind for kind in options}
    kind = str if choices else tuple if Sequence in kinds else kinds.pop()
    return Parameter(name, kind, default, about.unit, about.low, about.high, choices, about.help)


def fill(build: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a `build`, checked, defaults filled in; GraphError for an unknown one."""
    known = {parameter.name: parameter for parameter in describe(build)}
    for name in values:
        if name not in known:
            raise GraphError(f"no parameter {name!r}; {near(name, known)}")
    return {
        name: parameter.check(values[name]) if name in values else parameter.default
        for name, parameter in known.items()
    }


def checked(build: Callable[_P, _T]) -> Callable[_P, _T]:
    """Makes a `build` check what it is given against its own annotations."""

    @functools.wraps(build)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        given = inspect.signature(build).bind(*args, **kwargs).arguments
        return build(**fill(build, given))  # type: ignore[call-arg]

    return wrapper


def sizes(hosts: int | None, hosts_per_subnet: Sizes | None, subnets: int) -> list[int]:
    """The hosts of each subnet; what is over goes to the first ones, one each: 7 in 2 is 4, 3.

    `hosts_per_subnet` decides when given, and `hosts` must agree with it. Raises GraphError.
    """
    if hosts_per_subnet is None:
        hosts = 4 * subnets if hosts is None else hosts
        if hosts < subnets:
            raise GraphError(f"hosts = {hosts}: fewer than the {subnets} subnets; each needs one")
        each, over = divmod(hosts, subnets)
        return [each + (place < over) for place in range(subnets)]
    if isinstance(hosts_per_subnet, int):
        hosts_per_subnet = (hosts_per_subnet,) * subnets
    if len(hosts_per_subnet) != subnets:
        raise GraphError(
            f"hosts_per_subnet = {list(hosts_per_subnet)}: {len(hosts_per_subnet)} numbers for "
            f"{subnets} subnets; give one for each"
        )
    total = sum(hosts_per_subnet)
    if hosts is not None and hosts != total:
        raise GraphError(
            f"hosts = {hosts}: hosts_per_subnet makes {total}; let them agree, or leave one out"
        )
    return list(hosts_per_subnet)
