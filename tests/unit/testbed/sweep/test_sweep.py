"""Sweeps in virtual time: each trial once, whatever happens; the same answers again."""

from __future__ import annotations

import json
import os
import platform
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed import health, metadata, results, simulation, sweep
from testbed.disk import PARTIAL, ResultsError
from testbed.errors import TestbedError, UsageError
from testbed.progress import Progress
from testbed.shaping import pick
from testbed.sweep import Sweep
from testbed.sweep import plan as plans
from testbed.sweep.plan import Plan, Trial
from testbed.workers import Answer

OVER = ("fan_out=1,2", "loss_ratio=0,0.3")


def planned(*over: str, **changes: Any) -> Plan:
    chosen: dict[str, Any] = {"settings": ("nodes=8", "protocol=push"), "repeats": 2}
    chosen |= {"simulated": True, **changes}
    return sweep.prepare("latency", over or OVER, **chosen)


def swept(folder: Path, plan: Plan | None = None, workers: int = 1) -> Sweep:
    return sweep.run(plan or planned(), folder=folder, progress=Progress(), workers=workers)


def without_places(found: Sweep) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "run_dir"} for row in found.rows]


def test_each_trial_is_a_run_directory_and_a_row(tmp_path: Path) -> None:
    found = swept(tmp_path)
    assert [(row["fan_out"], row["loss_ratio"]) for row in found.rows] == [
        (1, 0),
        (1, 0.3),
        (2, 0),
        (2, 0.3),
    ]
    for row in found.rows:
        tables = results.load(found.folder / row["run_dir"])
        assert tables.manifest["seed"] == row["seed"]
        assert set(tables.runs["loss_ratio"]) == {row["loss_ratio"]}
        assert row["runs"] == len(tables.runs) == 2
    table = pd.read_parquet(found.folder / "trials.parquet")
    assert table["rounds_to_all_mean"].tolist() == [
        row["rounds_to_all"]["mean"] for row in found.rows
    ]
    assert len(pd.read_csv(found.folder / "trials.csv")) == 4


def test_the_order_is_shuffled_and_the_answers_do_not_depend_on_it(tmp_path: Path) -> None:
    plan = planned("fan_out=1,2,3,4", "loss_ratio=0,0.1,0.2")
    assert [trial.index for trial in plan.trials] != list(range(12))
    assert sorted(trial.index for trial in plan.trials) == list(range(12))
    one, two = swept(tmp_path / "1"), swept(tmp_path / "2", workers=2)
    assert without_places(one) == without_places(two)


def test_what_is_whole_is_not_done_again(tmp_path: Path) -> None:
    first = swept(tmp_path)
    gone = first.folder / first.rows[2]["run_dir"]
    results.discard(gone)
    (first.folder / "latency" / f"{PARTIAL}left").mkdir()
    (first.folder / "trials.parquet").unlink()
    kept = {row["run_dir"] for row in first.rows} - {str(gone.relative_to(first.folder))}
    second = swept(tmp_path)
    assert second.resumed == 3
    assert kept < {row["run_dir"] for row in second.rows}
    assert without_places(second) == without_places(first)
    assert len(results.whole_runs(second.folder)) == 4
    assert not list(second.folder.glob(f"**/{PARTIAL}*"))


def test_a_trial_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    first = swept(tmp_path)
    again = planned().trials[0]
    simulation.simulate(again.experiment, seed=again.seed, folder=first.folder, progress=Progress())
    assert without_places(swept(tmp_path)) == without_places(first)


def test_runs_of_other_code_or_format_are_not_mixed(tmp_path: Path) -> None:
    folder = swept(tmp_path).folder
    for file in (folder / "sweep.json", folder / "latency" / "latest" / "manifest.json"):
        text = file.read_text()
        for key, words in (("code", "begun by other code"), ("format", "format 99")):
            file.write_text(json.dumps(json.loads(text) | {key: 99}))
            with pytest.raises(UsageError, match=words):
                swept(tmp_path)
        file.write_text(text)
    assert swept(tmp_path).resumed == 4


