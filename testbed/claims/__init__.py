"""The claims that are judged, one a file: a prediction before it is a plot.

A claim file has `CLAIM`, a `testbed.judging.claim.Claim` with all that is registered before the
first run; `predict(conditions)`, what theory expects of each part; and what returns findings:
`judge(tables, stand_in)` on runs, or `model(engines)` on samples of the engines, or both. `judge`
below makes verdicts of the findings of several claims.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import ModuleType

from testbed.errors import UsageError, near
from testbed.judging import verdict
from testbed.judging.claim import Claim
from testbed.judging.engines import Engines
from testbed.tables import RunTables

MODEL_S = 2.0
"""Roughly how long the engines take for a claim, for the progress bar: 30 s for all of them."""


def names() -> list[str]:
    """File names, in the order of the claims' numbers."""
    return sorted(_modules(), key=lambda name: (len(_id(name)), _id(name)))


def load(name: str) -> ModuleType:
    """The claim of that file name or number (`C1`, `c1`); raises `UsageError`."""
    found = {n: n for n in _modules()} | {_id(n).lower(): n for n in _modules()}
    if name.lower() not in found:
        raise UsageError(f"unknown claim {name!r}; {near(name, [*map(_id, names()), *names()])}")
    return _module(found[name.lower()])


def registered() -> dict[str, int]:
    """Tests of every claim, checks left out: what Holm's procedure runs over."""
    return {claim.id: claim.tests for claim in _all()}


def expected_s(name: str, engines: Engines) -> float:
    """Roughly how long it takes to judge a claim."""
    return MODEL_S * engines.factor if hasattr(load(name), "model") else 0.0


def experiments() -> dict[str, tuple[str, ...]]:
    """The experiments that each claim is judged from."""
    return {claim.id: claim.experiments for claim in _all()}


def families() -> dict[str, str]:
    """The family that each claim shares its error rate with."""
    return {claim.id: claim.family for claim in _all()}


def judge(
    chosen: Sequence[str],
    tables: Sequence[RunTables],
    stand_in: Mapping[str, str] | None = None,
    engines: Engines | None = None,
    *,
    left_out: Collection[str] = (),
    alphas: Mapping[str, float] | None = None,
) -> list[verdict.Verdict]:
    """The verdicts of the claims named (all of them when none is) on the runs given.

    `alphas` are the error rates of families that are looked at more than once; the rest is as in
    `on_runs` and `on_samples`.
    """
    found: list[verdict.Finding] = []
    for name in files(chosen):
        found += on_runs(name, tables, stand_in, left_out=left_out)
        found += on_samples(name, engines, stand_in)
    return settle(found, alphas)


def files(chosen: Sequence[str]) -> list[str]:
    """File names of the claims named (all of them when none is), each once."""
    return list(dict.fromkeys(load(n).__name__.rpartition(".")[2] for n in chosen or names()))


def on_runs(
    name: str,
    tables: Sequence[RunTables],
    stand_in: Mapping[str, str] | None = None,
    *,
    left_out: Collection[str] = (),
) -> list[verdict.Finding]:
    """What a claim finds on the runs given: those of its own experiments, where any are.

    `stand_in` maps a protocol that a claim is about to the one that takes its place, so that a
    protocol of one's own is held to the same claim. `left_out` are experiments that were not run
    since the validation is a short one: what they alone could tell is "not run".
    """
    module = load(name)
    if not hasattr(module, "judge"):
        return []
    claim: Claim = module.CLAIM
    missing = [name for name in claim.experiments if name in left_out]
    because = f"its runs on hosts take longer than this: {', '.join(missing)}"
    if missing and len(missing) == len(claim.experiments):
        return [] if hasattr(module, "model") else claim.skipped(because=because)
    own = [t for t in tables if _experiment(t) in claim.experiments]
    found: list[verdict.Finding] = module.judge(own or tables, stand_in or {})
    if missing:
        found = [f if f.runs else replace(f, blocks=(), skipped=because) for f in found]
    return found


def on_samples(
    name: str, engines: Engines | None, stand_in: Mapping[str, str] | None = None
) -> list[verdict.Finding]:
    """What a claim finds on samples of the engines; without `engines` none are drawn."""
    module = load(name)
    if not hasattr(module, "model"):
        return []
    claim: Claim = module.CLAIM
    if engines is None:
        return claim.skipped(because="it takes samples of the engines, see `testbed validate`")
    if stand_in:
        return claim.skipped(because=f"the engines do not know {', '.join(stand_in.values())}")
    found: list[verdict.Finding] = module.model(engines)
    return found


def settle(
    found: Sequence[verdict.Finding], alphas: Mapping[str, float] | None = None
) -> list[verdict.Verdict]:
    """The verdicts that the findings of several claims come to, see `judging.verdict.settle`."""
    return verdict.settle(found, registered(), families(), alphas)


def tables(verdicts: Sequence[verdict.Verdict]) -> dict[str, list[list[str]]]:
    """The tables that claims have of their own: a head and rows, by the claim's title."""
    shown = {}
    for id in dict.fromkeys(row.claim for row in verdicts if row.details):
        module = load(id)
        if hasattr(module, "table"):
            shown[module.CLAIM.title] = module.table([row for row in verdicts if row.claim == id])
    return shown


def _experiment(tables: RunTables) -> str:
    return str(tables.manifest.get("experiment", {}).get("name", ""))


def _all() -> list[Claim]:
    return [load(name).CLAIM for name in names()]


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__)]


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def _id(name: str) -> str:
    return str(_module(name).CLAIM.id)
