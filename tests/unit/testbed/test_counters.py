"""Tests of testbed.counters without a kernel: names, rules, and recorded listings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.counters import (
    CountersError,
    device_names,
    parse_counters,
    parse_ports,
    parse_traffic,
    ports_text,
    table_text,
)
from tests.unit.testbed.shaping.fakes import graph_of
from topologies.elements import PERFECT

RECORDED = Path(__file__).parents[2] / "recorded" / "nftables"
"""Listed by libnftables 1.0.6 after 30 datagrams of three types."""


def recorded(name: str) -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text())
    return objects


def test_devices_are_named_by_where_they_lead() -> None:
    graph = graph_of(PERFECT)
    assert device_names(graph, "r0") == {"d-r1": "r1", "d-r2": "r2"}
    assert device_names(graph, "r1") == {"br-s1": "s1", "up": "up"}


def test_the_keys_of_a_listing_are_read() -> None:
    assert parse_traffic(recorded("traffic")) == [
        ("br-s1", "br-s1", 0, 8, 288),
        ("br-s1", "br-s1", 1, 6, 216),
        ("br-s1", "br-s1", 2, 6, 216),
        ("up", "br-s1", 0, 4, 144),
        ("up", "br-s1", 1, 3, 108),
        ("up", "br-s1", 2, 3, 108),
    ]


def test_the_totals_of_a_listing_are_read() -> None:
    assert parse_counters(recorded("traffic")) == {"datagrams": 30, "pings": 0, "others": 0}


def test_the_ports_of_a_listing_are_read() -> None:
    assert parse_ports(recorded("ports"), "offered_udp") == {"p0": 20, "p1": 10}
    assert parse_ports(recorded("ports"), "offered_other") == {"p0": 0, "p1": 0}


def test_an_empty_set_has_no_elements() -> None:
    assert parse_traffic([{"set": {"name": "traffic"}}]) == []


def test_a_listing_of_another_form_is_an_error() -> None:
    with pytest.raises(CountersError, match="set traffic: nftables lists it in a form"):
        parse_traffic([{"set": {"name": "traffic", "elem": [{"elem": {"val": "eth0"}}]}}])


def test_only_the_given_port_is_counted_by_type() -> None:
    assert "udp dport 9000 goto keyed" in table_text(keys=256, port=9000)
    assert "size 256;" in table_text(keys=256, port=9000)


def test_a_router_without_hosts_counts_no_ports() -> None:
    assert "hook" not in ports_text([])
