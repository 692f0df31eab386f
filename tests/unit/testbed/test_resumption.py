"""An interrupted validation goes on where it was, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed import claims, emulation, health, metadata, results, resumption, simulation
from testbed.errors import UsageError
from testbed.experiment import Experiment
from testbed.judging.verdict import VERIFIED
from testbed.outcome import Outcome
from testbed.progress import Progress
from testbed.validate import validate

SETTINGS = ("nodes=8,16", "repeats=2", "rounds=2")
CLAIMS = ("C1", "C11")  # latency, then core_load


def judged(folder: Path, seed: int | None = None, *, resume: bool = False) -> Outcome:
    return validate(
        CLAIMS, folder=folder, progress=Progress(), settings=SETTINGS, seed=seed, resume=resume
    )


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The experiments run so far; each is simulated in place of an emulation."""
    names: list[str] = []

    def emulate(experiment: Experiment, **more: Any) -> Path:
        names.append(experiment.name)
        return simulation.simulate(experiment, **more)

    monkeypatch.setattr(emulation, "emulate", emulate)
    return names


@pytest.fixture
def interrupted(tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a validation with seed 5 got as far as its first experiment."""
    emulate: Callable[..., Path] = emulation.emulate

    def stopped(experiment: Experiment, **more: Any) -> Path:
        if ran:
            raise KeyboardInterrupt
        return emulate(experiment, **more)

    with monkeypatch.context() as patch:
        patch.setattr(emulation, "emulate", stopped)
        with pytest.raises(KeyboardInterrupt):
            judged(tmp_path, seed=5)
    assert ran == ["latency"]
    return tmp_path


def test_what_is_whole_is_not_run_again(interrupted: Path, ran: list[str]) -> None:
    outcome = judged(interrupted, resume=True)
    assert ran == ["latency", "core_load"]
    assert outcome.seed == 5
    assert not list(interrupted.glob("validation/unfinished*"))


def test_a_resumed_validation_has_the_numbers_of_one_in_one_go(
    interrupted: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    resumed = judged(interrupted, resume=True)
    whole = judged(tmp_path_factory.mktemp("whole"), seed=5)
    assert [row.row() for row in resumed.verdicts] == [row.row() for row in whole.verdicts]


def test_a_run_directory_that_is_gone_is_made_again(interrupted: Path, ran: list[str]) -> None:
    (run,) = interrupted.glob("latency/2*")
    run.rename(interrupted / "elsewhere")
    judged(interrupted, resume=True)
    assert ran == ["latency", "latency", "core_load"]


@pytest.mark.parametrize("what", ["code", "format", "kernel", "settings"])
def test_nothing_else_may_go_on(
    interrupted: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = resumption.request_of
    monkeypatch.setattr(
        resumption, "request_of", lambda *given: {**real(*given), what: "another one"}
    )
    with pytest.raises(UsageError, match=rf"another {what}; .* without --resume"):
        judged(interrupted, resume=True)


def test_another_seed_is_another_validation(interrupted: Path) -> None:
    with pytest.raises(UsageError, match="another seed 5"):
        judged(interrupted, seed=6, resume=True)


def test_with_nothing_unfinished_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is unfinished"):
        judged(tmp_path, resume=True)


def test_one_that_still_runs_is_left_alone(tmp_path: Path) -> None:
    with resumption.begin(tmp_path, {}, 1) as ledger:
        ledger.add("latency", tmp_path)
        with pytest.raises(UsageError, match="nothing is unfinished"):
            resumption.resume(tmp_path, {}, None)
    with resumption.resume(tmp_path, {}, None) as found:
        assert found.seed == 1


def test_a_line_that_was_cut_short_is_passed_over(interrupted: Path) -> None:
    (path,) = interrupted.glob("validation/unfinished*")
    before = path.read_text()
    with path.open("a") as file:
        file.write('{"experiment": "core_l')
    with resumption.resume(interrupted, json.loads(before.splitlines()[0]), None) as ledger:
        assert list(ledger.whole) == ["latency"]
    assert path.read_text() == before


def test_a_changed_file_is_other_code(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("one")
    before = metadata.code([mine])
    assert metadata.code([mine]) == before
    mine.write_text("two")
    assert metadata.code([mine]) != before


def test_the_ledger_is_lines_of_json(interrupted: Path) -> None:
    (path,) = interrupted.glob("validation/unfinished*")
    header, line = map(json.loads, path.read_text().splitlines())
    assert header["claims"] == list(CLAIMS)
    assert line["experiment"] == "latency"


@pytest.fixture
def spoilt(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is busy with something else whenever core_load is run."""
    monkeypatch.setattr(health, "spoilt", lambda *_: ran[-1] == "core_load")


@pytest.mark.usefixtures("spoilt")
def test_what_a_busy_machine_spoilt_is_run_twice_and_said_to_be(
    tmp_path: Path, ran: list[str]
) -> None:
    outcome = judged(tmp_path, seed=5)
    assert ran == ["latency", "core_load", "core_load"]
    manifest = json.loads((outcome.run_dir / "manifest.json").read_text())
    first, second = sorted(tmp_path.glob("core_load/2*"))
    assert manifest["spoilt"] == {"core_load": str(first)}
    assert str(second) in manifest["runs"] and str(first) not in manifest["runs"]
    assert results.load(first).manifest["seed"] != results.load(second).manifest["seed"]
    said = f"core_load was run twice, since the machine was too busy the first time: {first}"
    assert said in outcome.notes[0]


@pytest.mark.usefixtures("spoilt")
def test_a_resumed_validation_says_what_was_run_twice_before(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(claims, "settle", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            judged(tmp_path, seed=5)
    outcome = judged(tmp_path, seed=5, resume=True)
    assert ran == ["latency", "core_load", "core_load"]
    assert outcome.notes[0].startswith("core_load was run twice")


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_full_validation_ends_when_its_family_is_decided(tmp_path: Path, ran: list[str]) -> None:
    """The first of three looks has 75 rounds a size, which are enough for O(N)."""
    settings = ("protocol=push", "nodes=16,32,64,128,256", "rounds=250")
    outcome = validate(
        ["C11"], folder=tmp_path, progress=Progress(), variant="full", settings=settings, seed=1
    )
    assert ran == ["core_load"]
    assert {row.verdict for row in outcome.verdicts} == {VERIFIED}
    manifest = json.loads((outcome.run_dir / "manifest.json").read_text())
    assert list(manifest["alphas"].values()) == [pytest.approx(0.05 * 0.3**3)]


def test_a_family_that_is_not_decided_has_all_its_looks(tmp_path: Path, ran: list[str]) -> None:
    settings = ("protocol=push", "nodes=16", "rounds=9")  # one size decides nothing
    outcome = validate(
        ["C11"], folder=tmp_path, progress=Progress(), variant="full", settings=settings, seed=1
    )
    assert ran == ["core_load"] * 3
    runs = [results.load(path) for path in sorted(tmp_path.glob("core_load/2*"))]
    assert (
        len({seed for tables in runs for seed in tables.runs["seed"]}) == outcome.verdicts[0].runs
    )
