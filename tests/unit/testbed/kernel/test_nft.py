"""Tests of testbed.kernel.nft without a namespace."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.kernel import nft


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    nft._library.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", fail)
    yield
    nft._library.cache_clear()


def test_a_missing_library_names_its_package(no_library: None) -> None:
    problem = nft.problem()
    assert problem is not None and "install the Debian package libnftables1" in problem


def test_there_is_no_problem_where_the_library_is() -> None:
    assert nft.problem() is None


def test_a_listing_is_read_without_its_version_line() -> None:
    text = '{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"name": "t"}}]}'
    assert nft.parse_listing(text) == [{"table": {"name": "t"}}]


@pytest.mark.parametrize("text", ["", "table ip t {}", "[]", "{}", '{"nftables": [1]}', "null"])
def test_what_is_not_a_listing_is_an_error(text: str) -> None:
    with pytest.raises(nft.NftError, match="not the JSON expected"):
        nft.parse_listing(text)
