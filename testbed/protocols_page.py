"""Writes docs/protocols.md from the protocols themselves: docstrings, messages and options.

    python -m testbed.protocols_page

The docstring of a protocol's file ends with a paragraph of three items, `Reference:`, `Timers:` and
`Order:`; what is before them says what it models, what is decided here, and what is left out.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from agents import registry
from agents.api import Message
from agents.options import OptionInfo, describe
from agents.registry import Plugin

PAGE = Path(__file__).parents[1] / "docs" / "protocols.md"
ITEMS = ("Reference", "Timers", "Order")
PROMISES = {
    "FIFO": "multicasts of one origin in their order",
    "RELIABLE": "delivery at every node that stays up, once losses end",
}

HEAD = """# Protocols

Written by `make docs` from the files in `agents/protocols/`: what their docstrings, messages and
options say. A name is what `--protocol` takes, an option is set with
`--set protocol.NAME.OPTION=VALUE`. Byte 0 of a datagram is its type, by which routers count; *data*
carries a payload, *control* does not. Every protocol promises that nothing is delivered twice and
nothing that nobody sent; `testbed check` holds it to that, and to what else it promises. Options
that give up a promise are named in its text.
"""


def page() -> str:
    """The whole page."""
    plugins = [registry.load(name) for name in registry.names()]
    lines = [HEAD, "| protocol | messages | promises |", "|---|---|---|"]
    for plugin in plugins:
        kinds = ", ".join(f"{number:#04x}" for number in sorted(plugin.messages))
        promised = [name for name in PROMISES if getattr(plugin.protocol, name)]
        lines.append(f"| [{plugin.name}](#{plugin.name}) | {kinds} | {', '.join(promised)} |")
    return "\n".join([*lines, "", *map(_section, plugins)])


def items(docstring: str) -> dict[str, str]:
    """The items that a protocol's docstring ends with, by name."""
    last = docstring.rstrip().rpartition("\n\n")[2]
    found = re.split(rf"^({'|'.join(ITEMS)}): ", last, flags=re.MULTILINE)[1:]
    pairs = zip(found[::2], found[1::2], strict=True)
    return {name: " ".join(text.split()) for name, text in pairs}


def _section(plugin: Plugin) -> str:
    docstring = inspect.getdoc(inspect.getmodule(plugin.protocol)) or ""
    title, _, rest = docstring.rpartition("\n\n")[0].partition("\n\n")
    found = items(docstring)
    promised = [text for name, text in PROMISES.items() if getattr(plugin.protocol, name)]
    lines = [
        f"## {plugin.name}\n",
        f"{title}\n",
        f"{rest}\n",
        *(f"- *{name}:* {found.get(name, '')}" for name in ITEMS),
        f"- *Promises:* {'; '.join(promised) or 'nothing more than every protocol'}.",
        *(["- *Network:* uses multicast groups."] if plugin.protocol.GROUPS else []),
        "\n| type | message | | |",
        "|---|---|---|---|",
        *(_message(plugin.messages[number]) for number in sorted(plugin.messages)),
    ]
    infos = describe(plugin.protocol.Options)
    if infos:
        lines += ["\n| option | default | domain | |", "|---|---|---|---|", *map(_option, infos)]
    return "\n".join([*lines, ""])


def _message(kind: type[Message]) -> str:
    about = " ".join((inspect.getdoc(kind) or "").split())
    sort = "data" if kind.DATA else "control"
    return f"| {kind.TYPE:#04x} | `{kind.__name__}` | {sort} | {_cell(about)} |"


def _option(info: OptionInfo) -> str:
    default = str(info.default).lower() if info.kind is bool else f"{info.default}"
    domain = f"{info.domain} {info.unit}".rstrip()
    return f"| `{info.name}` | {default} | {_cell(domain)} | {_cell(info.help)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Writes the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
