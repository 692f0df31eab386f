"""Tests of testbed.toml: what tomllib lets through, and what it raises otherwise."""

from __future__ import annotations

import pytest

from testbed import toml

WIDEST = f"[{-(2**63)}, {2**63 - 1}]"


def test_whole_numbers_of_64_bits_are_taken() -> None:
    assert toml.loads(f"a = {WIDEST}") == {"a": [-(2**63), 2**63 - 1]}


@pytest.mark.parametrize("number", [str(2**63), str(-(2**63) - 1), "0x" + "f" * 5000, "9" * 5000])
@pytest.mark.parametrize("text", ["a = {}", "[[b]]\na = [1, [{}]]", "a = {{ c = {} }}"])
def test_longer_ones_are_refused(text: str, number: str) -> None:
    with pytest.raises(ValueError, match="beyond 64 bits"):
        toml.loads(text.format(number))


def test_nesting_beyond_the_parser_is_an_error_of_the_text() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        toml.loads("a = " + "[" * 10_000)
