"""Variants of one protocol have names that tell them apart, and only where there are several."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pandas as pd

from testbed.judging import variants
from testbed.tables import RunTables
from tests import synthetic

KILL = {"kind": "kill", "nodes": "source", "at_s": 0.5, "for_s": None}
RUN = {"interval_s": 0.1, "messages": 20}


def runs(*options: str, protocol: str = "srm", fan_out: float = float("nan")) -> pd.DataFrame:
    alike: dict[str, Any] = {
        "topology": "star",
        "timing": "free",
        "replacement": None,
        "retention": None,
    }
    alike |= {"protocol": protocol, "fan_out": fan_out, "nodes": 8, "loss_ratio": 0.0}
    rows = [{**alike, "options": each, "cell": cell} for cell, each in enumerate(options)]
    return pd.DataFrame(rows)


def recorded(*cells: dict[str, Any]) -> RunTables:
    """A directory whose manifest has these cells, alike in all that they do not say."""
    plain = {"protocol": "srm", "parameters": {}, "faults": [], "run": RUN}
    made = synthetic.latency((8,), 1)
    stated = [{**plain, "index": place, **cell} for place, cell in enumerate(cells)]
    return dataclasses.replace(made, manifest={"experiment": {"name": "own", "cells": stated}})


def names_of(*cells: dict[str, Any], **more: Any) -> list[str]:
    """What a variant a cell is called, their columns of runs being alike."""
    (found,) = variants.named([recorded(*cells)], [runs(*["{}"] * len(cells))], **more)
    return list(found["variant"])


def named(*frames: pd.DataFrame) -> list[pd.DataFrame]:
    return variants.named([recorded()] * len(frames), frames)


def test_a_variant_is_called_by_the_options_in_which_it_differs() -> None:
    (found,) = named(runs('{"c1": 2.0, "timers": "fixed"}', '{"c1": 2.0, "timers": "adaptive"}'))
    assert list(found["variant"]) == ["fixed", "adaptive"]


def test_runs_of_one_variant_have_one_name_though_an_option_is_missing() -> None:
    push = runs("{}", protocol="push").assign(cell=2)
    (found,) = named(pd.concat([runs("{}", "{}"), push]))
    assert list(found["variant"]) == ["", "", ""]


def test_one_missing_value_is_as_good_as_another() -> None:
    found = named(runs("{}").assign(retention=None), runs("{}").assign(retention=math.nan))
    assert [list(each["variant"]) for each in found] == [[""], [""]]


def test_variants_of_several_directories_are_told_apart() -> None:
    found = named(runs("{}", fan_out=2).astype({"fan_out": int}), runs("{}", fan_out=3.0))
    assert [list(each["variant"]) for each in found] == [["b = 2"], ["b = 3"]]


def test_faults_are_told_apart_by_the_fields_in_which_they_differ() -> None:
    later, after = {**KILL, "at_s": 1.0}, {**KILL, "nodes": "source+1"}
    assert names_of({"faults": [KILL]}, {"faults": [later]}) == [
        "kill at_s = 0.5",
        "kill at_s = 1.0",
    ]
    assert names_of({"faults": [KILL]}, {"faults": [after]}) == [
        "kill nodes source",
        "kill nodes source+1",
    ]
    assert names_of({"faults": [KILL, KILL]}, {"faults": [KILL, later]}) == [
        "kill 2 at_s = 0.5",
        "kill 2 at_s = 1.0",
    ]
    assert names_of({}, {"faults": [KILL]}) == ["", "kill nodes source, kill at_s = 0.5"]


def test_parameters_of_the_topology_are_told_apart_and_texts_stand_with_their_name() -> None:
    slow = {"parameters": {"access": "delay_ms=10", "core": "", "subnets": 2}}
    far = {"parameters": {"access": "", "core": "delay_ms=10", "subnets": 4}}
    assert names_of(slow, far) == [
        "access delay_ms=10, subnets = 2",
        "core delay_ms=10, subnets = 4",
    ]


def test_a_parameter_that_another_topology_lacks_names_no_variant() -> None:
    star, tree = {"parameters": {"access_delay_ms": 5}}, {"parameters": {"depth": 2}}
    frame = runs("{}", "{}").assign(topology=["star", "tree"])
    (found,) = variants.named([recorded(star, tree)], [frame])
    assert list(found["variant"]) == ["star", "tree"]


def test_a_setting_of_the_run_makes_a_variant_unless_it_goes_with_the_size() -> None:
    slow, fast = recorded({}), recorded({"run": {**RUN, "interval_s": 0.05}})
    found = variants.named([slow, fast], [runs("{}"), runs("{}")])
    assert [list(each["variant"]) for each in found] == [
        ["interval_s = 0.1"],
        ["interval_s = 0.05"],
    ]
    assert names_of({}, {"run": {**RUN, "messages": 10}}) == ["", ""]


def test_what_a_plot_shows_in_another_way_names_no_variant() -> None:
    cells = [{"faults": [KILL]}, {"faults": [{**KILL, "at_s": 1.0}]}]
    assert names_of(*cells, beside=("kill at_s",)) == ["", ""]
    sizes = runs("{}", "{}").assign(nodes=[8, 16])
    (found,) = variants.named([recorded({}, {})], [sizes])
    assert list(found["variant"]) == ["nodes = 8", "nodes = 16"]
    (found,) = variants.named([recorded({}, {})], [sizes], beside=("nodes",))
    assert list(found["variant"]) == ["", ""]


def test_a_value_too_long_for_a_name_stands_as_a_digest_of_its_own() -> None:
    days = [[{"time_s": 0.0, "link": "access", "delay_ms": delay}] for delay in (10, 20)]
    faults = [[{"kind": "weather", "at_s": 0.0, "profile": day}] for day in days]
    first, second = names_of(*({"faults": each} for each in faults))
    assert first.startswith("weather profile #") and len(first) < 25
    assert first != second
