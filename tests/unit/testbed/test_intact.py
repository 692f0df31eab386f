"""A run directory of another version, damaged or hostile: one line and exit status 2."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from testbed import claims_page, experiment, plots, redraw, results, simulation
from testbed.cli import main
from testbed.intact import RunError
from testbed.progress import Progress
from testbed.tables import RunTables

SETTINGS = ("nodes=8", "protocol=push")
Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    loaded = experiment.load("latency", settings=SETTINGS, repeats=2)
    folder = tmp_path_factory.mktemp("results")
    return simulation.simulate(loaded, seed=1, folder=folder, progress=Progress())


def manifest(**changes: object) -> Damage:
    def change(run: Path) -> None:
        file = run / "manifest.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def cell(**changes: object) -> Damage:
    """Fields of the first cell; None takes one away."""

    def change(run: Path) -> None:
        file = run / "manifest.json"
        document = json.loads(file.read_text())
        first = document["experiment"]["cells"][0]
        for name, value in changes.items():
            first.pop(name)
            if value is not None:
                first[name] = value
        file.write_text(json.dumps(document))

    return change


def missing(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def replaced(name: str, content: bytes) -> Damage:
    return lambda run: (run / name).write_bytes(content)


def cut(name: str, share: float) -> Damage:
    def change(run: Path) -> None:
        data = (run / name).read_bytes()
        (run / name).write_bytes(data[: int(len(data) * share)])

    return change


def column(name: str, column: str, values: str | None) -> Damage:
    def change(run: Path) -> None:
        table = pd.read_parquet(run / name)
        table = table.drop(columns=column) if values is None else table.assign(**{column: values})
        table.to_parquet(run / name)

    return change


DAMAGES: dict[str, tuple[Damage, str]] = {
    "newer format": (manifest(format=results.FORMAT + 1), "this version reads"),
    "older format": (manifest(format=1), "this version reads"),
    "no format": (manifest(format=None), "format None"),
    "no experiment": (manifest(experiment=[]), "names no experiment"),
    "a cell of nothing": (cell(index=None), "experiment.cells[0].index is missing"),
    "a text for a number": (cell(nodes="many"), "cells[0].nodes is 'many', not a whole number"),
    "a list for settings": (cell(run=[]), "cells[0].run is [], not a JSON object"),
    "no faults": (cell(faults=7), "cells[0].faults is 7, not a JSON list"),
    "a fault of nothing": (cell(faults=[{}]), "cells[0].faults[0].kind is missing"),
    "a timeline of nothing": (manifest(timelines=[{}]), "timelines[0].runs is missing"),
    "a step at no time": (
        manifest(timelines=[{"runs": [1], "steps": [{"at_s": float("nan")}]}]),
        "timelines[0].steps[0].at_s is nan, not a number",
    ),
    "types by name": (manifest(data_types=["PushRumour"]), "not a whole number"),
    "validation of nothing": (manifest(runs=[7]), "runs are named by text"),
    "validation of a run that is gone": (manifest(runs=["/nowhere"]), "missing"),
    "garbage for JSON": (replaced("manifest.json", b"{"), "not JSON"),
    "bytes for JSON": (replaced("manifest.json", b"\xff\xfe\x00"), "not JSON"),
    "half a character": (
        replaced("manifest.json", b'{"name": "\\ud800"}'),
        "surrogates not allowed",
    ),
    "deep JSON": (replaced("manifest.json", b"[" * 100_000), "not JSON"),
    "a list for an object": (replaced("manifest.json", b"[]"), "not a JSON object"),
    "no health": (missing("health.json"), "missing"),
    "ill health": (replaced("health.json", b"{}"), "whether the run is healthy"),
    "no table": (missing("events.parquet"), "missing"),
    "empty table": (replaced("runs.parquet", b""), "not a whole Parquet file"),
    "table cut off": (cut("events.parquet", 0.6), "not a whole Parquet file"),
    "table cut off at its end": (cut("deliveries.parquet", 0.999), "not a whole Parquet file"),
    "text for a table": (replaced("hosts.parquet", b"node,name"), "not a whole Parquet file"),
    "a column less": (column("runs.parquet", "voided", None), "has no column voided"),
    "text for numbers": (column("runs.parquet", "nodes", "many"), "column nodes holds no numbers"),
    "text for truth": (column("runs.parquet", "voided", "no"), "holds no truth values"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_one_line_and_an_error_of_usage(
    name: str, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    damage, words = DAMAGES[name]
    damage(run)
    with pytest.raises(RunError, match=re.escape(words)):
        redraw.redraw(run)
    assert main(["plot", str(run)]) == 2
    out, said = capfd.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    assert said.startswith("testbed: ") and words in said


def test_a_whole_run_is_drawn(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    assert redraw.redraw(run)


def test_runs_of_a_second_directory_are_drawn_with_those_of_the_first(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(whole, run)
    shutil.copytree(whole, other)
    drawn: list[tuple[int, Path, object]] = []

    def draw(
        tables: Sequence[RunTables], folder: Path, chosen: Sequence[str], *, of: object
    ) -> dict[str, Path]:
        drawn.append((len(tables), folder, of))
        return {}

    monkeypatch.setattr(plots, "draw", draw)
    assert main(["plot", str(run), "--with", str(other)]) == 0
    assert drawn == [(2, run / "plots", None)]  # of whichever claims


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "missing"),
        (b"{", "not JSON"),
        (b'{"verdicts": 1}', "not verdicts"),
        (b'{"verdicts": [{}]}', "not verdicts"),
    ],
)
def test_verdicts_that_are_none_do_not_touch_the_page(
    content: bytes | None,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "claims.md"
    page.write_text("as it was")
    monkeypatch.setattr(claims_page, "PAGE", page)
    if content is not None:
        (tmp_path / "verdicts.json").write_bytes(content)
    assert claims_page.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert page.read_text() == "as it was"
