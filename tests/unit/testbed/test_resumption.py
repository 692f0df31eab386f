"""An interrupted validation goes on where it was, or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed import claims, emulation, health, metadata, plans, results, resumption, simulation
from testbed.disk import ResultsError
from testbed.errors import UsageError
from testbed.experiment import Experiment
from testbed.intact import RunError
from testbed.judging.verdict import VERIFIED
from testbed.outcome import Outcome
from testbed.progress import Progress
from testbed.validate import Work, validate
from tests.crashes import states

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


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("code", "code"),
        ("format", "format"),
        ("kernel", "kernel"),
        ("settings", "--set"),
        ("stand_ins", "--replace"),
    ],
)
def test_nothing_else_may_go_on(
    interrupted: Path, what: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = resumption.request_of
    monkeypatch.setattr(
        resumption, "request_of", lambda *given: {**real(*given), what: "another one"}
    )
    with pytest.raises(UsageError, match=rf"another {word}; .* without --resume"):
        judged(interrupted, resume=True)


def test_another_seed_is_another_validation(interrupted: Path) -> None:
    with pytest.raises(UsageError, match="another seed 5"):
        judged(interrupted, seed=6, resume=True)


def test_with_nothing_unfinished_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is unfinished"):
        judged(tmp_path, resume=True)


def test_one_that_still_runs_is_left_alone(tmp_path: Path) -> None:
    with resumption.begin(tmp_path, {}, 1) as ledger:
        ledger.add("latency", whole(tmp_path))
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


def test_a_validation_that_is_at_work_is_not_begun_again(tmp_path: Path) -> None:
    with resumption.begin(tmp_path, {}, 1) as ledger:
        ledger.add("latency", whole(tmp_path))
        (path,) = tmp_path.glob("validation/*")
        before = path.read_text()
        with pytest.raises(UsageError, match=rf"--seed 1: the same .* at work in {tmp_path}; wait"):
            resumption.begin(tmp_path, {}, 1)
        assert path.read_text() == before
        for other in (resumption.begin(tmp_path, {}, 2), resumption.begin(tmp_path, {"a": 1}, 1)):
            other.__exit__()
    with resumption.resume(tmp_path, {}, None) as found:
        assert list(found.whole) == ["latency"]


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (1, "{"),
        (1, "[]"),
        (1, '{"seed": "1"}'),
        (2, "\0\0"),
        (2, '{"experiment": "latency"}'),
        (2, '{"experiment": ["latency"], "run_dir": "/"}'),
        (2, '{"experiment": "latency", "run_dir": "/", "spoilt": 1}'),
        (3, "9" * 5000),
    ],
)
def test_a_damaged_line_is_named_and_stops_no_other_validation(
    tmp_path: Path, place: int, line: str
) -> None:
    with resumption.begin(tmp_path, {}, 1) as ledger:
        ledger.add("latency", whole(tmp_path))
    (path,) = tmp_path.glob("validation/*")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[: place - 1], line, *lines[place:]]) + "\n")
    with pytest.raises(
        RunError, match=rf"{path.name}: line {place} is damaged; restore it, or rem"
    ):
        resumption.resume(tmp_path, {}, None)
    with resumption.begin(tmp_path, {}, 2) as ledger:
        ledger.add("latency", whole(tmp_path))
    assert path.exists()
    with resumption.resume(tmp_path, {}, None) as found:
        assert found.seed == 2


def test_a_full_disk_is_said_and_more_room_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with resumption.begin(tmp_path, {}, 1) as ledger:
        ledger.add("latency", whole(tmp_path))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(ResultsError, match=r"unfinished-1-.*: No space left .*; make room"):
                ledger.add("core_load", whole(tmp_path))
    with resumption.resume(tmp_path, {}, 1) as found:
        assert "latency" in found.whole


def whole(folder: Path) -> Path:
    """A folder that a ledger takes for a whole run."""
    (folder / "manifest.json").touch()
    return folder


def test_wherever_a_validation_is_killed_it_redoes_what_was_under_way_and_no_more(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each operation on a file, and gone on with from what is there then."""
    monkeypatch.setattr(
        metadata, "_run", lambda _: ""
    )  # asks other programs, which take their time
    plan = plans.make(CLAIMS, "quick", (*SETTINGS, "nodes=4", "repeats=1", "rounds=1"), {})
    names = [step.name for step in plan.steps]
    folder = tmp_path / "results"

    def carried_out(ledger: resumption.Ledger, folder: Path) -> dict[str, Path]:
        with ledger:
            Work(plan, ledger, folder, Progress()).carry_out(plan.steps)
            ledger.finish()
        return ledger.whole

    killed = states(
        folder,
        tmp_path / "killed",
        lambda: carried_out(resumption.begin(folder, plan.request, 1), folder),
    )
    lines = [_lines(state) for state in killed]
    assert {len(each) for each in lines} == {0, 1, 2}, "killed before, between and after"
    for state, (before, said) in zip(
        killed, zip([[], *lines[:-1]], lines, strict=True), strict=True
    ):
        ran.clear()
        shutil.rmtree(folder)
        state.rename(folder)  # the ledger names whole runs by their places
        try:
            ledger = resumption.resume(folder, plan.request, None)
        except UsageError as error:
            assert "nothing is unfinished" in str(error)
            assert not said or len(before) == len(names)
            continue
        assert list(carried_out(ledger, folder)) == names
        assert ran == names[len(said) :], "what is in the ledger is not done again"
        assert not list(folder.glob("validation/*.jsonl"))


def test_a_kill_while_a_validation_goes_on_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    with resumption.begin(folder, {}, 1) as ledger:
        ledger.add("latency", whole(folder))
    (path,) = folder.glob("validation/*")
    with path.open("a") as file:
        file.write('{"experiment": "core_l')

    def gone_on() -> None:
        with resumption.resume(folder, {}, None) as ledger:
            ledger.add("core_load", folder)

    killed = [_lines(state) for state in states(folder, tmp_path / "killed", gone_on)]
    assert killed[0] == ["latency"] and killed[-1] == ["latency", "core_load"]
    assert all(names[:1] == ["latency"] for names in killed)


def _lines(state: Path) -> list[str]:
    """The experiments that the ledger of a state has."""
    texts = [path.read_bytes() for path in state.glob("validation/unfinished*")]
    return [json.loads(line)["experiment"] for text in texts for line in text.split(b"\n")[1:-1]]


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
