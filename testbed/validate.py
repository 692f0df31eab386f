"""Judges claims: runs the experiments they need, holds them to their rules, draws their plots."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents import registry
from testbed import claims as claimed
from testbed import emulation, experiment, metadata, plots, results, summary
from testbed.errors import UsageError, near
from testbed.experiment import Experiment
from testbed.health import merged
from testbed.judging.engines import FACTOR, Engines
from testbed.outcome import Outcome
from testbed.progress import Progress

NAME = "validation"


def validate(
    claims: Sequence[str],
    *,
    folder: Path,
    progress: Progress,
    variant: str = "quick",
    settings: Sequence[str] = (),
    stand_ins: Mapping[str, str] | None = None,
    seed: int | None = None,
) -> Outcome:
    """Runs what the claims need, each experiment in a run directory of its own, and judges.

    Claims that take samples of the engines get them afterwards, when no host needs the processor.
    The verdicts go into a directory `validation/...` that names those runs. `stand_ins` maps the
    protocol that a claim is about to the one (a name or a file) that is judged in its place. All
    names and settings are checked before anything starts; raises `UsageError`.
    """
    seed = secrets.randbits(32) if seed is None else seed
    loaded = [load(name, variant, settings, stand_ins or {}) for name in experiments_of(claims)]
    stand_in = {old: registry.load(new).name for old, new in (stand_ins or {}).items()}
    progress.expect(sum(emulation.expected_s(cell) for each in loaded for cell in each.cells))
    engines = Engines(seed, FACTOR[variant])
    progress.expect(claimed.modelled_s(claims, engines))
    paths = [
        emulation.emulate(each, seed=seed, folder=folder, progress=progress) for each in loaded
    ]
    tables = [results.load(path) for path in paths]
    verdicts = claimed.judge(claims, tables, stand_in, engines, progress)
    health = merged([each.health for each in tables])
    with results.new_run(folder, NAME, seed) as directory:
        drawn = plots.draw(tables, directory.partial / "plots")
        directory.write_json(
            "manifest.json",
            {
                "format": results.FORMAT,
                "claims": list(claims),
                "variant": variant,
                "seed": seed,
                "runs": [str(path) for path in paths],
                "stand_in": stand_in,
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
        seed=seed,
        health=health,
        summary=[row for each in tables for row in summary.rows(each)],
        verdicts=verdicts,
        brief=True,
        plots={name: final / "plots" / path.name for name, path in drawn.items()},
    )


def experiments_of(claims: Sequence[str]) -> list[str]:
    """The experiments that these claims take their evidence from, each once, in order."""
    wanted = [name for claim in claims for name in claimed.load(claim).CLAIM.experiments]
    return list(dict.fromkeys(wanted))


def load(
    name: str, variant: str, settings: Sequence[str], stand_ins: Mapping[str, str]
) -> Experiment:
    """An experiment with some of its protocols replaced."""
    loaded = experiment.load(name, variant=variant, settings=settings)
    protocols = list(dict.fromkeys(cell.protocol for cell in loaded.cells))
    if unknown := [old for old in stand_ins if old not in protocols]:
        raise UsageError(f"{name}: has no protocol {unknown[0]}; {near(unknown[0], protocols)}")
    if not stand_ins:
        return loaded
    replaced = [stand_ins.get(protocol, protocol) for protocol in protocols]
    return experiment.load(name, variant=variant, settings=settings, protocols=replaced)
