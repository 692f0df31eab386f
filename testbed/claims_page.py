"""Writes docs/claims.md: what each claim file registers, and the verdicts of a validation.

    python -m testbed.claims_page [RUN ...]

RUN is the directory of a validation; a claim that several have judged is taken from the last of
them. Without one the verdicts that the page has are kept.
"""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed import claims, intact
from testbed.intact import RunError
from testbed.judging.claim import Claim
from testbed.judging.stats import Interval

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"

HEAD = """# Claims

Written by `make docs` from the files in `testbed/claims/`: what was registered before the first
run. The last section has the verdicts of the newest validations.

A part is a *form* (order of growth), a *constant*, or another statement that can fail by itself; it
holds between the bounds of its margin. Where a constant is expected to be refuted, the form may
hold nevertheless. The claims of a family share one error rate of 5%. Verdicts: supported; verified
(model) where all the evidence is simulated or computed; refuted; inconclusive; not run.
"""
VERDICTS = "\n## Verdicts\n"
WIDTH = 110


def registered() -> str:
    """The page up to the verdicts."""
    found: list[Claim] = [claims.load(name).CLAIM for name in claims.names()]
    lines = [HEAD, "| claim | family | evidence |", "|---|---|---|"]
    lines += [f"| {c.id}: {_cell(c.title)} | {c.family} | {', '.join(c.evidence)} |" for c in found]
    return "\n".join([*lines, "", *map(_section, found)])


def verdicts(judged: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]]) -> str:
    """The last section: a line for each part and set of conditions.

    `judged` has by claim the validation that it is taken from, and its rows.
    """
    sources: dict[str, list[str]] = {}
    for claim, (run, _) in judged.items():
        sources.setdefault(run, []).append(claim)
    lines = [
        VERDICTS,
        "Of these validations; intervals are at the level that the family leaves.\n",
        *(f"- {run}: {', '.join(ids)}" for run, ids in sources.items()),
        "",
        "| claim | part | conditions | predicted | measured | runs | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in (row for _, rows in judged.values() for row in rows):
        cells = (
            row["claim"],
            row["part"],
            _conditions(row["conditions"]),
            _number(row["predicted"]),
            _measured(row),
            str(row["runs"] or ""),
            row["verdict"],
        )
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines) + "\n"


def kept(page: str) -> str:
    """The verdicts that a page already has."""
    return VERDICTS + page.partition(VERDICTS)[2] if VERDICTS in page else ""


def _section(claim: Claim) -> str:
    parts = [
        "| part | holds within | because | expected |",
        "|---|---|---|---|",
        *(
            f"| {name} | {_bounds(part.margin)} | {_cell(part.reason)} | "
            f"{'a check of the testbed' if part.check else part.expected} |"
            for name, part in claim.parts.items()
        ),
    ]
    return "\n".join(
        [
            f"## {claim.id}: {claim.title}\n",
            textwrap.fill(claim.statement, WIDTH) + "\n",
            _item("Source", claim.source),
            *(_item("Assumes", text) for text in claim.assumptions),
            *(_item("Expected", text) for text in claim.expect),
            _item("Estimator", claim.estimator),
            _item("Refuted if", claim.refuted_if),
            "",
            *parts,
            "",
        ]
    )


def _item(name: str, text: str) -> str:
    return textwrap.fill(f"- *{name}:* {text}.", WIDTH, subsequent_indent="  ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _bounds(margin: Interval) -> str:
    if math.isinf(margin.low):
        return f"at most {margin.high:.4g}"
    if math.isinf(margin.high):
        return f"at least {margin.low:.4g}"
    return f"{margin.low:.4g} .. {margin.high:.4g}"


def _conditions(stated: Mapping[str, Any]) -> str:
    shown = ("protocol", "timing", "fan_out", "retention", "loss_ratio", "legs", "sizes")
    return ", ".join(f"{key} {stated[key]}" for key in shown if stated.get(key) not in (None, 0.0))


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"


def _measured(row: Mapping[str, Any]) -> str:
    if row["measured"] is None:
        return ""
    return f"{_number(row['measured'])} [{_number(row['low'])}, {_number(row['high'])}]"


def judged(runs: Sequence[Path]) -> str:
    """The last section, of the verdicts of run directories. Raises `RunError` for one without."""
    found: dict[str, tuple[str, list[Mapping[str, Any]]]] = {}
    for run in runs:
        path = run / "verdicts.json"
        try:
            rows = intact.document(path)["verdicts"]
            mine = {
                claim: (run.resolve().name, [row for row in rows if row["claim"] == claim])
                for claim in dict.fromkeys(row["claim"] for row in rows)
            }
            verdicts(mine)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise RunError(f"{path}: not verdicts ({reason}); validate again") from error
        found |= mine
    ids = [claims.load(name).CLAIM.id for name in claims.names()]
    return verdicts({id: found[id] for id in ids if id in found})


def main(arguments: Sequence[str]) -> int:
    """Writes the page; `arguments` are run directories; 2 if one has no verdicts."""
    tail = kept(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else ""
    if arguments:
        try:
            tail = judged([Path(each) for each in arguments])
        except RunError as error:
            print(f"testbed: {error}", file=sys.stderr)
            return 2
    PAGE.write_text(registered() + tail, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
