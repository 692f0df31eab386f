"""Tests of kernel.netlink and kernel.rtnetlink: what is sent, and what an error says."""

from __future__ import annotations

import errno
import ipaddress
import pickle
import struct

import pytest

from testbed.kernel import netlink, rtnetlink
from testbed.kernel.netlink import NetlinkError, attribute, attributes


@pytest.mark.parametrize(
    "payload, encoded",
    [
        (b"", "0400 0300"),
        (b"a", "0500 0300 61 000000"),
        (b"abcd", "0800 0300 61626364"),
        (b"abcde", "0900 0300 6162636465 000000"),
    ],
)
def test_an_attribute_is_padded_to_four_bytes(payload: bytes, encoded: str) -> None:
    assert attribute(3, payload) == bytes.fromhex(encoded)


def test_attributes_are_taken_apart_again() -> None:
    data = attribute(1, b"abc") + attribute(2, b"") + netlink.number(0x8005, 7)
    assert attributes(data) == {1: b"abc", 2: b"", 5: struct.pack("=I", 7)}


@pytest.mark.parametrize("cut", range(8))
def test_a_torn_attribute_ends_the_list(cut: int) -> None:
    whole = attribute(1, b"abcd")
    found = attributes(whole + attribute(2, b"abcd")[:cut])
    assert found[1] == b"abcd"
    assert found.get(2, b"") == b"abcd"[: max(cut - 4, 0)]


def test_an_attribute_without_length_ends_the_list() -> None:
    assert attributes(bytes(16)) == {}


def test_an_address_says_what_the_kernel_expects() -> None:
    request = rtnetlink.address(7, ipaddress.IPv4Address("10.1.2.3"), 24, "x0")
    assert request.body == bytes.fromhex(
        "02 18 00 00 07000000"  # AF_INET, /24, no flags, global, interface 7
        "0800 0200 0a010203"  # IFA_LOCAL
        "0800 0100 0a010203"  # IFA_ADDRESS
        "0800 0400 0a0102ff"  # IFA_BROADCAST
    )
    assert request.what == "give x0 the address 10.1.2.3/24"


def test_a_host_address_has_no_broadcast() -> None:
    request = rtnetlink.address(7, ipaddress.IPv4Address("10.1.2.3"), 32, "x0")
    assert attributes(request.body[8:]).keys() == {1, 2}


def test_a_default_route_names_no_destination() -> None:
    everything = ipaddress.IPv4Network("0.0.0.0/0")
    request = rtnetlink.route(everything, ipaddress.IPv4Address("10.0.0.6"), 7, "x0")
    assert attributes(request.body[12:]) == {4: struct.pack("=I", 7), 5: bytes([10, 0, 0, 6])}
    assert request.what == "add the route 0.0.0.0/0 via 10.0.0.6 dev x0"


def test_an_error_names_what_where_why_and_the_remedy() -> None:
    error = NetlinkError("make the bridge br0", "r1", errno.EEXIST, "Already there")
    assert str(error) == (
        "r1: cannot make the bridge br0: EEXIST File exists (Already there);"
        " the name or address is taken in this namespace; use another one"
    )
    assert error.errno == errno.EEXIST


def test_an_unknown_error_has_a_remedy_too() -> None:
    assert str(NetlinkError("do it", "r1", errno.EXDEV)).endswith("; check dmesg")


def test_an_error_survives_pickling() -> None:
    error = NetlinkError("make br0", "r1", errno.EPERM, "no")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.errno) == (str(error), errno.EPERM)
