"""Variants of one protocol have names that tell them apart, and only where there are several."""

from __future__ import annotations

import math

import pandas as pd

from testbed.judging import variants


def runs(*options: str, protocol: str = "srm", fan_out: float = float("nan")) -> pd.DataFrame:
    alike = {"topology": "star", "timing": "free", "replacement": None, "retention": None}
    rows = [
        {"protocol": protocol, "fan_out": fan_out, "options": each, **alike} for each in options
    ]
    return pd.DataFrame(rows)


def test_a_variant_is_called_by_the_options_in_which_it_differs() -> None:
    (found,) = variants.named(
        [runs('{"c1": 2.0, "timers": "fixed"}', '{"c1": 2.0, "timers": "adaptive"}')]
    )
    assert list(found["variant"]) == ["fixed", "adaptive"]


def test_runs_of_one_variant_have_one_name_though_an_option_is_missing() -> None:
    (found,) = variants.named([pd.concat([runs("{}", "{}"), runs("{}", protocol="push")])])
    assert list(found["variant"]) == ["", "", ""]


def test_one_missing_value_is_as_good_as_another() -> None:
    found = variants.named(
        [runs("{}").assign(retention=None), runs("{}").assign(retention=math.nan)]
    )
    assert [list(each["variant"]) for each in found] == [[""], [""]]


def test_variants_of_several_directories_are_told_apart() -> None:
    found = variants.named(
        [runs("{}", fan_out=2).astype({"fan_out": int}), runs("{}", fan_out=3.0)]
    )
    assert [list(each["variant"]) for each in found] == [["b = 2"], ["b = 3"]]
