"""docs/protocols.md says what the protocols say of themselves."""

from __future__ import annotations

import inspect

import pytest

from agents import registry
from agents.options import describe
from testbed import protocols_page


def test_the_page_is_what_the_protocols_say() -> None:
    written = protocols_page.PAGE.read_text(encoding="utf-8")
    assert written == protocols_page.page(), "run `make docs`"


@pytest.mark.parametrize("name", registry.names())
def test_a_docstring_ends_with_reference_timers_and_order(name: str) -> None:
    docstring = inspect.getdoc(inspect.getmodule(registry.load(name).protocol)) or ""
    found = protocols_page.items(docstring)
    assert tuple(found) == protocols_page.ITEMS
    assert all(found.values())


def test_every_message_and_option_is_on_the_page() -> None:
    page = protocols_page.page()
    for plugin in map(registry.load, registry.names()):
        section = page.partition(f"\n## {plugin.name}\n")[2].partition("\n## ")[0]
        for kind in plugin.messages.values():
            assert f"`{kind.__name__}` | {'data' if kind.DATA else 'control'} |" in section
        for info in describe(plugin.protocol.Options):
            assert f"| `{info.name}` |" in section and info.help.replace("|", "\\|") in section
