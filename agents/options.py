"""Options of a protocol: a frozen dataclass whose fields know their unit, domain and default.

The command line, the experiment files and the documentation are made from the same fields, so an
option is described once. Values are int, float, bool or str; the default gives the type.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from math import isnan
from typing import Any, TypeVar, cast

T = TypeVar("T")

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")


class OptionError(ValueError):
    """A name or value that does not fit; the message is one line and names the remedy."""


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """What is known of one option. `low` and `high` are inclusive; None means no bound."""

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
        """The values allowed, in words: `1..` or `with|without`."""
        if self.choices:
            return "|".join(self.choices)
        if self.kind is bool:
            return "true|false"
        if self.low is None and self.high is None:
            return self.kind.__name__
        low = "" if self.low is None else f"{self.low:g}"
        high = "" if self.high is None else f"{self.high:g}"
        return f"{self.kind.__name__} {low}..{high}"

    @property
    def default_words(self) -> str:
        """The default as a file would have it."""
        return str(self.default).lower() if self.kind is bool else f"{self.default}"


def option(
    default: Any,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] | None = None,
    help: str = "",
) -> Any:
    """Makes a field of an Options dataclass. Bounds are inclusive."""
    about = {
        "unit": unit,
        "low": low,
        "high": high,
        "choices": tuple(choices or ()),
        "help": help,
    }
    return field(default=default, metadata=about)


def describe(cls: type[Any]) -> list[OptionInfo]:
    """Lists the options of a dataclass in the order of its fields.

    A field that was not made with `option` has no unit and takes any value of its default's type.
    Raises `OptionError` for one without a default.
    """
    infos = []
    for f in fields(cls):
        if f.default is MISSING:
            raise OptionError(f"{cls.__name__}.{f.name} has no default; give it one, option(1)")
        about = f.metadata or option(f.default).metadata
        infos.append(OptionInfo(f.name, type(f.default), f.default, **about))
    return infos


@cache  # an agent asks at every run
def _known(cls: Hashable) -> Mapping[str, OptionInfo]:
    return {info.name: info for info in describe(cast(type[Any], cls))}


def make(cls: type[T], values: Mapping[str, Any]) -> T:
    """Makes an Options object from values or their text, defaults filled in.

    Raises `OptionError` for an unknown name, a wrong type or a value outside its domain.
    """
    known = _known(cast(Hashable, cls))
    for name in values:
        if name not in known:
            raise OptionError(f"no option {name!r}; {near(name, known)}")
    return cls(**{name: parse(known[name], value) for name, value in values.items()})


def parse(info: OptionInfo, value: Any) -> Any:
    """Converts a value or its text to the option's type and checks its domain."""
    converted = _convert(info, value)
    if info.choices and converted not in info.choices:
        remedy = near(str(value), info.choices)
        raise OptionError(f"{info.name}={value!r}: {remedy} (default {info.default_words})")
    too_low = info.low is not None and converted < info.low
    too_high = info.high is not None and converted > info.high
    if too_low or too_high:
        raise _outside(info, value)
    return converted


def near(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """Words the remedy for a misspelt name: the nearest one if any, and all there are."""
    from difflib import get_close_matches  # costs memory in every agent, so only on this path

    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}choose one of: {', '.join(names) or '(none)'}"


def _outside(info: OptionInfo, value: Any) -> OptionError:
    """Words what is wrong with a value: the domain, and what would be taken without one."""
    unit = f" {info.unit}" if info.unit else ""
    return OptionError(
        f"{info.name}={value!r}: choose {info.domain}{unit} (default {info.default_words})"
    )


def _convert(info: OptionInfo, value: Any) -> Any:
    wrong = _outside(info, value)
    if info.kind is bool:
        text = str(value).lower()
        if text in TRUE or text in FALSE:
            return text in TRUE
        raise wrong
    if isinstance(value, bool):
        raise wrong
    if info.kind is str:
        return str(value)
    if info.kind is int and isinstance(value, float) and not value.is_integer():
        raise wrong
    try:
        number = info.kind(value)
        good = not isnan(number)  # which refuses a whole number that no float can hold
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    if not good:
        raise wrong
    return number
