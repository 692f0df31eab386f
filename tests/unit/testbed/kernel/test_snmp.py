"""Tests of testbed.kernel.snmp on recorded files of /proc."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.kernel import snmp

RECORDED = Path(__file__).parents[3] / "recorded" / "proc"


def test_snmp_is_read_by_protocol_and_name() -> None:
    counts = snmp.parse((RECORDED / "host_snmp").read_text())
    assert counts["Udp"]["InDatagrams"] == 16
    assert counts["Udp"]["OutDatagrams"] == 10
    assert counts["Ip"]["DefaultTTL"] == 64
    assert counts["Tcp"]["MaxConn"] == -1


def test_names_and_numbers_of_different_protocols_are_an_error() -> None:
    with pytest.raises(TestbedError, match="Udp is followed by Tcp"):
        snmp.parse("Udp: InDatagrams\nTcp: 1\n")
