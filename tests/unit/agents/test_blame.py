"""How an exception of a protocol is worded."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from agents import blame


class Broken:
    def divide(self) -> float:
        return 1 / 0

    def refuse(self) -> None:
        raise NotImplementedError


def words(call: Callable[[], object], protocol: object) -> str:
    try:
        call()
    except Exception as error:
        return blame.worded(error, protocol)
    return ""


def test_an_error_names_its_line_in_the_file_of_the_protocol() -> None:
    line = Broken.divide.__code__.co_firstlineno + 1
    said = words(Broken().divide, Broken())
    assert said == f"ZeroDivisionError: division by zero (test_blame.py, line {line})"


def test_an_error_from_elsewhere_has_no_line() -> None:
    assert words(Broken().divide, object()) == "ZeroDivisionError: division by zero"


def test_an_error_without_words_ends_with_its_name() -> None:
    assert words(Broken().refuse, object()) == "NotImplementedError"


def test_an_action_that_is_no_list_is_told_what_to_return() -> None:
    def drive() -> None:
        for _ in cast("list[object]", 7):
            pass

    assert words(drive, object()).endswith("not iterable; each method returns a list of actions")
