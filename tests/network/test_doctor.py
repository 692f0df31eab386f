"""The doctor on this machine's own kernel."""

from __future__ import annotations

import json

import pytest

from testbed import doctor
from testbed.cli import main

pytestmark = pytest.mark.network


def test_the_doctor_prints_one_document_and_its_exit_code_agrees(
    capfd: pytest.CaptureFixture[str],
) -> None:
    status = main(["doctor", "--json"])
    document = json.loads(capfd.readouterr().out)
    assert status == (0 if document["ok"] else 1)
    found = {check["name"]: check for check in document["checks"]}
    assert found["private world"]["ok"]
    assert {"loss", "nft counters", "sch_netem", "IP_MROUTE"} <= set(found)


def test_what_is_there_needs_no_remedy_and_what_is_not_has_one() -> None:
    for check in doctor.examine():
        assert bool(check.remedy) != check.ok, check
