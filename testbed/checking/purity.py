"""What a protocol's file may use: numbers, state, and the time and randomness handed to it.

A protocol that reads a clock, a socket, a file or the global random source behaves differently in
the simulator and on hosts, and no run of it repeats. Found in its text, without running it; what
it reaches through `getattr` or a library of its own stays unseen.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

STDLIB = {
    *("__future__", "abc", "array", "bisect", "collections", "dataclasses", "difflib", "enum"),
    *("fractions", "functools", "heapq", "itertools", "math", "operator", "random", "statistics"),
    *("struct", "types", "typing", "zlib"),
}
AGENTS = {"api", "options", "parts", "wire"}
"""Modules of `agents` that decide and never act."""
CALLS = {"__import__", "eval", "exec", "hash", "id", "input", "open", "print"}


def impurities(source: str, agents: Collection[str] = AGENTS) -> list[str]:
    """Each use of something else, with its line."""
    tree = ast.parse(source)
    found = [
        f"line {line}: imports {name}" for line, name in imports(tree) if not _pure(name, agents)
    ]
    found += [
        f"line {node.lineno}: calls {node.func.id}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS
    ]
    return found


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines and dotted names of what is imported at any depth: `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (f"{node.module}." if node.module else "")
            yield from ((node.lineno, base + alias.name) for alias in node.names)


def _pure(name: str, agents: Collection[str]) -> bool:
    top, second, *_ = [*name.split("."), ""]
    if top == "agents":
        return second in agents
    # `import random` gives the global source; a `Random` that is handed over may be named.
    return top in STDLIB and (top != "random" or second == "Random")
