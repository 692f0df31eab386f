"""Who may import whom, and what no file may hold. Each rule is shown to fail on a bad example."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.checking import purity
from topologies import catalog

ROOT = Path(__file__).parents[2]
PACKAGES = ("agents", "testbed", "topologies")
LONGEST = 400  # lines

Files = dict[str, str]
"""Text by path relative to the root, so that a rule can be given a small bad project."""

PURE_AGENTS = {*purity.AGENTS, "seeds", "timing"}

KNOWS_MININET = re.compile(r"topologies/mn\.py|testbed/(network|shaping)/.*\.py|testbed/shell\.py")
PURE_FOLDERS = re.compile(r"testbed/(measures|metrics|theory|claims|plots)/.*\.py")
STARTS_THINGS = {
    *("asyncio", "concurrent", "ctypes", "mininet", "multiprocessing", "os", "pty", "signal"),
    *("socket", "subprocess", "threading"),
}
HOME = re.compile(r"(?<![\w.~$}{-])/(home|root|work|Users|mnt|opt|srv)/")
DOWNLOAD = re.compile(r"https?://[^\s\"')]*(pypi|pythonhosted|debian\.org|ubuntu\.com|/simple)")


def imports(source: str, *, but_main: bool = False) -> Iterator[str]:
    """Dotted names that a file imports, at any depth: `from a import b` is `a.b`."""
    for node in _nodes(ast.parse(source), but_main):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _nodes(tree: ast.AST, but_main: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if but_main and isinstance(child, ast.If) and "__main__" in ast.unparse(child.test):
            continue
        yield child
        yield from _nodes(child, but_main)


def python(files: Files, pattern: str) -> dict[str, str]:
    return {path: text for path, text in files.items() if re.fullmatch(pattern, path)}


def top(name: str) -> str:
    return name.partition(".")[0]


def agents_stand_alone(files: Files) -> list[str]:
    """`agents` can be copied anywhere: the standard library and itself, nothing else."""
    allowed = {*sys.stdlib_module_names, "agents"}
    return [
        f"{path} imports {name}"
        for path, text in python(files, r"agents/.*\.py").items()
        for name in imports(text)
        if top(name) not in allowed
    ]


def protocols_are_pure(files: Files) -> list[str]:
    """A protocol decides and never acts: no clock, no socket, no randomness of its own."""
    pure = "|".join(PURE_AGENTS)
    return [
        f"{path} {impurity}"
        for path, text in python(files, rf"agents/((protocols|parts)/.*|{pure})\.py").items()
        for impurity in purity.impurities(
            text, PURE_AGENTS if path.count("/") == 1 else purity.AGENTS
        )
    ]


def topologies_are_data(files: Files) -> list[str]:
    """A topology uses `topologies.graph` only; its `__main__` block hands over to the harness."""
    found = []
    for path, text in python(files, r"topologies/.*\.py").items():
        part = Path(path).stem in catalog.PARTS
        for name in imports(text, but_main=True):
            if top(name) == "topologies":
                allowed = part or name.startswith("topologies.graph")
            elif top(name) == "mininet":
                allowed = path == "topologies/mn.py"
            else:
                allowed = top(name) in sys.stdlib_module_names
            if not allowed:
                found.append(f"{path} imports {name}")
    return found


def judging_starts_nothing(files: Files) -> list[str]:
    """Metrics, theory, claims and plots are functions of tables, whatever they import."""
    found = []
    for start in files:
        if not PURE_FOLDERS.fullmatch(start):
            continue
        seen, todo = {start}, [start]
        while todo:
            path = todo.pop()
            for name in imports(files[path]):
                if top(name) in STARTS_THINGS:
                    found.append(f"{start} reaches {name} through {path}")
                new = _file_of(name, files)
                if new and new not in seen:
                    seen.add(new)
                    todo.append(new)
    return found


def measuring_does_not_judge(files: Files) -> list[str]:
    """What is measured is the same whoever judges it: claims need metrics, never the reverse."""
    return [
        f"{path} imports {name}"
        for path, text in python(files, r"testbed/(measures|metrics)/.*\.py").items()
        for name in imports(text)
        if name.startswith(("testbed.judging", "testbed.claims"))
    ]


def _file_of(name: str, files: Files) -> str | None:
    path = name.replace(".", "/")
    above = path.rpartition("/")[0]
    candidates = (f"{path}.py", f"{path}/__init__.py", f"{above}.py", f"{above}/__init__.py")
    return next((candidate for candidate in candidates if candidate in files), None)


def few_know_mininet(files: Files) -> list[str]:
    return [
        f"{path} imports {name}"
        for path, text in python(files, r"(agents|testbed|topologies)/.*\.py").items()
        for name in imports(text)
        if top(name) == "mininet" and not KNOWS_MININET.fullmatch(path)
    ]


def nothing_imports_the_command_line(files: Files) -> list[str]:
    return [
        f"{path} imports {name}"
        for path, text in python(files, r"(agents|testbed|topologies)/.*\.py").items()
        for name in imports(text)
        if name.startswith("testbed.cli") and path != "testbed/__main__.py"
    ]


def files_are_short(files: Files) -> list[str]:
    return [
        f"{path} has {text.count(chr(10))} lines"
        for path, text in python(files, r".*\.py").items()
        if text.count("\n") > LONGEST
    ]


def nothing_names_a_machine(files: Files) -> list[str]:
    """No download addresses and no folders of somebody's machine."""
    return [
        f"{path}: {match.group()}"
        for path, text in files.items()
        if path != "tests/unit/test_architecture.py"
        for pattern in (HOME, DOWNLOAD)
        for match in pattern.finditer(text)
    ]


