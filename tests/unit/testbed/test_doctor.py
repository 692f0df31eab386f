"""What the doctor says and returns; what it finds on a real kernel is below tests/network."""

from __future__ import annotations

import pytest

from testbed import doctor, lab
from testbed.doctor import Check


def check(ok: bool, *, needed: bool) -> Check:
    return Check("nft", "counts", needed, ok, "/usr/sbin/nft" if ok else "missing", "install it")


def test_it_works_when_everything_needed_is_there() -> None:
    assert doctor.works([check(True, needed=True), check(False, needed=False)])
    assert not doctor.works([check(True, needed=True), check(False, needed=True)])


def test_the_document_holds_every_check() -> None:
    document = doctor.document([check(False, needed=True)])
    assert document["ok"] is False
    assert document["checks"][0]["remedy"] == "install it"


def test_what_is_missing_is_shown_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.show([check(False, needed=True)])
    shown = capsys.readouterr().out
    assert "nft: missing; install it" in shown
    assert "does not work here" in shown


def test_without_a_lab_the_kernel_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the kernel was tried outside a lab")

    monkeypatch.setattr(lab, "problem", lambda: "no user namespaces; sudo sysctl x=1")
    monkeypatch.setattr(lab, "call", refuse)
    checks = doctor.examine()
    assert not doctor.works(checks)
    world = next(each for each in checks if each.name == "private world")
    assert (world.found, world.remedy) == ("no user namespaces", "sudo sysctl x=1")


def test_a_command_that_is_missing_or_fails_is_worded() -> None:
    assert doctor._try("no-such-command-here") == "no-such-command-here is missing"
    assert doctor._try("false") == "exit status 1"
    assert doctor._try("true") == ""
