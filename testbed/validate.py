"""Judges claims: runs the experiments they need, holds them to their rules, draws their plots."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents import registry
from testbed import claims as claimed
from testbed import (
    emulation,
    experiment,
    metadata,
    plots,
    replicates,
    results,
    resumption,
    simulation,
    summary,
)
from testbed.errors import UsageError, near
from testbed.experiment import Experiment
from testbed.health import merged
from testbed.judging.engines import FACTOR, Engines
from testbed.outcome import Outcome
from testbed.progress import Progress
from testbed.resumption import NAME, Ledger


@dataclass(frozen=True)
class Step:
    """One run directory that a validation makes."""

    name: str
    experiment: Experiment
    simulated: bool = False

    @property
    def expected_s(self) -> float:
        expected_s = simulation.expected_s if self.simulated else emulation.expected_s
        return sum(expected_s(cell) for cell in self.experiment.cells)


@dataclass(frozen=True)
class Plan:
    """What a validation does, checked before anything starts."""

    claims: tuple[str, ...]
    variant: str
    steps: tuple[Step, ...]
    left_out: tuple[str, ...]
    """Experiments that only other variants run."""
    stand_in: Mapping[str, str]
    request: Mapping[str, Any] = field(default_factory=dict)


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

    Claims that take samples of the engines get them afterwards, when no host needs the processor.
    The verdicts go into a directory `validation/...` that names those runs. `stand_ins` maps the
    protocol that a claim is about to the one (a name or a file) that is judged in its place. With
    `resume`, the runs that the same validation had finished when it was interrupted are taken. All
    names and settings are checked before anything starts; raises `UsageError`.
    """
    plan = make_plan(claims, variant, settings, stand_ins or {})
    with ExitStack() as stack:
        if resume:
            ledger = resumption.resume(folder, plan.request, seed)
        else:
            seed = secrets.randbits(32) if seed is None else seed
            ledger = resumption.begin(folder, plan.request, seed)
        stack.enter_context(ledger)
        outcome = _validate(plan, ledger, folder, progress)
        ledger.finish()
    return outcome


def _validate(plan: Plan, ledger: Ledger, folder: Path, progress: Progress) -> Outcome:
    engines = Engines(ledger.seed, FACTOR[plan.variant])
    todo = [step for step in plan.steps if step.name not in ledger.whole]
    progress.expect(sum(step.expected_s for step in todo))
    progress.expect(claimed.modelled_s(plan.claims, engines))
    for step in todo:
        ledger.add(step.name, _carry_out(step, ledger.seed, folder, progress))
    paths = {step.name: ledger.whole[step.name] for step in plan.steps}
    tables = [results.load(path) for path in paths.values()]
    verdicts = claimed.judge(
        plan.claims, tables, plan.stand_in, engines, progress, left_out=plan.left_out
    )
    health = merged([each.health for each in tables])
    with results.new_run(folder, NAME, ledger.seed) as directory:
        drawn = plots.draw(tables, directory.partial / "plots", of=claimed.experiments())
        directory.write_json(
            "manifest.json",
            {
                "format": results.FORMAT,
                "claims": list(plan.claims),
                "variant": plan.variant,
                "left_out": list(plan.left_out),
                "seed": ledger.seed,
                "runs": [str(path) for path in paths.values()],
                "stand_in": plan.stand_in,
                "engines": engines.drawn,
                **metadata.describe(),
            },
        )
        directory.write_json("verdicts.json", {"verdicts": [each.row() for each in verdicts]})
        directory.write_json("health.json", health)
        final = directory.finish()
    return Outcome(
        run_dir=final,
        experiment=NAME,
        seed=ledger.seed,
        health=health,
        summary=[row for each in tables for row in summary.rows(each)],
        verdicts=verdicts,
        brief=True,
        plots={name: final / "plots" / path.name for name, path in drawn.items()},
        tables=claimed.tables(verdicts),
        notes=_notes(plan),
    )


def make_plan(
    claims: Sequence[str], variant: str, settings: Sequence[str], stand_ins: Mapping[str, str]
) -> Plan:
    """Loads every experiment that the claims register and the variant runs. Raises `UsageError`."""
    wanted = [claimed.load(name).CLAIM for name in claims]
    names = list(dict.fromkeys(name for claim in wanted for name in claim.experiments))
    shipped = {name: experiment.load(name, variant=variant) for name in names}
    run = [name for name in names if variant in shipped[name].variants]
    protocols = {cell.protocol for name in run for cell in shipped[name].cells}
    if unknown := [old for old in stand_ins if old not in protocols]:
        raise UsageError(f"{unknown[0]}: no claim is judged by it; {near(unknown[0], protocols)}")
    steps = [Step(name, load(name, variant, settings, stand_ins)) for name in run]
    times = {name: k for claim in wanted for name, k in claim.simulated.items()}
    steps += [
        Step(f"{step.name}, simulated", _repeated(step.experiment, times[step.name]), True)
        for step in steps
        if step.name in times
    ]
    return Plan(
        claims=tuple(claims),
        variant=variant,
        steps=tuple(steps),
        left_out=tuple(name for name in names if name not in run),
        stand_in={old: registry.load(new).name for old, new in stand_ins.items()},
        request=resumption.request_of(claims, variant, settings, stand_ins),
    )


def load(
    name: str, variant: str, settings: Sequence[str], stand_ins: Mapping[str, str]
) -> Experiment:
    """An experiment with some of its protocols replaced."""
    loaded = experiment.load(name, variant=variant, settings=settings)
    protocols = list(dict.fromkeys(cell.protocol for cell in loaded.cells))
    if not set(protocols) & set(stand_ins):
        return loaded
    replaced = [stand_ins.get(protocol, protocol) for protocol in protocols]
    return experiment.load(name, variant=variant, settings=settings, protocols=replaced)


def _repeated(loaded: Experiment, times: int) -> Experiment:
    """The same experiment with so many runs for each of its own."""
    cells = [
        replace(cell, run=replace(cell.run, repeats=cell.run.repeats * times))
        for cell in loaded.cells
    ]
    return replace(loaded, cells=tuple(cells))


def _carry_out(step: Step, seed: int, folder: Path, progress: Progress) -> Path:
    if not step.simulated:
        return emulation.emulate(step.experiment, seed=seed, folder=folder, progress=progress)
    own = replicates.derive(seed, "simulated")  # drawn apart from the hosts' runs
    return simulation.simulate(
        step.experiment, seed=own, folder=folder, progress=progress, thin=True
    )


def _notes(plan: Plan) -> tuple[str, ...]:
    if not plan.left_out:
        return ()
    found = (claimed.load(name).CLAIM for name in plan.claims)
    without = [claim.id for claim in found if set(claim.experiments) & set(plan.left_out)]
    return (
        f"--{plan.variant} has no time for all runs on hosts of {', '.join(without)}; "
        "`testbed validate` runs them",
    )
