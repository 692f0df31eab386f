"""Axes and points of a sweep."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from testbed import document
from testbed.errors import UsageError
from testbed.sweep import space


def points(*over: str, number: int | None = None, seed: int = 1) -> list[dict[str, Any]]:
    return space.points(space.axes(over, document.read("latency", "default")), number, seed)


def values(over: str, number: int | None = None) -> list[Any]:
    return [value for point in points(over, number=number) for value in point.values()]


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("fan_out=1,2,4", [1, 2, 4]),
        ("fan_out=3", [3]),
        ("timing=sync,free", ["sync", "free"]),
        ("replacement=true,false", [True, False]),
        ("loss_ratio=0..0.5/3", [0.0, 0.25, 0.5]),
        ("nodes=log:8..512/4", [8, 32, 128, 512]),
        ("nodes=2..4/9", [2, 3, 4]),
        ("run.round_s=log:0.1..10/3", [0.1, 1.0, 10.0]),
        ("fan_out=2,2,1", [2, 1]),
    ],
)
def test_a_list_or_a_range_becomes_the_values_of_an_axis(over: str, expected: list[Any]) -> None:
    assert values(over) == expected


def test_a_grid_is_the_product_of_its_axes() -> None:
    found = points("fan_out=1,2", "loss_ratio=0..0.4/3")
    assert len(found) == 6
    assert {"fan_out": 2, "loss_ratio": 0.2} in found


def test_a_random_search_covers_each_axis_evenly() -> None:
    """A Latin hypercube: of 20 points one lies in each twentieth of every axis."""
    found = points("loss_ratio=0..1", "round_s=log:0.01..100", "timing=sync,free", number=20)
    assert len(found) == 20
    assert sorted(int(p["loss_ratio"] * 20) for p in found) == list(range(20))
    shares = [(math.log10(p["round_s"]) + 2) / 4 for p in found]
    assert sorted(int(share * 20) for share in shares) == list(range(20))
    assert Counter(p["timing"] for p in found) == {"sync": 10, "free": 10}


def test_whole_numbers_are_drawn_evenly_with_both_ends() -> None:
    found = points("fan_out=1..3", "loss_ratio=0..1", number=300)
    assert Counter(p["fan_out"] for p in found) == {1: 100, 2: 100, 3: 100}


def test_a_seed_draws_the_same_points_again_and_another_one_others() -> None:
    drawn = [points("loss_ratio=0..1", number=5, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_keys_of_protocols_that_are_swept_themselves_are_known() -> None:
    assert len(points("protocol=rumor,push", "k_counter=1..3/3")) == 6


def test_points_can_be_typed_again() -> None:
    point = {"nodes": 8, "loss_ratio": 0.25, "replacement": True, "timing": "free"}
    typed = space.settings(point | {"hosts_per_subnet": [4, 4]})
    assert typed[:4] == ["nodes=8", "loss_ratio=0.25", "replacement=true", "timing=free"]
    again = dict(text.split("=", 1) for text in typed)
    assert {key: document.from_text(text) for key, text in again.items()} == {
        **point,
        "hosts_per_subnet": [4, 4],
    }


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ("fan_out", "write --over KEY"),
        ("fan_out=", "write --over KEY"),
        ("fanout=1,2", "did you mean fan_out"),
        ("loss_ratio=0..1", "some points of a range"),
        ("loss_ratio=1..0/3", "lower end first"),
        ("loss_ratio=log:0..1/3", "above 0"),
        ("loss_ratio=0..1/1", "2 points"),
        ("timing=1..2/2", "has no range"),
        ("nodes=2..200000/200000", "fewer than 100000"),
    ],
)
def test_a_wrong_axis_is_one_line(over: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        points(over)
    assert "\n" not in str(caught.value)


def test_a_key_is_named_once_and_at_least_one_is() -> None:
    with pytest.raises(UsageError, match="named twice"):
        points("fan_out=1", "fan_out=2")
    with pytest.raises(UsageError, match="nothing to go over"):
        points()
