from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from topologies import script
from topologies.elements import GraphError


def test_options_are_those_of_the_build() -> None:
    graph, commands = script.read(
        "star", ["--hosts", "12", "--subnets=3", "--link-loss-ratio", "0.5", "-c", "pingall"]
    )
    assert (graph.nodes, len(graph.subnets)) == (12, 3)
    assert graph.links[0].down.loss_ratio == 0.5
    assert commands == ["pingall"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hostz", "4"], r"unknown argument '--hostz'; did you mean --hosts"),
        (["--host", "4"], "unknown argument '--host'"),
        (["8"], "unknown argument '8'; there are --"),
        (["--hosts"], "argument --hosts: expected one argument; --help lists"),
        (["--hosts", "many"], "hosts = 'many': give a whole number"),
        (["--loss-ratio", "nan"], "loss_ratio = nan: give a number"),
        (["--hosts", "1"], "hosts = 1: give"),
    ],
)
def test_wrong_arguments_are_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GraphError, match=message):
        script.read("two_subnets", arguments)
    with pytest.raises(SystemExit) as left:
        script.ready("anywhere/two_subnets.py", arguments)
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("two_subnets: ") and err.count("\n") == 1


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What `ready` starts instead of itself; the script runs outside the environment `tmp_path`."""
    seen: list[Any] = []
    monkeypatch.setattr(script, "VENV", tmp_path)
    monkeypatch.setattr(os, "execv", lambda *arguments: seen.append(arguments))
    monkeypatch.setattr(sys, "argv", ["two_subnets.py", "--hosts", "4"])
    return seen


def python_in(folder: Path) -> Path:
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.symlink_to(sys.executable)
    return python


def test_the_script_starts_again_in_the_environment(started: list[Any], tmp_path: Path) -> None:
    python = python_in(tmp_path)
    script.ready("/somewhere/two_subnets.py")
    assert started == [(python, [str(python), "/somewhere/two_subnets.py", "--hosts", "4"])]


def test_the_script_stays_where_it_is_inside_the_environment(
    started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python_in(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    graph, commands = script.ready("two_subnets.py")
    assert (graph.nodes, commands, started) == (4, [], [])


def test_an_environment_behind_a_symbolic_link_is_entered_once(
    started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / "bin").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(script, "VENV", tmp_path / "link")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "real"))
    script.ready("two_subnets.py")
    assert started == []


def test_an_environment_whose_python_says_it_is_elsewhere_is_entered_once(
    started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(python_in(tmp_path)))
    script.ready("two_subnets.py")
    assert started == []


def test_without_an_environment_the_remedy_is_make_setup(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as left:
        script.ready("two_subnets.py")
    assert left.value.code == 1
    assert "has no mininet and there is no" in (said := capsys.readouterr().err)
    assert said.endswith("; run `make setup`\n")