def test_code_is_another_when_a_file_of_it_has_changed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("a = 1")
    codes = [metadata.code(), metadata.code([str(mine)])]
    mine.write_text("a = 2")
    codes.append(metadata.code([str(mine)]))
    assert len(set(codes)) == 3
    assert codes[0] == metadata.code()


@pytest.mark.parametrize(
    "changes",
    [{"seed": 2}, {"repeats": 4}, {"settings": ("nodes=10", "protocol=push")}],
    ids=["seed", "repeats", "settings"],
)
def test_another_question_is_another_folder(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert planned(**changes).folder(tmp_path) != planned().folder(tmp_path)
    assert planned().folder(tmp_path) == planned().folder(tmp_path)


def test_two_commands_are_not_at_one_sweep(tmp_path: Path) -> None:
    with plans.opened(planned(), tmp_path), pytest.raises(UsageError, match="another command"):
        swept(tmp_path)


def test_every_trial_is_checked_before_the_first() -> None:
    with pytest.raises(UsageError, match=r"loss_ratio=1\.5"):
        planned("loss_ratio=0,1.5")


def test_a_trial_that_fails_ends_the_sweep_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(trial: Trial, place: Path) -> Path:
        raise TestbedError("the disk is full")

    monkeypatch.setattr(sweep, "_simulated", fail)
    with pytest.raises(TestbedError, match="the disk is full"):
        swept(tmp_path, workers=2)


def test_a_trial_that_is_killed_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_simulated", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(TestbedError, match=r"^trial \d \(fan_out = \d, .*SIGKILL; is memory short"):
        swept(tmp_path)


def emulated_as(monkeypatch: pytest.MonkeyPatch, reason: str) -> Plan:
    """A plan of trials "on hosts", each voided for that reason."""

    def emulated(trial: Trial, place: Path) -> Path:
        path = sweep._simulated(trial, place)
        runs = pd.read_parquet(path / "runs.parquet").assign(voided=True, reasons=reason)
        runs.to_parquet(path / "runs.parquet")
        state = health.summarize(runs, [], {})
        (path / "health.json").write_text(json.dumps(state))
        return path

    monkeypatch.setattr(sweep, "_emulated", emulated)
    return planned(simulated=False)


LATE = "rounds 80 ms late at p99, limit 50 ms"


def test_trials_that_disturb_each_other_are_done_again_by_fewer_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = swept(tmp_path, emulated_as(monkeypatch, LATE), workers=2)
    assert 1 <= len(found.notes) <= 2, "the two that ran at once, or one and then the next alone"
    assert "(100% of the runs of a cell late): going on with 1" in found.notes[0]
    assert len(results.whole_runs(found.folder)) == 4
    assert [row["trial"] for row in found.rows] == [0, 1, 2, 3]


def test_a_late_trial_that_had_the_machine_for_itself_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert swept(tmp_path, emulated_as(monkeypatch, LATE)).notes == []


def test_a_late_trial_that_a_kill_has_left_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = emulated_as(monkeypatch, LATE)
    with plans.opened(plan, tmp_path) as place:
        left = [sweep._emulated(trial, place) for trial in plan.trials[:2]]
    found = swept(tmp_path, emulated_as(monkeypatch, "h3 died"), workers=2)
    assert found.resumed == 0
    whole = [manifest.parent for manifest in results.whole_runs(found.folder)]
    assert len(whole) == 4 and not set(left) & set(whole)


def test_a_late_trial_of_a_sweep_that_has_ended_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = emulated_as(monkeypatch, LATE)
    first = swept(tmp_path, plan)
    again = swept(tmp_path, plan)
    assert (again.resumed, again.rows) == (4, first.rows)


@pytest.mark.parametrize("reason", ["h3 died", f"failed: KeyError; {LATE}"])
def test_a_trial_that_its_protocol_voided_is_not_laid_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    assert swept(tmp_path, emulated_as(monkeypatch, reason), workers=2).notes == []


def test_a_simulated_trial_is_never_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "spoilt", lambda *_: True)
    assert swept(tmp_path, workers=2).notes == []


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("_write", "full; trials that were whole are kept; the same command goes on"),
        ("_simulated", "full, or elsewhere"),
    ],
)
def test_another_folder_is_no_remedy_for_a_sweep_that_has_whole_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, words: str
) -> None:
    def refused(*_: object) -> None:
        raise ResultsError("full", ", or elsewhere")

    monkeypatch.setattr(sweep, step, refused)
    with pytest.raises(ResultsError, match=f"^{words}$"):
        swept(tmp_path, planned("fan_out=1"))


