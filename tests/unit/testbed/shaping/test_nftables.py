"""Tests of testbed.shaping.nftables: ratios as thresholds, and what a listing is taken to mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.shaping.interface import Port, Shaped
from testbed.shaping.nftables import (
    MODULUS,
    PLACES,
    Nftables,
    parse_counts,
    parse_ratios,
    table_text,
    threshold,
)
from topologies.elements import Impairment

RECORDED = Path(__file__).parents[3] / "recorded" / "nftables" / "loss.json"
"""`list table bridge testbed_loss` of libnftables 1.0.6: p0 loses 0.3 and p1 everything."""


def recorded() -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = json.loads(RECORDED.read_text())
    return objects


def port(device: str, ratio: float) -> Port:
    return Port("r1", device, "h1", True, Impairment(loss_ratio=ratio))


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0, 0), (1, MODULUS), (0.5, 2**30), (0.3, 644245094), (2**-31, 1)],
)
def test_a_ratio_becomes_a_share_of_two_to_the_31(ratio: float, expected: int) -> None:
    assert threshold(ratio) == expected


def test_the_threshold_is_within_half_a_step_of_the_ratio() -> None:
    for step in range(1000):
        ratio = step / 999
        assert abs(threshold(ratio) / MODULUS - ratio) <= Nftables.resolution


def test_the_ratios_of_a_listing_are_read_back() -> None:
    assert parse_ratios(recorded(), PLACES[0]) == {"p0": pytest.approx(0.3, abs=2**-32), "p1": 1.0}


def test_the_counts_of_a_listing_are_read() -> None:
    assert parse_counts(recorded(), PLACES[0]) == {"p0": Shaped(16, 4, 4), "p1": Shaped(0, 10, 10)}


@pytest.mark.parametrize("number", [8, 11, 12])
def test_without_a_rule_on_its_way_a_packet_is_not_taken_to_be_lost(number: int) -> None:
    objects = [each for each in recorded() if each.get("rule", {}).get("handle") != number]
    assert len(objects) == len(recorded()) - 1
    assert parse_ratios(objects, PLACES[0]).get("p1") == (1.0 if number == 8 else None)


def test_without_any_drop_nothing_is_taken_to_be_lost() -> None:
    objects = [each for each in recorded() if each.get("rule", {}).get("chain") != "lost"]
    assert parse_ratios(objects, PLACES[0]) == {}


def test_a_chain_without_a_hook_loses_nothing() -> None:
    objects = recorded()
    for each in objects:
        each.get("chain", {}).pop("hook", None)
    assert parse_ratios(objects, PLACES[0]) == {}


@pytest.mark.parametrize(("field", "value"), [("mode", "inc"), ("offset", 5), ("mod", 1000)])
def test_another_way_of_drawing_numbers_is_not_read_as_the_ratio(field: str, value: Any) -> None:
    objects = recorded()
    for each in objects:
        if each.get("rule", {}).get("chain") == "loss_644245094":
            each["rule"]["expr"][0]["match"]["left"]["numgen"][field] = value
    assert parse_ratios(objects, PLACES[0]).get("p0") != pytest.approx(0.3)


def test_ports_of_one_ratio_share_a_chain() -> None:
    text = table_text(PLACES[0], [port("p0", 0.25), port("p1", 0.25), port("p2", 0.5)])
    assert text.count("numgen random") == 2
    assert f'"p1" : goto loss_{2**29}' in text


def test_a_loss_of_one_draws_no_number() -> None:
    assert "numgen" not in table_text(PLACES[0], [port("p0", 1.0)])


def test_a_table_without_ports_has_no_hook() -> None:
    assert "hook" not in table_text(PLACES[1], [])


@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.5, 2**-31, 1 - 2**-31])
def test_ratios_that_can_be_held_are_not_refused(ratio: float) -> None:
    assert Nftables().refusal(Impairment(loss_ratio=ratio)) is None


@pytest.mark.parametrize("ratio", [1e-12, 1 - 1e-12])
def test_ratios_that_would_become_0_or_1_are_refused(ratio: float) -> None:
    refusal = Nftables().refusal(Impairment(loss_ratio=ratio))
    assert refusal is not None and "steps of 4.7e-10" in refusal
