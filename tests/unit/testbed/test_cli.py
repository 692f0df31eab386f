"""Arguments, exit codes, and what goes to which stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed import claims, cli, commands, lab, listing, simulation
from testbed.cli import main
from testbed.commands import simulate
from testbed.commands.validate import exit_code
from testbed.errors import LabError, UsageError


@dataclass
class Row:
    verdict: str
    expected: str = "supported"


@pytest.fixture
def no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every attempt to enter a lab a failure of the test."""

    def refuse(*_: object, **__: object) -> int:
        raise AssertionError("a lab was entered before the arguments were checked")

    monkeypatch.setattr(lab, "run", refuse)
    monkeypatch.setattr(lab, "problem", refuse)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that exits with 2."""
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("testbed: ")
    assert streams.err.count("\n") == 1
    return streams.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vaildate"], ["unknown command vaildate", "did you mean validate"]),
        (["list", "protocol"], ["unknown kind protocol", "did you mean protocols?"]),
        (["list"], ["Missing argument", "protocols"]),
        (["run", "--frobnicate"], ["--frobnicate"]),
        (["run", "latency", "--quick", "--full"], ["--quick --full", "take one"]),
        (["run", "latency", "--set", "protocol=3"], ["protocol=3", "choose a text"]),
        (["run", "latency", "--set", "topology=true"], ["topology=True", "choose a text"]),
        (["validate", "C99"], ["unknown claim C99", "did you mean C9", "C1, C2, C3"]),
        (["run", "latency", "--seed", "-1"], ["--seed", "-1"]),
        (["run", "latency", "--repeats", "x"], ["--repeats", "x"]),
        (["run", "latensy"], ["unknown experiment latensy", "did you mean latency?"]),
        (["run", "latency", "--set", "nodes"], ["--set nodes", "key=value"]),
        (["run", "latency", "--results", "/proc/nowhere"], ["/proc/nowhere", "--results"]),
        (["simulate", "latensy"], ["unknown experiment latensy", "did you mean latency?"]),
        (["simulate", "latency", "--engine", "evnt"], ["'evnt'", "'event', 'rounds', 'counts'"]),
        (["validate", "C1l"], ["unknown claim C1l", "did you mean"]),
        (["validate", "--results", "/proc/nowhere"], ["/proc/nowhere", "--results"]),
        (["validate", "--replace", "push"], ["--replace push", "OLD=NEW"]),
    ],
)
@pytest.mark.usefixtures("no_lab")
def test_a_wrong_argument_is_one_line_and_exits_with_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    line = complaint(capsys, *arguments)
    for word in words:
        assert word in line


def test_the_engines_of_the_command_are_those_of_the_simulation() -> None:
    assert simulate.ENGINES == simulation.ENGINES


def test_without_a_command_the_help_is_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("Usage: testbed [OPTIONS] COMMAND [ARGS]...\n\n")


@pytest.mark.parametrize("kind", cli.KINDS)
def test_list_prints_one_json_document_and_nothing_else(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", kind, "--json"]) == 0
    streams = capsys.readouterr()
    document = json.loads(streams.out)
    assert streams.err == ""
    assert document["kind"] == kind
    assert all(entry["name"] and entry["about"] for entry in document["entries"])


def test_list_shows_options_with_their_domains(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "protocols"]) == 0
    shown = capsys.readouterr().out
    assert "fan_out = 2" in shown
    assert "1.." in shown


def test_claims_may_be_typed_in_lower_case() -> None:
    first = listing.entries("claims")[0]
    assert listing.check_claims([first["id"].lower()]) == (first["id"],)
    assert listing.check_claims([first["name"]]) == (first["id"],)


def test_a_claim_is_listed_as_it_registers_itself() -> None:
    listed = {entry["name"]: entry["id"] for entry in listing.entries("claims")}
    assert listed == {name: claims.load(name).CLAIM.id for name in claims.names()}


def test_no_claim_named_means_all_of_them() -> None:
    assert list(listing.check_claims([])) == [each["id"] for each in listing.entries("claims")]


def test_a_check_of_the_testbed_has_to_be_named_in_a_short_validation() -> None:
    claims = listing.check_claims([], checks=False)
    assert "C1" in claims and "twins" not in claims
    assert listing.check_claims(["twins"], checks=False) == ("twins",)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], 0),
        (["supported", "supported"], 0),
        (["supported", "refuted"], 3),
        (["supported", "inconclusive"], 4),
        (["inconclusive", "refuted", "supported"], 3),
        (["refuted", "inconclusive"], 3),
        (["supported", "verified (model)", "not run"], 0),
        (["not run", "not run"], 4),
        (["not run", "refuted"], 3),
    ],
)
def test_exit_code_of_verdicts(verdicts: list[str], expected: int) -> None:
    assert exit_code([Row(verdict) for verdict in verdicts], registered=False) == expected


@pytest.mark.parametrize(
    ("verdict", "expected", "code"),
    [
        ("refuted", "refuted", 0),
        ("supported", "refuted", 3),
        ("refuted", "supported", 3),
        ("inconclusive", "refuted", 4),
        ("verified (model)", "supported", 0),
        ("verified (model)", "refuted", 3),
        ("not run", "supported", 4),
    ],
)
def test_exit_code_against_what_was_registered(verdict: str, expected: str, code: int) -> None:
    assert exit_code([Row(verdict, expected)], registered=True) == code


@pytest.mark.parametrize(
    ("error", "status"),
    [(UsageError("no"), 2), (LabError("no"), 1), (KeyboardInterrupt(), 130)],
)
def test_an_error_for_the_user_has_no_traceback(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    assert commands.worded(fail) == status
    assert capsys.readouterr().err.count("\n") == 1


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys; from testbed.cli import main; main(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('pandas', 'numpy', 'mininet', 'rich')))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "validate" in done.stdout


def test_the_programs_of_the_super_user_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    main(["--help"])
    assert "/usr/sbin" in os.environ["PATH"].split(":")
