"""Walks the plug-in folders, so that a new file is tested on the day it appears."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents.parts.buffer import AGE_AT_LOSS, INVERSIONS
from testbed import claims, experiment, metrics, plots, theory
from testbed.judging.claim import Claim
from testbed.judging.selection import CONDITIONS
from testbed.judging.verdict import INCONCLUSIVE, NOT_RUN, REFUTED, SUPPORTED
from testbed.theory import chain
from tests import synthetic

THEORY = sorted(m.name for m in pkgutil.iter_modules(theory.__path__))
EVIDENCE = {"emulated", "simulated", "computed", "arithmetic"}
CITATION = re.compile(r"\b(19|20)\d\d\b|lecture")


def theory_module(name: str) -> ModuleType:
    return importlib.import_module(f"testbed.theory.{name}")


def public_functions(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and not name.startswith("_"):
            yield name, function


def worked_numbers(text: str, names: set[str]) -> list[tuple[str, str]]:
    """(expression, printed value) of each `name(...) = value` in a docstring.

    The value is a number, or a list or tuple of numbers and fractions.
    """
    text = re.sub(r"\s+", " ", text)
    found = []
    for start in re.finditer(r"(?<![\w.])([a-z_]\w*)\(", text):
        if start[1] not in names:
            continue
        end = closing(text, start.end() - 1)
        number = r"\[[^]]*\]|\([^)]*\)|-?\d[\d.]*(?:e-?\d+)?"
        value = re.match(rf"((?:\[\d+\]|\.\w+)*) = ({number})", text[end:])
        if value:
            found.append((text[start.start() : end] + value[1], value[2].rstrip(".")))
    return found


def closing(text: str, at: int) -> int:
    """The end of the parentheses that open at `at`."""
    depth = 0
    for place in range(at, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place + 1
    return len(text)


def tolerance(printed: str) -> float:
    """Half a unit of the last digit printed, and a little for rounding at the half."""
    mantissa, _, power = printed.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 0.51 * 10.0 ** (int(power or 0) - decimals)


def test_worked_numbers_are_found_in_running_text() -> None:
    text = "Half at f(256, g(8)) = 5.52, and h(1) = [0, 2/3]: so\n    f()[0].x = -1. Not k(2) = 7."
    assert worked_numbers(text, {"f", "g", "h"}) == [
        ("f(256, g(8))", "5.52"),
        ("h(1)", "[0, 2/3]"),
        ("f()[0].x", "-1"),
    ]


@pytest.mark.parametrize("name", THEORY)
def test_worked_numbers_of_a_theory_file_hold(name: str) -> None:
    module = theory_module(name)
    names = {**vars(chain), **vars(module)}
    callables = {n for n, value in names.items() if callable(value)}
    texts = [inspect.getdoc(module) or "", *(f.__doc__ or "" for _, f in public_functions(module))]
    found = [pair for text in texts for pair in worked_numbers(text, callables)]
    computes = any(public_functions(module))  # a file of published numbers does not
    assert found or not computes, f"{name}.py shows no worked number"
    for expression, printed in found:
        value = eval(expression, names)
        if printed[0] in "[(":
            parts = printed.strip("[]()").split(",")
            np.testing.assert_allclose(
                np.ravel(value), [float(eval(part)) for part in parts], atol=0.006
            )
        else:
            near = pytest.approx(float(printed), abs=tolerance(printed))
            assert np.asarray(value, dtype=float).item() == near, expression


@pytest.mark.parametrize("name", THEORY)
def test_a_theory_file_cites_its_source(name: str) -> None:
    module = theory_module(name)
    texts = [module.__doc__ or "", *(f.__doc__ or "" for _, f in public_functions(module))]
    assert any(CITATION.search(text) for text in texts)


@pytest.mark.parametrize("name", claims.names())
def test_a_claim_file_registers_everything_beforehand(name: str) -> None:
    module = claims.load(name)
    claim: Claim = module.CLAIM
    assert isinstance(claim, Claim)
    assert (module.__doc__ or "").startswith(f"{claim.id}: ")
    for text in (claim.title, claim.statement, claim.refuted_if, *claim.assumptions):
        assert text and not text.endswith(" ")
    assert CITATION.search(claim.source)
    assert claim.tests > 0 or all(part.check for part in claim.parts.values())
    assert set(claim.simulated) <= set(claim.experiments)
    assert claim.estimator and claim.expect and claim.family
    for part in claim.parts.values():
        assert part.margin.low < part.margin.high
        assert len(part.reason) > 20, "a margin without a reason"
        assert part.expected in (SUPPORTED, REFUTED, INCONCLUSIVE)
        assert part.plot in ("", *plots.names())
    assert set(claim.experiments) <= set(experiment.names())
    assert claim.evidence and set(claim.evidence) <= EVIDENCE
    assert hasattr(module, "judge") or hasattr(module, "model")
    assert hasattr(module, "judge") == bool(claim.experiments)


@pytest.mark.parametrize("name", claims.names())
def test_a_claim_predicts_each_of_its_parts(name: str) -> None:
    module = claims.load(name)
    values = ("emulated", "two_subnets", 2, "free", 2, True, "forever", 0.0, "")
    conditions = dict(zip(CONDITIONS, values, strict=True)) | {"sizes": [8, 16, 32]}
    predicted = module.predict(conditions)
    assert set(predicted) == set(module.CLAIM.parts)
    assert all(np.isfinite(list(predicted.values())))


@pytest.mark.parametrize("name", claims.names())
def test_a_claim_without_runs_or_engines_has_no_verdict_and_says_why(name: str) -> None:
    verdicts = claims.judge([name], [])
    wanted = {INCONCLUSIVE} if claims.load(name).CLAIM.experiments else set()
    if hasattr(claims.load(name), "model"):
        wanted.add(NOT_RUN)
    assert {v.verdict for v in verdicts} == wanted
    assert all(v.reasons and v.reasons[0].startswith("not run: ") for v in verdicts)


@pytest.mark.parametrize("name", metrics.names())
def test_a_metric_has_a_unit_and_one_number_for_each_run_or_batch(name: str) -> None:
    metric = metrics.load(name)
    assert metric.__doc__ and metric.UNIT
    assert metric.OF in ("run", "batch")
    made = {
        "run": [
            *(synthetic.latency((8,), 3), synthetic.recovery(), synthetic.reporting()),
            synthetic.stream(),
            synthetic.noted((AGE_AT_LOSS, 4.0), (INVERSIONS, 1.0)),
        ],
        "batch": [synthetic.core_load((16,), 100), synthetic.stream()],
    }
    whole = []
    for tables in made[metric.OF]:
        values = metric.compute(tables)
        assert isinstance(values, pd.Series)
        assert len(values) == len(tables.runs if metric.OF == "run" else tables.batches)
        whole.append(values.notna().all())
    assert any(whole), "there are runs to which it applies"


@pytest.mark.parametrize("name", plots.names())
def test_a_plot_names_its_claims_and_draws_nothing_without_runs(name: str) -> None:
    plot = plots.load(name)
    assert plot.__doc__ and plot.TITLE and plot.NEEDS
    assert set(plot.CLAIMS) <= set(claims.registered())
    empty = synthetic.latency((8,), 1, sources="all", retention="forever")
    assert plot.draw([empty]) is None
