"""The table of hosts gives every node its address and its nested groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.hosts import Hosts
from agents.options import OptionError

ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.1.1"]
GROUPS = [(range(2), range(3)), (range(2), range(3)), (range(2, 3), range(3))]


def test_a_node_has_its_address_and_view() -> None:
    hosts = Hosts.make(ADDRESSES, GROUPS)
    assert [hosts.address(node) for node in range(len(hosts))] == ADDRESSES
    assert hosts.view(2).groups == (range(2, 3), range(3))
    assert (hosts.view(1).me, hosts.view(1).nodes) == (1, 3)


def test_without_groups_all_nodes_are_in_one() -> None:
    assert Hosts.make(ADDRESSES).view(1).groups == (range(3),)


def test_the_table_survives_its_file(tmp_path: Path) -> None:
    hosts = Hosts.make(ADDRESSES, GROUPS, port=9001)
    hosts.save(tmp_path / "hosts.json")
    assert Hosts.load(tmp_path / "hosts.json") == hosts


def test_a_thousand_nodes_of_two_groups_hold_two_tuples_of_ranges() -> None:
    groups = [(range(500), range(1000)), (range(500, 1000), range(1000))]
    hosts = Hosts.make([f"10.0.{i // 250}.{i % 250}" for i in range(1000)], groups * 500)
    assert len(hosts.groups) == 2
    assert len(hosts.packed) == 4000


@pytest.mark.parametrize("address", ["10.0.0", "10.0.0.256", "h1", "", "::1"])
def test_what_is_no_ipv4_address_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="IPv4"):
        Hosts.make([address])


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"addresses": 3}', '{"addresses": ["h1"]}'])
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hosts.json"
    path.write_text(text)
    with pytest.raises(OptionError) as caught:
        Hosts.load(path)
    assert "\n" not in str(caught.value)
