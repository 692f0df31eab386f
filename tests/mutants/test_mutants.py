"""Every deliberately wrong part is noticed, and nothing is noticed where all is right."""

from __future__ import annotations

import pytest

from tests.mutants import page
from tests.mutants.catalog import MUTANTS, Mutant
from tests.mutants.checks import CHECKS, record


@pytest.fixture(scope="module", autouse=True)
def recordings() -> None:
    """Runs of the true code, made before any mutant."""
    record()


@pytest.mark.parametrize("name", sorted({mutant.check for mutant in MUTANTS}))
def test_a_check_is_silent_where_nothing_is_wrong(name: str) -> None:
    assert CHECKS[name].run() == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.says)
def test_a_mutant_is_noticed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.patch(monkeypatch)
    assert CHECKS[mutant.check].run() != ""


def test_every_check_has_a_mutant() -> None:
    assert set(CHECKS) == {mutant.check for mutant in MUTANTS}


def test_the_page_lists_them_all() -> None:
    """`python -m tests.mutants.page` writes it anew."""
    assert page.PAGE.read_text(encoding="utf-8") == page.text()
