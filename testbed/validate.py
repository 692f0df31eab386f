"""Judges claims: runs the experiments they need, holds them to their rules, draws their plots."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from testbed import claims as claimed
from testbed import (
    disk,
    emulation,
    health,
    intact,
    metadata,
    plans,
    plots,
    replicates,
    results,
    resumption,
    simulation,
    summary,
)
from testbed.disk import ResultsError
from testbed.judging.engines import FACTOR, Engines
from testbed.judging.looks import spending
from testbed.judging.verdict import ALPHA, INCONCLUSIVE, Finding
from testbed.outcome import Outcome
from testbed.plans import Plan, Step
from testbed.progress import Progress
from testbed.resumption import NAME, Ledger
from testbed.tables import RunTables
from testbed.workers import side_by_side

ON_RUNS = "on runs"


def validate(
    claims: Sequence[str],
    *,
    folder: Path,
    progress: Progress,
    variant: str = "default",
    settings: Sequence[str] = (),
    stand_ins: Mapping[str, str] | None = None,
    seed: int | None = None,
    resume: bool = False,
) -> Outcome:
    """Runs what the claims need, each experiment in a run directory of its own, and judges.

    The claims are judged afterwards, on all processors, since many take samples of the engines and
    no host needs the processors any more.
    The verdicts go into a directory `validation/...` that names those runs. `stand_ins` maps the
    protocol that a claim is about to the one (a name or a file) that is judged in its place. With
    `resume`, the runs that the same validation had finished when it was interrupted are taken. All
    names and settings are checked before anything starts; raises `UsageError`.
    """
    plan = plans.make(claims, variant, settings, stand_ins or {})
    with ExitStack() as stack:
        if resume:
            ledger = resumption.resume(folder, plan.request, seed)
        else:
            seed = secrets.randbits(32) if seed is None else seed
            ledger = resumption.begin(folder, plan.request, seed)
        stack.enter_context(ledger)
        try:
            outcome = _validate(plan, ledger, folder, progress)
        except ResultsError as error:
            if not ledger.whole:
                raise
            raise error.keeping("experiments that were whole are kept: --resume") from error
        ledger.finish()
    return outcome


def _validate(plan: Plan, ledger: Ledger, folder: Path, progress: Progress) -> Outcome:
    engines = Engines(ledger.seed, FACTOR[plan.variant])
    progress.expect(sum(s.expected_s for s in plan.steps if s.name not in ledger.whole))
    progress.expect(sum(claimed.expected_s(name, engines) for name in plan.claims))
    work = Work(plan, ledger, folder, progress)
    alphas = {family: work.look_at(family) for family in plan.looks}
    work.carry_out([step for step in plan.steps if not step.look])
    paths = [ledger.whole[step.name] for step in plan.steps if step.name in ledger.whole]
    tables = [results.load(path) for path in paths]
    state = health.merged([each.health for each in tables])
    with results.new_run(folder, NAME, ledger.seed) as directory:
        found, samples, drawn = _conclusions(
            plan, tables, engines, directory.partial / "plots", progress
        )
        verdicts = claimed.settle(found, alphas)
        directory.write_json(
            "manifest.json",
            {
                "format": results.FORMAT,
                "claims": list(plan.claims),
                "variant": plan.variant,
                "left_out": list(plan.left_out),
                "seed": ledger.seed,
                "runs": [str(path) for path in paths],
                "spoilt": {name: str(path) for name, path in ledger.spoilt.items()},
                "alphas": alphas,
                "stand_in": plan.stand_in,
                "engines": samples,
                **metadata.describe(),
            },
        )
        directory.write_json("verdicts.json", {"verdicts": [each.row() for each in verdicts]})
        directory.write_json("health.json", state)
        final = directory.finish()
    return Outcome(
        run_dir=final,
        experiment=NAME,
        seed=ledger.seed,
        health=state,
        summary=[row for each in tables for row in summary.rows(each)],
        verdicts=verdicts,
        brief=True,
        plots={name: final / "plots" / path.name for name, path in drawn.items()},
        tables=claimed.tables(verdicts),
        notes=_notes(plan, ledger),
    )


def _conclusions(
    plan: Plan, tables: Sequence[RunTables], engines: Engines, folder: Path, progress: Progress
) -> tuple[list[Finding], list[dict[str, Any]], dict[str, Path]]:
    """What the claims find, in their order, the samples of the engines behind it, and the plots.

    Samples are drawn in a process for each claim: their seeds are those of their conditions, so
    that it does not matter who draws them, nor when. What is found on runs, and the plots, have
    one process, since they share draws of the reference.
    """
    names = claimed.files(plan.claims)

    def on_runs() -> tuple[dict[str, list[Finding]], dict[str, Path]]:
        found = {
            name: claimed.on_runs(name, tables, plan.stand_in, left_out=plan.left_out)
            for name in names
        }
        with disk.writing(folder):
            return found, plots.draw(tables, folder, of=claimed.experiments())

    def on_samples(name: str) -> tuple[list[Finding], list[dict[str, Any]]]:
        return claimed.on_samples(name, engines, plan.stand_in), engines.drawn

    def done(name: str, left: int) -> None:
        progress.note(f"judging: {left} of {len(names) + 1} steps left")
        if name != ON_RUNS:
            progress.advance(claimed.expected_s(name, engines))

    tasks: dict[str, Callable[[], Any]] = {name: partial(on_samples, name) for name in names}
    answers = side_by_side({**tasks, ON_RUNS: on_runs}, done)
    found, drawn = answers[ON_RUNS]
    samples = {row["seed"]: row for name in names for row in answers[name][1]}
    return (
        [each for name in names for each in (*found[name], *answers[name][0])],
        list(samples.values()),
        drawn,
    )


@dataclass(frozen=True)
class Work:
    """Carries out the steps of a plan that are not whole yet."""

    plan: Plan
    ledger: Ledger
    folder: Path
    progress: Progress

    def carry_out(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.name not in self.ledger.whole:
                self._make(step)

    def look_at(self, family: str) -> float:
        """Runs a family's experiments look by look until it is decided; the level of the last."""
        looks = self.plan.looks[family]
        levels = spending(looks, ALPHA)
        for place, level in enumerate(levels):
            self.carry_out(self.plan.steps_of(family, place))
            if place + 1 < len(looks) and self._decided(family, place, level):
                break
        spared = (self.plan.steps_of(family, later) for later in range(place + 1, len(looks)))
        self.progress.advance(sum(step.expected_s for steps in spared for step in steps))
        return level

    def _decided(self, family: str, place: int, level: float) -> bool:
        """Whether every test of the family's claims has a verdict at this level."""
        steps = [s for look in range(place + 1) for s in self.plan.steps_of(family, look)]
        tables = [results.load(self.ledger.whole[step.name]) for step in steps]
        verdicts = claimed.judge(
            self.plan.claims_of(family),
            tables,
            self.plan.stand_in,
            left_out=self.plan.left_out,
            alphas={family: level},
        )
        return all(row.check or row.verdict != INCONCLUSIVE for row in verdicts)

    def _make(self, step: Step) -> None:
        """Runs a step, and once more if the machine was busy with something else meanwhile.

        That is decided by lateness alone, before anything measured is looked at.
        """
        path, spoilt = self._run(step, self.ledger.seed), None
        if not step.simulated:
            state = intact.document(path / "health.json")
            if health.spoilt(state, intact.table(path / "runs.parquet", "runs")):
                self.progress.expect(step.expected_s)
                again = replicates.derive_seed(self.ledger.seed, "again")
                path, spoilt = self._run(step, again), path
        self.ledger.add(step.name, path, spoilt)

    def _run(self, step: Step, seed: int) -> Path:
        if step.simulated:  # drawn apart from the hosts' runs
            seed = replicates.derive_seed(seed, "simulated")
            return simulation.simulate(
                step.experiment, seed=seed, folder=self.folder, progress=self.progress, thin=True
            )
        if step.look:
            seed = replicates.derive_seed(seed, "look", step.look)
        return emulation.emulate(
            step.experiment, seed=seed, folder=self.folder, progress=self.progress
        )


def _notes(plan: Plan, ledger: Ledger) -> tuple[str, ...]:
    notes = tuple(
        f"{name} was run twice, since the machine was too busy the first time: {path} is not judged"
        for name, path in ledger.spoilt.items()
    )
    if not plan.left_out:
        return notes
    found = (claimed.load(name).CLAIM for name in plan.claims)
    longer = "" if plan.variant == "quick" else " --full"
    without = [claim.id for claim in found if set(claim.experiments) & set(plan.left_out)]
    return (
        *notes,
        f"not all runs on hosts of {', '.join(without)} belong to this length; "
        f"`testbed validate{longer}` runs them",
    )
