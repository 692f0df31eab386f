"""Writes docs/mutants.md: what is done wrong on purpose, and what notices it.

python -m tests.mutants.page
"""

from __future__ import annotations

from pathlib import Path

from tests.mutants.catalog import MUTANTS
from tests.mutants.checks import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "mutants.md"

HEAD = """# Mutants

Written by `python -m tests.mutants.page`. Each row is a deliberately wrong protocol, network,
harness or estimator, and what has to notice it in `make test`: a verdict that is not the one of the
true code, a reason of the fidelity gate, or a test. The same checks say nothing where nothing is
wrong. Mutants on real hosts are in `tests/network/test_mutant_networks.py`; wrong samples of the
engines, for every part of every claim, in `tests/unit/testbed/claims/test_engine_claims.py`.

| what is wrong | with | noticed by | which is a |
|---|---|---|---|
"""


def text() -> str:
    rows = [
        f"| {mutant.says} | {mutant.kind} | {CHECKS[mutant.check].name} "
        f"| {CHECKS[mutant.check].kind} |\n"
        for mutant in MUTANTS
    ]
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