@pytest.fixture(scope="module")
def project() -> Files:
    folders = (*PACKAGES, "tests", "benchmarks", "docs", ".ci")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    paths += [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    texts = {}
    for path in sorted(paths):
        if "__pycache__" not in path.parts and path.suffix not in (".pyc", ".png", ".svg"):
            texts[path.relative_to(ROOT).as_posix()] = path.read_text(errors="replace")
    return texts


Rule = Callable[[Files], list[str]]

BAD: list[tuple[Rule, Files]] = [
    (agents_stand_alone, {"agents/x.py": "import numpy"}),
    (agents_stand_alone, {"agents/x.py": "def f():\n    from testbed import lab"}),
    (agents_stand_alone, {"agents/protocols/x.py": "import topologies.graph"}),
    (protocols_are_pure, {"agents/protocols/x.py": "import socket"}),
    (protocols_are_pure, {"agents/protocols/x.py": "from time import monotonic"}),
    (protocols_are_pure, {"agents/protocols/x.py": "import asyncio, os, threading"}),
    (protocols_are_pure, {"agents/protocols/x.py": "import random"}),
    (protocols_are_pure, {"agents/protocols/x.py": "from random import choice"}),
    (protocols_are_pure, {"agents/protocols/x.py": "from agents import runner"}),
    (protocols_are_pure, {"agents/protocols/x.py": "from agents.protocols.push import Push"}),
    (protocols_are_pure, {"agents/protocols/x.py": "open('/etc/hosts')"}),
    (protocols_are_pure, {"agents/parts/targets.py": "from agents.runner import Runner"}),
    (topologies_are_data, {"topologies/x.py": "from testbed.network import Network"}),
    (topologies_are_data, {"topologies/x.py": "from topologies.layout import lay_out"}),
    (topologies_are_data, {"topologies/graph.py": "import mininet.topo"}),
    (topologies_are_data, {"topologies/mn.py": "import numpy"}),
    (judging_starts_nothing, {"testbed/claims/x.py": "import subprocess"}),
    (
        judging_starts_nothing,
        {"testbed/metrics/x.py": "from testbed import y", "testbed/y.py": "import socket"},
    ),
    (measuring_does_not_judge, {"testbed/metrics/x.py": "from testbed.judging import stats"}),
    (measuring_does_not_judge, {"testbed/measures/x.py": "import testbed.claims.load"}),
    (few_know_mininet, {"testbed/counters.py": "from mininet.net import Mininet"}),
    (nothing_imports_the_command_line, {"testbed/lab.py": "from testbed import cli"}),
    (files_are_short, {"testbed/x.py": "x = 1\n" * (LONGEST + 1)}),
    (nothing_names_a_machine, {"docs/x.md": "see /home/me/notes"}),
    (nothing_names_a_machine, {"requirements.lock": "--index-url https://example.org/simple"}),
]
RULES = list(dict.fromkeys(rule for rule, _ in BAD))


@pytest.mark.parametrize("rule", RULES)
def test_the_project_keeps_the_rule(rule: Rule, project: Files) -> None:
    assert rule(project) == []


@pytest.mark.parametrize(("rule", "files"), BAD)
def test_a_bad_example_breaks_the_rule(rule: Rule, files: Files) -> None:
    assert rule(files)


def test_the_main_block_of_a_topology_may_use_the_harness() -> None:
    source = "import math\nif __name__ == '__main__':\n    from testbed import shell"
    assert topologies_are_data({"topologies/x.py": source}) == []


def test_every_package_is_looked_at(project: Files) -> None:
    for package in PACKAGES:
        assert python(project, rf"{package}/.*\.py")
