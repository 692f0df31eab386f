"""Finds protocols by name: `push` is `agents/protocols/push.py`, `./mine.py` is a file anywhere.

Nothing is registered by hand. A file defines exactly one subclass of `Protocol`, and every message
it sends has a TYPE of its own among all protocols, since routers count by that byte.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from zlib import crc32

from agents.api import Message, Protocol
from agents.options import OptionError, near

FOLDER = Path(__file__).parent / "protocols"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A protocol as found: the name typed, its file, its class and its messages by TYPE."""

    name: str
    path: Path
    protocol: type[Protocol]
    messages: dict[int, type[Message]]

    @property
    def number(self) -> int:
        """Two bytes that tell protocols apart on the wire, made from the name."""
        return crc32(self.name.encode()) & 0xFFFF


_loaded: dict[str, Plugin] = {}


def names() -> list[str]:
    """Lists the protocols shipped, sorted."""
    return sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith("_"))


def load(name: str) -> Plugin:
    """Loads a protocol by its name or by the path of its file.

    Raises `OptionError` when there is none, when the file does not run or breaks the rules above.
    """
    if name not in _loaded:  # an agent asks at every run, and looking at the disk is not cheap
        _loaded[name] = _find(name)
    return _loaded[name]


def _find(name: str) -> Plugin:
    if name.endswith(".py") or "/" in name:
        path = Path(name).resolve()
        if not path.is_file():
            raise OptionError(f"protocol {name!r}: no such file; give the path of a protocol")
        plugin = _inspect(path, _execute(path))
        check_types([*(load(other) for other in names() if other != plugin.name), plugin])
        return plugin
    if name not in names():
        raise OptionError(f"protocol {name!r}: not found; {near(name, names())}")
    path = FOLDER / f"{name}.py"
    return _inspect(path, _execute(path))


def check_types(plugins: Iterable[Plugin]) -> None:
    """Raises `OptionError` when two protocols use the same message TYPE."""
    owners: dict[int, str] = {}
    for plugin in plugins:
        for number in plugin.messages:
            owner = owners.setdefault(number, plugin.name)
            if owner != plugin.name:
                raise OptionError(
                    f"protocol {plugin.name!r}: TYPE {number:#04x} belongs to {owner!r}; "
                    "choose one that is free (0x80..0xff are left to protocols of your own)"
                )


def _execute(path: Path) -> ModuleType:
    """Imports a shipped protocol; runs any other file as a module of its own, on no search path."""
    module = ModuleType(f"protocol:{path}")
    module.__file__ = str(path)
    try:
        if path.parent == FOLDER:
            return import_module(f"agents.protocols.{path.stem}")
        sys.modules[module.__name__] = module  # dataclasses look their module up by name
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except Exception as error:
        sys.modules.pop(module.__name__, None)
        reason = str(error).splitlines() or [""]
        raise OptionError(
            f"protocol {path}: {type(error).__name__}: {reason[0]}; make the file importable"
        ) from error
    return module


def _inspect(path: Path, module: ModuleType) -> Plugin:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Protocol)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise OptionError(
            f"protocol {path}: {len(found)} subclasses of Protocol; define exactly one"
        )
    protocol = found[0]
    if not hasattr(protocol, "Options"):
        raise OptionError(f"protocol {path}: {protocol.__name__} has no Options; define them")
    if not is_dataclass(protocol.Options):
        raise OptionError(
            f"protocol {path}: its Options are no dataclass; put @dataclass(frozen=True) above them"
        )
    messages: dict[int, type[Message]] = {}
    for message in protocol.MESSAGES:
        number = getattr(message, "TYPE", None)
        if not isinstance(number, int) or not 1 <= number <= 0xFF or number in messages:
            raise OptionError(
                f"protocol {path}: {message.__name__}.TYPE={number!r}; "
                "choose a number of its own in 0x01..0xff"
            )
        messages[number] = message
    return Plugin(path.stem, path, protocol, messages)