@pytest.mark.parametrize("what", ["kernel", "python", "backends"])
def test_trials_on_hosts_are_not_mixed_with_those_of_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    on_hosts, simulated = planned(simulated=False), planned()
    for plan in (on_hosts, simulated):
        with plans.opened(plan, tmp_path):
            pass
    monkeypatch.setattr(platform, "release", lambda: "7.0" if what == "kernel" else _RELEASE)
    monkeypatch.setattr(platform, "python_version", lambda: "4" if what == "python" else _PYTHON)
    if what == "backends":
        monkeypatch.setattr(pick, "BACKENDS", ())
    words = f"was started with another {what}; use the same, remove"
    with pytest.raises(UsageError, match=words), plans.opened(on_hosts, tmp_path):
        pass
    with plans.opened(simulated, tmp_path):
        pass


_RELEASE, _PYTHON = platform.release(), platform.python_version()


def test_the_time_left_is_of_all_that_is_not_done(tmp_path: Path) -> None:
    notes: list[str] = []

    class Noted(Progress):
        def note(self, text: str) -> None:
            notes.append(text)

    plan = planned("fan_out=2", "linger_rounds=0,1,2,3")
    running = sweep._Running(plan, tmp_path, Noted(), workers=2)
    running._left_s = sum(map(running._expected, plan.trials))
    running._count(Answer(plan.trials[0], {}, seconds=4.0, crowd=2), left=3)
    assert notes == ["3 trials to go, about 6 s"], "three of 4 s, two at once"


def test_a_simulated_trial_takes_as_long_as_it_has_nodes(tmp_path: Path) -> None:
    plan = planned("nodes=8,1024", settings=("protocol=push",))
    running = sweep._Running(plan, tmp_path, Progress(), workers=1)
    small, large = sorted(map(running._expected, plan.trials))
    assert large > 10 * small


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    push = (metadata.REPOSITORY / "agents" / "protocols" / "push.py").read_text()
    path.write_text(push.replace("TYPE = 0x10", "TYPE = 0x90"))
    return path


def test_own_and_shipped_protocols_can_be_swept_together(tmp_path: Path, mine: Path) -> None:
    plan = planned(f"protocol=push,{mine}", settings=("nodes=8",))
    found = swept(tmp_path, plan)
    assert [row["protocol"] for row in found.rows] == ["push", "mine"]
    assert swept(tmp_path, plan).resumed == 2


def test_a_changed_protocol_of_ones_own_is_other_code(tmp_path: Path, mine: Path) -> None:
    swept(tmp_path, planned(f"protocol=push,{mine}", settings=("nodes=8",)))
    mine.write_text(mine.read_text() + "# changed\n")
    with pytest.raises(UsageError, match="begun by other code"):
        swept(tmp_path, planned(f"protocol=push,{mine}", settings=("nodes=8",)))


@pytest.mark.parametrize("seed", [[1], None, "1"])
def test_a_trial_whose_seed_is_no_number_is_named(tmp_path: Path, seed: object) -> None:
    file = swept(tmp_path).folder / "latency" / "latest" / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"seed": seed}))
    with pytest.raises(UsageError, match=r"manifest\.json: has no seed; restore it, or remove"):
        swept(tmp_path)
