"""Whoever of a command's chain is killed leaves nothing; `benchmarks/kills.py` does it for longer.

The first kills come in the first third of a second, before the command has a lab: only what it was
started by can tell then that it must end.
"""

from __future__ import annotations

import pytest

from tests.network import kills

pytestmark = [pytest.mark.network, pytest.mark.kills]


def test_nothing_is_left_whoever_is_killed_when() -> None:
    found = kills.series(sum(map(len, kills.PHASES.values())), seed=1)
    assert [kill for kill in found if kill.left] == []
    assert {kill.role for kill in found} >= kills.PHASES.keys() - {"queue"}
    assert {kill.phase for kill in found} == set(kills.ORDER)


def test_who_waits_for_the_command_is_missed_before_it_has_a_lab(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    early = ("start",)
    phases = {"shell": early, "sudo": early, "make": early, "recipe": early}
    monkeypatch.setattr(kills, "PHASES", phases)
    monkeypatch.setattr(kills, "SHORT", kills.LONG)
    assert [kill for kill in kills.series(8, seed=1) if kill.left] == []
