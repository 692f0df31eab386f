"""Options are parsed from text, kept in their domain, and misspelt names find the near one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from agents.options import OptionError, describe, make, option


@dataclass(frozen=True)
class Sample:
    fan_out: int = option(2, unit="targets", low=1, high=8, help="how many")
    ratio: float = option(0.5, low=0, high=1)
    fast: bool = option(True)
    mode: str = option("free", choices=("free", "sync"))


def test_no_values_give_the_defaults() -> None:
    assert make(Sample, {}) == Sample(2, 0.5, True, "free")


def test_text_becomes_the_type_of_the_default() -> None:
    values = {"fan_out": "3", "ratio": "0.25", "fast": "no", "mode": "sync"}
    assert make(Sample, values) == Sample(3, 0.25, False, "sync")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fan_out", 0),
        ("fan_out", 9),
        ("fan_out", 2.5),
        ("fan_out", "two"),
        ("fan_out", True),
        ("fan_out", None),
        ("ratio", "nan"),
        ("ratio", float("inf")),
        ("ratio", -0.1),
        ("ratio", 1.5),
        ("fast", "maybe"),
        ("mode", "fre"),
    ],
)
def test_what_is_outside_the_domain_is_refused_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        make(Sample, {name: value})
    text = str(caught.value)
    assert name in text and repr(value) in text and "choose" in text
    (info,) = (info for info in describe(Sample) if info.name == name)
    assert all(choice in text for choice in info.choices or (info.domain,))
    assert f"(default {str(info.default).lower()})" in text
    assert "\n" not in text


def test_a_whole_number_that_no_float_can_hold_is_refused_where_there_is_no_bound() -> None:
    @dataclass(frozen=True)
    class Unbounded:
        count: int = option(1, low=1)

    with pytest.raises(OptionError, match="count=9999"):
        make(Unbounded, {"count": 10**400 - 1})


def test_bounds_are_inside_the_domain() -> None:
    assert make(Sample, {"fan_out": 8, "ratio": 0}) == Sample(8, 0.0)


def test_a_misspelt_name_finds_the_near_one() -> None:
    with pytest.raises(OptionError, match="did you mean 'fan_out'"):
        make(Sample, {"fanout": 2})


def test_description_has_unit_and_domain() -> None:
    fan_out, ratio, fast, mode = describe(Sample)
    assert (fan_out.unit, fan_out.domain, fan_out.kind) == ("targets", "int 1..8", int)
    assert (ratio.domain, fast.domain, mode.domain) == ("float 0..1", "true|false", "free|sync")


@dataclass(frozen=True)
class Plain:
    copies: int = 3


@dataclass(frozen=True)
class Bare:
    copies: int


def test_a_field_without_more_is_an_option_of_any_value() -> None:
    (copies,) = describe(Plain)
    assert (copies.default, copies.domain, copies.unit) == (3, "int", "")
    assert make(Plain, {"copies": "5"}) == Plain(5)


def test_an_option_without_a_default_is_refused() -> None:
    with pytest.raises(OptionError, match=r"Bare\.copies has no default"):
        describe(Bare)
