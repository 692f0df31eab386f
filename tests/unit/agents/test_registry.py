"""A protocol is found by its name or its path, and a file that breaks the rules says which."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import registry
from agents.api import Message, Protocol
from agents.options import OptionError, near
from agents.protocols.push import Push

MINE = """
from dataclasses import dataclass
from agents.api import Message, Protocol
from agents.options import option

class Mine(Message):
    TYPE = {type}

@dataclass(frozen=True)
class Settings:
    width: int = option(3)

class Gossip(Protocol):
    Options = Settings
    MESSAGES = (Mine,)
"""


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_name_is_the_file_in_the_folder() -> None:
    plugin = registry.load("push")
    assert plugin.protocol is Push
    assert plugin.path.name == "push.py"
    assert list(plugin.messages) == [0x10]


def test_the_names_are_the_files() -> None:
    assert {"push", "topology_aware"} <= set(registry.names())
    assert not any(name.startswith("_") for name in registry.names())


def test_a_path_is_loaded_from_anywhere(tmp_path: Path) -> None:
    plugin = registry.load(write(tmp_path / "mine.py", MINE.format(type=0x80)))
    assert (plugin.name, plugin.protocol.__name__) == ("mine", "Gossip")
    assert plugin.protocol.Options().width == 3
    assert 0 <= plugin.number <= 0xFFFF


def test_a_copy_of_a_shipped_protocol_may_keep_its_type(tmp_path: Path) -> None:
    assert registry.load(write(tmp_path / "push.py", MINE.format(type=0x10))).name == "push"


def test_a_misspelt_name_finds_the_near_one() -> None:
    with pytest.raises(OptionError, match="did you mean 'push'"):
        registry.load("pusch")
    assert near("zzz", ["push"]) == "choose one of: push"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1", "0 subclasses of Protocol"),
        (MINE.format(type=0x80) + "class Other(Protocol): pass", "2 subclasses"),
        (MINE.format(type=0x10), "0x10 belongs to 'push'"),
        (MINE.format(type=0), "TYPE=0"),
        (MINE.format(type=256), "TYPE=256"),
        (MINE.format(type="None"), "TYPE=None"),
        ("class P(:", "SyntaxError"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("from agents.api import Protocol\nclass P(Protocol): pass", "no Options"),
        (
            "from agents.api import Protocol\nclass O: pass\nclass P(Protocol): Options = O",
            "no dataclass; put @dataclass",
        ),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_in_one_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(OptionError, match=problem) as caught:
        registry.load(write(tmp_path / "bad.py", text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(OptionError, match="no such file"):
        registry.load("./missing.py")


def test_two_messages_of_one_type_are_refused() -> None:
    class One(Message):
        TYPE = 0x90

    plugins = [
        registry.Plugin(name, Path(name), Protocol, {One.TYPE: One}) for name in ("one", "two")
    ]
    with pytest.raises(OptionError, match="belongs to 'one'"):
        registry.check_types(plugins)
