"""Groups have numbers, addresses and members."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from agents import groups
from agents.api import View

SUBNETS = (range(3), range(3, 5), range(5, 9))
VIEW = View(4, (range(3, 5), range(9)), SUBNETS)


def test_names_are_numbers() -> None:
    assert [groups.number(name, VIEW) for name in ("all", "subnet:0", "subnet:2")] == [0, 1, 3]


@pytest.mark.parametrize("name", ["subnet:3", "subnet:-1", "subnet:", "subnet", "All", "", "x:1"])
def test_a_name_that_is_none_says_which_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r'"all", or "subnet:0" to "subnet:2"'):
        groups.number(name, VIEW)


@pytest.mark.parametrize("me", range(9))
def test_a_node_is_in_one_subnet(me: int) -> None:
    number = groups.own(View(me, (range(9),), SUBNETS))
    assert me in SUBNETS[number - 1]


def test_subnets_come_from_the_nested_groups() -> None:
    nested = [(span, range(9)) for span in (SUBNETS[2], SUBNETS[0], SUBNETS[1], SUBNETS[0])]
    assert groups.subnets(nested) == SUBNETS


def test_addresses_are_scoped_and_differ_in_the_bits_that_hardware_addresses_have() -> None:
    numbers = [0, 1, 255, 256, groups.MOST_SUBNETS]
    found = [IPv4Address(groups.address(number)) for number in numbers]
    assert all(address in IPv4Network("239.192.0.0/14") for address in found)
    assert len({int(address) & 0x7FFFFF for address in found}) == len(numbers)
    assert [groups.address(number) for number in (0, 258)] == ["239.192.0.0", "239.192.1.2"]


def test_records_tell_groups_apart() -> None:
    assert len({groups.NEIGHBOURS, *map(groups.peer, range(5))}) == 6
