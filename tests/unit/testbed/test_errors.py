"""Tests of testbed.errors: what a misspelt name is answered with."""

from __future__ import annotations

import pytest

from testbed.errors import LabError, ShapingError, TestbedError, UsageError, near


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("pusj", ["push", "pull"], "did you mean push? there are pull, push"),
        ("PUSH", ["push", "flood"], "did you mean push? there are flood, push"),
        ("zebra", ["push", "pull"], "there are pull, push"),
        ("", ["push"], "there are push"),
        ("push", [], "there are none"),
    ],
)
def test_near_says_what_could_have_been_meant(name: str, known: list[str], words: str) -> None:
    assert near(name, known) == words


def test_near_keeps_a_long_list_on_one_line() -> None:
    words = near("h1025", [f"h{number}" for number in range(1, 1025)])
    assert words.startswith("did you mean ")
    assert words.endswith(" and 1012 more")
    assert len(words) < 160


@pytest.mark.parametrize("error", [UsageError, LabError, ShapingError])
def test_every_error_is_caught_as_one_of_the_testbed(error: type[Exception]) -> None:
    assert issubclass(error, TestbedError)
